#pragma once
// Several coroutines of one worker wait until something may have changed; each looks for itself what there is. One timer for each:
// on a common one, whoever begins to wait would wake the others, for ever.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <set>

#include "net/deadline.h"

namespace sallyport::protocol::mcp {

class Signal {
 public:
  explicit Signal(boost::asio::io_context& context) : context_(context) {}
  /// Resumes at the next notify() or at the deadline.
  boost::asio::awaitable<void> wait(net::Deadline until = net::kNever);
  void notify();

 private:
  boost::asio::io_context& context_;
  std::set<boost::asio::steady_timer*> waiting_;
};

}  // namespace sallyport::protocol::mcp
