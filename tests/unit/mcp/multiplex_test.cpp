// Whom a target's message is for, where the transport does not say.
#include "protocol/mcp/multiplex.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_future.hpp>

namespace sallyport::protocol::mcp {
namespace {

using boost::asio::awaitable;

struct MultiplexTest : testing::Test {
  boost::asio::io_context context;

  template <class T>
  T run(awaitable<T> what) {
    auto done = boost::asio::co_spawn(context, std::move(what), boost::asio::use_future);
    context.restart();
    while (done.wait_for(std::chrono::seconds(0)) != std::future_status::ready) context.run_one();
    return done.get();
  }
  std::string take(Multiplex& to, std::string text) { return run(to.take(*parse_message(std::move(text), From::Server, 1u << 20))); }
  /// What has arrived; "" when nothing has.
  std::string got(const std::shared_ptr<Inbox>& inbox) {
    auto next = run(inbox->next(net::after(1'000'000)));
    return next && *next ? (*next)->data : "";
  }
};

std::string answer(int id) { return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"result":{}})"; }
const std::string kAsk = R"({"jsonrpc":"2.0","id":"s1","method":"roots/list"})";
const std::string kLog = R"({"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}})";
const std::string kChanged = R"({"jsonrpc":"2.0","method":"notifications/tools/list_changed"})";

TEST_F(MultiplexTest, AnswersGoToWhoAskedUnderItsOwnId) {
  Multiplex one(context, 1u << 20, true);
  const auto a = one.join(), b = one.join();
  const auto first = one.expect(a, "1", {.id = "7"}), second = one.expect(b, "2", {.id = "\"7\""});
  EXPECT_EQ(take(one, answer(2)), "");
  EXPECT_EQ(take(one, answer(1)), "");
  EXPECT_EQ(got(first), R"({"jsonrpc":"2.0","id":7,"result":{}})");
  EXPECT_EQ(got(second), R"({"jsonrpc":"2.0","id":"7","result":{}})");
  EXPECT_EQ(take(one, answer(1)), "an answer to no request");
}

TEST_F(MultiplexTest, AResourceThatChangedIsToldToThoseWhoAskedForIt) {
  Multiplex one(context, 1u << 20, true);
  const auto a = one.join(), b = one.join();
  const auto hears = one.listen(a), other = one.listen(b);
  const auto asks = [&](const char* method, const char* uri) {
    const auto document = json::Document::parse(R"({"method":")" + std::string(method) + R"(","params":{"uri":")" + uri + R"("}})");
    one.subscribe(a, document->root());
  };
  const std::string updated = R"({"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///a"}})";
  asks("resources/subscribe", "file:///a");
  EXPECT_EQ(take(one, updated), "");
  EXPECT_EQ(got(hears), updated);
  EXPECT_EQ(got(other), "") << "another's resource";
  asks("resources/unsubscribe", "file:///a");
  EXPECT_NE(take(one, updated), "");
  EXPECT_EQ(got(hears), "");
}

TEST_F(MultiplexTest, ProgressGoesToItsCallAndForgedProgressNowhere) {
  Multiplex one(context, 1u << 20, true);
  const auto a = one.join(), b = one.join();
  const auto first = one.expect(a, "1", {.id = "7", .token = "\"t\"", .token_at_target = "1"});
  const auto second = one.expect(b, "2", {.id = "7"});
  EXPECT_EQ(take(one, R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}})"), "");
  EXPECT_EQ(got(first), R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}})");
  EXPECT_NE(take(one, R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}})"), "");
  EXPECT_NE(take(one, R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":1}})"), "");
  EXPECT_EQ(got(second), "");
}

TEST_F(MultiplexTest, ARequestOfTheTargetsGoesToTheOnlyCallAndIsAnsweredByItsSessionAlone) {
  Multiplex one(context, 1u << 20, true);
  const auto a = one.join(), b = one.join();
  const auto call = one.expect(a, "1", {.id = "7"});
  EXPECT_EQ(take(one, kAsk), "");
  EXPECT_EQ(got(call), kAsk);
  EXPECT_FALSE(one.answers(b, "\"s1\""));
  EXPECT_TRUE(one.answers(a, "\"s1\""));
  EXPECT_FALSE(one.answers(a, "\"s1\""));
}

TEST_F(MultiplexTest, BetweenStrangersNothingIsGuessed) {
  Multiplex one(context, 1u << 20, true);
  const auto a = one.join(), b = one.join();
  EXPECT_NE(take(one, kLog), "");
  const auto first = one.expect(a, "1", {.id = "1"}), second = one.expect(b, "2", {.id = "2"});
  EXPECT_NE(take(one, kLog), "");
  EXPECT_NE(take(one, kAsk), "");
  EXPECT_EQ(got(first) + got(second), "");
  EXPECT_EQ(take(one, kChanged), "");
  EXPECT_EQ(got(first), kChanged);
  EXPECT_EQ(got(second), kChanged);
}

TEST_F(MultiplexTest, OfOnePersonTheListenerHearsIt) {
  Multiplex one(context, 1u << 20, false);
  const auto a = one.join(), b = one.join();
  const auto listener = one.listen(a);
  EXPECT_EQ(take(one, kLog), "");
  EXPECT_EQ(got(listener), kLog);
  EXPECT_EQ(got(b->strays), "");
}

TEST_F(MultiplexTest, WhatComesBeforeThereIsAListenerWaitsForItWithinLimits) {
  Multiplex one(context, 1u << 20, true);
  const auto a = one.join();
  for (int i = 0; i < 64; ++i) EXPECT_EQ(take(one, kLog), "");
  EXPECT_EQ(take(one, kLog), "nobody listens");
  const auto listener = one.listen(a);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(got(listener), kLog);
  EXPECT_EQ(got(listener), "");
}

TEST_F(MultiplexTest, ASecondListenerTakesOver) {
  Multiplex one(context, 1u << 20, true);
  const auto a = one.join();
  const auto before = one.listen(a), after = one.listen(a);
  EXPECT_TRUE(before->closed());
  one.stop_listening(a, before);  // the first is told late
  EXPECT_EQ(take(one, kLog), "");
  EXPECT_EQ(got(after), kLog);
}

TEST_F(MultiplexTest, ASessionThatLeavesHearsNothingAndAnswersNothing) {
  Multiplex one(context, 1u << 20, true);
  const auto a = one.join();
  EXPECT_EQ(take(one, kAsk), "");
  one.leave(a);
  EXPECT_FALSE(one.answers(a, "\"s1\""));
  EXPECT_NE(take(one, kLog), "");
}

TEST_F(MultiplexTest, TheTargetsEndFailsWhatRunsAfterWhatItHadSaid) {
  Multiplex one(context, 1u << 20, true);
  const auto a = one.join();
  const auto call = one.expect(a, "1", {.id = "7"});
  EXPECT_EQ(take(one, kLog), "");
  one.fail_all(Error(ErrorKind::Disconnected, "it died"));
  EXPECT_EQ(got(call), kLog);
  const auto end = run(call->next(net::kNever));
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().what, "it died");
}

TEST_F(MultiplexTest, ASlowReaderHoldsUpTheTargetAndIsLetGoWhenOthersWait) {
  Multiplex one(context, 100, true);
  const auto a = one.join();
  const auto call = one.expect(a, "1", {.id = "7", .token = "1", .token_at_target = "1"});
  const std::string progress = R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":")" + std::string(100, 'x') + "\"}}";
  EXPECT_EQ(take(one, progress), "");
  bool taken = false;
  boost::asio::co_spawn(context, [](Multiplex& to, std::string text, bool& done) -> awaitable<void> {
    (void)co_await to.take(*parse_message(std::move(text), From::Server, 1u << 20));
    done = true;
  }(one, progress, taken), boost::asio::detached);
  context.restart();
  context.poll();
  EXPECT_FALSE(taken) << "there is no room";
  EXPECT_EQ(got(call), progress);
  EXPECT_EQ(got(call), progress);
  EXPECT_TRUE(taken);
  call->close();
  EXPECT_EQ(take(one, progress), "its reader is gone");
}

}  // namespace
}  // namespace sallyport::protocol::mcp
