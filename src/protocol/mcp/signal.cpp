#include "protocol/mcp/signal.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/clock.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

awaitable<void> Signal::wait(net::Deadline until) {
  boost::asio::steady_timer timer(context_);
  if (until == net::kNever) timer.expires_at(std::chrono::steady_clock::time_point::max());
  else timer.expires_after(std::chrono::nanoseconds(std::max<std::int64_t>(until - system_clock().mono_ns(), 0)));
  waiting_.insert(&timer);
  boost::system::error_code ignored;
  co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  waiting_.erase(&timer);
}

void Signal::notify() {
  for (auto* timer : waiting_) timer->cancel();
}

}  // namespace sallyport::protocol::mcp
