#pragma once
// One after the other among the coroutines of one thread: for steps that wait in between (an entry, then its row) and must not see each
// other half done. Whoever waits longest is woken first. The owner's thread only; outlives those that wait.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>
#include <vector>

namespace sallyport::state {

class Turns {
 public:
  explicit Turns(boost::asio::io_context& context) : context_(context) {}

  /// Holds the turn for its life; made by take() only.
  class Turn {
   public:
    Turn(Turn&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    ~Turn();

   private:
    friend class Turns;
    explicit Turn(Turns* of) : of_(of) {}
    Turns* of_;
  };
  boost::asio::awaitable<Turn> take();

 private:
  boost::asio::io_context& context_;
  bool busy_ = false;
  std::vector<boost::asio::steady_timer*> waiting_;
};

}  // namespace sallyport::state
