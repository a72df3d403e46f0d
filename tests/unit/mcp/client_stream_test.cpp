// A client that is let go while its connection is still being written to.
#include "protocol/mcp/client_stream.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace sallyport::protocol::mcp {
namespace {

TEST(HttpClientStreamTest, AnAnswerThatComesWhileTheClientIsLetGoIsKeptForLaterAndNotSent) {
  boost::asio::io_context context;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  {
    net::HttpServerConnection http(net::Stream(context, ends[0]), {});
    HttpClientStream client(http, context, true);
    bool written = false, left = false, answered = false;
    // More than the socket holds: it is still on its way when the client is let go.
    boost::asio::co_spawn(context, [](HttpClientStream& to, bool& done) -> boost::asio::awaitable<void> {
      SseEvent event;
      event.data = std::string(8u << 20, 'x');
      co_await to.event(std::move(event));
      done = true;
    }(client, written), boost::asio::detached);
    context.poll();
    ASSERT_FALSE(written);
    boost::asio::co_spawn(context, [](HttpClientStream& to, bool& done) -> boost::asio::awaitable<void> {
      co_await to.leave("let go");
      done = true;
    }(client, left), boost::asio::detached);
    context.poll();
    EXPECT_FALSE(left);
    boost::asio::co_spawn(context, [](HttpClientStream& to, bool& done) -> boost::asio::awaitable<void> {
      co_await to.answer("the outcome");
      co_await to.finish();
      done = true;
    }(client, answered), boost::asio::detached);
    context.poll();
    EXPECT_TRUE(answered);
    EXPECT_FALSE(client.peer_gone());
    std::string got(1u << 20, ' '), all;
    for (int i = 0; i < 1000 && !left; ++i) {
      for (;;) {
        const auto size = ::read(ends[1], got.data(), got.size());
        if (size <= 0) break;
        all.append(got, 0, static_cast<std::size_t>(size));
      }
      context.poll();
    }
    for (ssize_t size; (size = ::read(ends[1], got.data(), got.size())) > 0;) all.append(got, 0, static_cast<std::size_t>(size));
    EXPECT_TRUE(written && left);
    EXPECT_NE(all.find("let go"), std::string::npos);
    EXPECT_EQ(all.find("the outcome"), std::string::npos);
    EXPECT_TRUE(all.ends_with("0\r\n\r\n")) << "the stream has its end";
    EXPECT_EQ(client.take_collected(), "the outcome");
  }
  ::close(ends[1]);
}

}  // namespace
}  // namespace sallyport::protocol::mcp
