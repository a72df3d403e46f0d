#pragma once
// One thread that reads the log for workers, which must not wait for a disk: tiles, entries, receipts. Owned by main beside the Log;
// any worker asks, and is resumed on its own thread.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>

#include "evidence/log.h"
#include "evidence/log_view.h"

namespace sallyport::evidence {

class LogReading {
 public:
  LogReading(Log& log, std::string directory, std::string origin) : log_(log), origin_(std::move(origin)), view_(std::move(directory)) {}
  ~LogReading() { pool_.join(); }

  using Work = std::function<Result<std::string>(LogView&)>;
  boost::asio::awaitable<Result<std::string>> run(Work work);
  /// As LogView's function of that name. Errors: Unavailable, Malformed (names that cannot be read).
  boost::asio::awaitable<Result<bool>> receipt_is_of(std::string receipts, std::string subject);

  /// Receipts of these entries, one after the other, parted by an empty line, once a signed head covers them all. Errors:
  /// Unavailable (nobody signed within five seconds, files), Malformed (LogView::receipt).
  boost::asio::awaitable<Result<std::string>> receipts(std::vector<std::uint64_t> indices);
  /// Of a command and its outcome, by the request id that the command's errors and answers bear. Looks through the last 16 segments.
  /// Errors also: Denied (there is none).
  boost::asio::awaitable<Result<std::string>> receipts(std::string request_id);

 private:
  Log& log_;
  std::string origin_;
  LogView view_;  // the thread's
  boost::asio::thread_pool pool_{1};
};

}  // namespace sallyport::evidence
