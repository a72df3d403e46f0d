// The client's side of HTTP/1.1: answers of every framing, a pool that does not run a call twice, TLS that verifies.
#include <boost/asio/detached.hpp>
#include <thread>

#include "net/listener.h"
#include "pair.h"

namespace sallyport::net {
namespace {

using boost::asio::awaitable;

/// A server in a thread of its own that answers each connection from a script: one string a request.
class Script {
 public:
  explicit Script(std::vector<std::vector<std::string>> connections) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd_, 8), 0);
    socklen_t length = sizeof address;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    port = ntohs(address.sin_port);
    thread_ = std::jthread([this, connections = std::move(connections)] {
      for (const auto& answers : connections) {
        Raw peer(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC));
        if (peer.fd < 0) return;
        ++accepted;
        for (const auto& answer : answers) {
          std::string head;
          char byte = 0;
          while (!head.ends_with("\r\n\r\n") && ::recv(peer.fd, &byte, 1, 0) == 1) head += byte;
          if (!head.ends_with("\r\n\r\n")) break;
          const auto at = head.find("Content-Length: ");
          for (long left = at == std::string::npos ? 0 : std::stol(head.substr(at + 16)); left > 0 && ::recv(peer.fd, &byte, 1, 0) == 1; --left) head += byte;
          requests.push_back(head);
          // Byte by byte, so that every split is seen.
          for (const char c : answer)
            if (::send(peer.fd, &c, 1, MSG_NOSIGNAL) != 1) break;
        }
      }
    });
  }
  ~Script() {
    ::shutdown(fd_, SHUT_RDWR);
    ::close(fd_);
  }
  Url url() const { return *parse_url("http://127.0.0.1:" + std::to_string(port) + "/"); }

  std::uint16_t port = 0;
  std::atomic<int> accepted = 0;
  std::vector<std::string> requests;  // read after the thread has ended or the answer has come

 private:
  int fd_ = -1;
  std::jthread thread_;
};

awaitable<std::string> fetch(HttpClient& client, std::string method = "GET", bool retry = false, std::string body = "") {
  auto exchange = co_await client.send(method, "/x", {}, body, retry, after(3'000'000'000));
  if (!exchange) co_return "!" + exchange.error().what;
  auto text = co_await exchange->read_all(1u << 20, after(3'000'000'000));
  co_return std::to_string(exchange->status()) + ":" + (text ? *text : "!" + text.error().what);
}

std::string fetched(std::vector<std::vector<std::string>> connections, int times = 1, std::string method = "GET", bool retry = false, int* accepted = nullptr) {
  boost::asio::io_context context;
  Script script(std::move(connections));
  HttpClient client(context, script.url(), nullptr);
  std::string out;
  for (int i = 0; i < times; ++i) out += (i ? "|" : "") + run(context, fetch(client, method, retry, method == "POST" ? "body" : ""));
  if (accepted != nullptr) *accepted = script.accepted;
  return out;
}

TEST(HttpClient, AnswersOfEveryFramingAreRead) {
  EXPECT_EQ(fetched({{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"}}), "200:hello");
  EXPECT_EQ(fetched({{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;e=1\r\n0123456789\r\n0\r\nT: v\r\n\r\n"}}), "200:abc0123456789");
  EXPECT_EQ(fetched({{"HTTP/1.1 200 OK\r\n\r\nuntil the end"}}), "200:until the end");
  EXPECT_EQ(fetched({{"HTTP/1.1 204 No Content\r\n\r\n"}}), "204:");
  EXPECT_EQ(fetched({{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}}), "200:");
  EXPECT_EQ(fetched({{"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"}}), "200:x");
}

TEST(HttpClient, AnAnswerThatLiesIsAnError) {
  EXPECT_TRUE(fetched({{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"}}).starts_with("200:!"));
  EXPECT_TRUE(fetched({{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"}}).starts_with("200:!"));
  EXPECT_TRUE(fetched({{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}}).starts_with("200:!"));
  EXPECT_TRUE(fetched({{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}}).starts_with("!"));
  EXPECT_TRUE(fetched({{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"}}).starts_with("!"));
  EXPECT_TRUE(fetched({{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"}}).starts_with("!"));
  EXPECT_TRUE(fetched({{"SSH-2.0-x\r\n\r\n"}}).starts_with("!"));
  EXPECT_TRUE(fetched({{""}}).starts_with("!"));
}

TEST(HttpClient, AnEndlessChunkLineIsNotCollected) {
  EXPECT_EQ(fetched({{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(30'000, 'e')}}), "200:!a chunk's line or the trailers of the answer do not end");
}

TEST(HttpClient, OneConnectionServesManyRequests) {
  const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  int accepted = 0;
  EXPECT_EQ(fetched({{ok, ok, ok}}, 3, "POST", false, &accepted), "200:ok|200:ok|200:ok");
  EXPECT_EQ(accepted, 1);
}

TEST(HttpClient, AConnectionThatSaysCloseIsNotUsedAgain) {
  int accepted = 0;
  EXPECT_EQ(fetched({{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na"}, {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"}}, 2, "GET", false, &accepted), "200:a|200:b");
  EXPECT_EQ(accepted, 2);
}

TEST(HttpClient, AnAnswerNobodyAskedForDoesNotReachTheNextRequest) {
  const auto answer = fetched({{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"}, {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"}}, 2);
  EXPECT_EQ(answer, "200:a|200:b");
}

TEST(HttpClient, HeadersThatWouldStartAnotherAreRefused) {
  boost::asio::io_context context;
  HttpClient client(context, *parse_url("http://127.0.0.1:1/"), nullptr);
  auto send = [&](std::string method, std::string target, std::string name, std::string value) -> awaitable<ErrorKind> {
    Headers headers;
    headers.add(std::move(name), std::move(value));
    auto result = co_await client.send(method, target, headers, "", false, after(1'000'000'000));
    co_return result ? ErrorKind::Internal : result.error().kind;
  };
  EXPECT_EQ(run(context, send("GET", "/", "X", "a\r\nY: b")), ErrorKind::Malformed);
  EXPECT_EQ(run(context, send("GET", "/", "X: y\r\nZ", "a")), ErrorKind::Malformed);
  EXPECT_EQ(run(context, send("GET", "/ HTTP/1.1\r\nX: y", "X", "a")), ErrorKind::Malformed);
  EXPECT_EQ(run(context, send("GET /", "/", "X", "a")), ErrorKind::Malformed);
  for (const auto* own : {"Host", "content-length", "Transfer-Encoding", "Connection"}) EXPECT_EQ(run(context, send("GET", "/", own, "1")), ErrorKind::Malformed) << own;
  EXPECT_EQ(run(context, send("GET", "/", "X", "fine")), ErrorKind::Unavailable) << "nobody listens on port 1";
}

awaitable<std::string> over_tls(boost::asio::io_context& context, int client_fd, int server_fd, const TlsServer& server, const TlsClient& client, std::string host) {
  Stream a(context, client_fd), b(context, server_fd);
  auto accept = [](Stream stream, const TlsServer& tls) -> awaitable<void> {
    if (!co_await stream.accept_tls(tls, after(3'000'000'000))) co_return;
    std::string text(64, '\0');
    std::string all;
    for (;;) {
      auto got = co_await stream.read_some(text, after(3'000'000'000));
      if (!got || *got == 0) break;
      if (!co_await stream.write(std::string_view(text).substr(0, *got), after(3'000'000'000))) break;
    }
    stream.close();
  };
  boost::asio::co_spawn(context, accept(std::move(b), server), boost::asio::detached);
  auto connected = co_await a.connect_tls(client, host, after(3'000'000'000));
  if (!connected) {
    a.close();
    co_return connected.error().what;
  }
  const std::string big(300'000, 'x');
  auto writer = [](Stream& stream, const std::string& text) -> awaitable<void> { (void)co_await stream.write(text, after(5'000'000'000)); };
  boost::asio::co_spawn(context, writer(a, big), boost::asio::detached);
  std::string echo, piece(20'000, '\0');
  while (echo.size() < big.size()) {
    auto got = co_await a.read_some(piece, after(5'000'000'000));
    if (!got || *got == 0) break;
    echo.append(piece, 0, *got);
  }
  a.close();
  co_return echo == big ? "echoed" : "lost bytes";
}

TEST(Tls, TheChainAndTheNameAreVerified) {
  boost::asio::io_context context;
  const auto [certificate, key] = self_signed({"gw.example", "127.0.0.1"});
  const auto [other, other_key] = self_signed({"gw.example"});
  const auto server = TlsServer::create(certificate, key);
  ASSERT_TRUE(server) << server.error().what;
  const auto attempt = [&](const std::string& ca, const std::string& host) {
    const Pair pair;
    const auto client = TlsClient::create(ca);
    return run(context, over_tls(context, pair.fd[0], pair.fd[1], *server, *client, host));
  };
  EXPECT_EQ(attempt(certificate, "gw.example"), "echoed");
  EXPECT_EQ(attempt(certificate, "127.0.0.1"), "echoed");
  EXPECT_NE(attempt(certificate, "evil.example").find("TLS"), std::string::npos);
  EXPECT_NE(attempt(other, "gw.example").find("TLS"), std::string::npos);
  EXPECT_NE(attempt("", "gw.example").find("TLS"), std::string::npos);
}

TEST(Tls, AKeyOfAnotherCertificateIsRefused) {
  const auto [certificate, key] = self_signed({"a"});
  const auto [other, other_key] = self_signed({"b"});
  EXPECT_FALSE(TlsServer::create(certificate, other_key));
  EXPECT_FALSE(TlsServer::create("no pem", key));
  EXPECT_FALSE(TlsServer::create(certificate, "no pem"));
  EXPECT_FALSE(TlsClient::create("no pem"));
}

TEST(Url, WhatIsAcceptedAndWhatIsNot) {
  const auto url = parse_url("http://127.0.0.1:3001/mcp?x=1");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host + " " + std::to_string(url->port) + " " + url->target + " " + url->authority, "127.0.0.1 3001 /mcp?x=1 127.0.0.1:3001");
  EXPECT_EQ(parse_url("https://[::1]:8443")->host, "::1");
  EXPECT_EQ(parse_url("https://a.example")->port, 443);
  EXPECT_EQ(parse_url("https://a.example?q")->target, "/?q");
  for (const auto* bad : {"", "ftp://a/", "http://", "http://u:p@h/", "http://h:0/", "http://h:65536/", "http://h:x/", "http://h/#f", "http://h/a b", "http://[::1/", "http://[zz]/", "http://h\r\n/", "//h/", "http://h:/"})
    EXPECT_FALSE(parse_url(bad)) << bad;
}

TEST(Listener, ConnectionsAreSpreadOverTheWorkersAndPortZeroTakesAFreeOne) {
  boost::asio::io_context one, two;
  std::vector<int> seen(2);
  auto listener = Listener::open("127.0.0.1:0", {&one, &two}, [&](std::size_t worker, int fd) {
    ++seen[worker];
    ::close(fd);
  });
  ASSERT_TRUE(listener) << listener.error().what;
  ASSERT_NE((*listener)->port(), 0);
  for (int i = 0; i < 4; ++i) {
    auto connect = [&]() -> awaitable<bool> { co_return (co_await dial(one, "127.0.0.1", (*listener)->port(), after(2'000'000'000))).has_value(); };
    EXPECT_TRUE(run(one, connect()));
    one.poll();
    two.restart();
    two.poll();
  }
  EXPECT_EQ(seen, (std::vector<int>{2, 2}));
  EXPECT_FALSE(Listener::open("127.0.0.1:" + std::to_string((*listener)->port()), {&one}, [](std::size_t, int) {})) << "the address is taken";
  EXPECT_FALSE(Listener::open("nonsense", {&one}, [](std::size_t, int) {}));
  (*listener)->stop();
  one.poll();
}

}  // namespace
}  // namespace sallyport::net
