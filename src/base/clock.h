#pragma once
// Time as the evidence and every expiry see it. The real clock in production, a fixed one in tests.
// Any thread. Wall time is UTC nanoseconds since 1970; monotonic time is nanoseconds since an unspecified start.
#include <cstdint>
#include <string>

namespace sallyport {

struct Clock {
  virtual ~Clock() = default;
  virtual std::int64_t wall_ns() const = 0;
  virtual std::int64_t mono_ns() const = 0;
};

/// The system's clocks (CLOCK_REALTIME, CLOCK_MONOTONIC).
const Clock& system_clock();

/// RFC 3339, UTC, whole seconds: "2026-11-20T10:00:00Z".
std::string utc_text(std::int64_t wall_ns);

}  // namespace sallyport
