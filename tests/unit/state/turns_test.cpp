// One after the other, in the order of coming, whatever each waits for.
#include "state/turns.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

namespace sallyport::state {
namespace {

TEST(Turns, NobodySeesAnothersHalfDoneStepAndNobodyIsForgotten) {
  boost::asio::io_context context{1};
  Turns turns(context);
  int inside = 0, most = 0;
  std::vector<int> order;
  for (int i = 0; i < 50; ++i) {
    boost::asio::co_spawn(context, [&, i]() -> boost::asio::awaitable<void> {
      const auto turn = co_await turns.take();
      most = std::max(most, ++inside);
      for (int waits = 0; waits < i % 4; ++waits) co_await boost::asio::post(context, boost::asio::use_awaitable);
      order.push_back(i);
      --inside;
    }, boost::asio::detached);
  }
  context.run();
  EXPECT_EQ(most, 1);
  EXPECT_EQ(order.size(), 50u);
  EXPECT_EQ(order.front(), 0);
}

}  // namespace
}  // namespace sallyport::state
