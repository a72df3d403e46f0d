#pragma once
// What coroutines of one worker wait for until another of them says that something changed: a condition variable with a
// deadline. Whoever waits looks again at what it waits for. Outlives those who wait. Worker's thread only.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>

#include "net/deadline.h"

namespace sallyport::net {

class Condition {
 public:
  explicit Condition(boost::asio::io_context& context) : context_(context) {}
  Condition(const Condition&) = delete;

  /// True when changed() was called, false past the deadline.
  boost::asio::awaitable<bool> wait(Deadline deadline) {
    using Clock = std::chrono::steady_clock;
    boost::asio::steady_timer timer(context_, deadline == kNever ? Clock::time_point::max() : Clock::time_point(std::chrono::nanoseconds(deadline)));
    waiting_.insert(&timer);
    boost::system::error_code stopped;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, stopped));
    waiting_.erase(&timer);
    co_return stopped == boost::asio::error::operation_aborted;
  }
  void changed() {
    for (auto* timer : waiting_) timer->cancel();
  }

 private:
  boost::asio::io_context& context_;
  std::set<boost::asio::steady_timer*> waiting_;
};

}  // namespace sallyport::net
