#pragma once
// Reads sessions for a worker, which must not wait for a disk, on a thread of its own: a pass over a log takes seconds where a tile takes
// microseconds, so this is not LogReading's. One reading at a time, few wait, each has a deadline. Owned by main beside the Log;
// any worker asks and is resumed on its own thread.
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include "evidence/session_summary.h"

namespace sallyport::evidence {

class SessionReading {
 public:
  explicit SessionReading(std::string directory) : directory_(std::move(directory)) {}
  ~SessionReading();

  /// `stop` tells the work to end: its time is over, or the gateway stops.
  using Stop = std::function<bool()>;
  using Work = std::function<Result<std::string>(const Reader& reader, const Stop& stop)>;
  /// Errors: Overloaded (too many wait), Unavailable (its time is over, files), Malformed (Reader), and the work's own.
  boost::asio::awaitable<Result<std::string>> run(Work work);

 private:
  std::string directory_;
  std::atomic<bool> ending_ = false;
  std::atomic<int> waiting_ = 0;
  boost::asio::thread_pool pool_{1};
};

/// The recorded bytes that entry `index` of a session refers to. Errors: Denied (no such entry, no payload, key erased: the text says
/// which), Overloaded (over `most` bytes).
Result<std::string> payload_of(const Reader& reader, const Id16& session, std::uint64_t index, std::size_t most);

}  // namespace sallyport::evidence
