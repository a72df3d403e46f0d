#pragma once
// Deadlines of one worker: a coarse wheel (50 ms) instead of a timer an operation, because nearly no deadline fires.
// Every await on the data path has one. Used on the worker's thread only.
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>

namespace sallyport::net {

/// Monotonic nanoseconds after which an operation fails; kNever for a stream that may be silent for ever.
using Deadline = std::int64_t;
inline constexpr Deadline kNever = INT64_MAX;
Deadline after(std::int64_t duration_ns);

}  // namespace sallyport::net
