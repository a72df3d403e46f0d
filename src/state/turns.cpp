#include "state/turns.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sallyport::state {

Turns::Turn::~Turn() {
  if (of_ == nullptr) return;
  of_->busy_ = false;
  if (!of_->waiting_.empty()) of_->waiting_.front()->cancel();
}

boost::asio::awaitable<Turns::Turn> Turns::take() {
  while (busy_) {
    boost::asio::steady_timer timer(context_);
    waiting_.push_back(&timer);
    timer.expires_at(boost::asio::steady_timer::time_point::max());
    boost::system::error_code ignored;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    std::erase(waiting_, &timer);
  }
  busy_ = true;
  co_return Turn(this);
}

}  // namespace sallyport::state
