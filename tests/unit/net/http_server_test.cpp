// The server's side of HTTP/1.1: what is read, what is refused, and that one connection serves many requests.
#include "pair.h"

namespace sallyport::net {
namespace {

using boost::asio::awaitable;

std::string show(const HttpRequest& request) {
  std::string out = request.method + " " + request.target + " [";
  for (const auto& [name, value] : request.headers.all()) out += name + "=" + value + ";";
  return out + "] " + request.body;
}

/// Reads requests and answers each until the connection ends; what was read, "!" and the error at its end.
awaitable<std::string> serve(HttpServerConnection& http) {
  std::string seen;
  for (;;) {
    auto request = co_await http.read_request();
    if (!request) co_return seen + "!" + to_string(request.error().kind);
    if (!*request) co_return seen;
    seen += show(**request) + "|";
    Headers headers;
    headers.add("X-Test", "1");
    if (!co_await http.respond(200, headers, "ok:" + (*request)->target)) co_return seen + "!write";
  }
}

std::string served(const std::string& bytes, std::string* answer = nullptr, HttpLimits limits = {}) {
  boost::asio::io_context context;
  Pair pair;
  Raw raw(pair.fd[1]);
  HttpServerConnection http(Stream(context, pair.fd[0]), limits);
  raw.send(bytes);
  ::shutdown(raw.fd, SHUT_WR);
  auto seen = run(context, serve(http));
  http.close();
  const auto text = raw.read_all();
  if (answer != nullptr) *answer = text;
  return seen;
}

TEST(HttpServer, RequestsOnOneConnectionAreAnsweredInOrder) {
  std::string answer;
  const auto seen = served("GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyzGET /c?d=e HTTP/1.1\r\nhOst: h\r\nConnection: close\r\n\r\n", &answer);
  EXPECT_EQ(seen, "GET /a [Host=h;] |POST /b [Host=h;Content-Length=3;] xyz|GET /c?d=e [hOst=h;Connection=close;] |");
  const auto a = answer.find("ok:/a"), b = answer.find("ok:/b"), c = answer.find("ok:/c?d=e");
  EXPECT_LT(a, b);
  EXPECT_LT(b, c);
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  EXPECT_NE(answer.find("X-Test: 1\r\n"), std::string::npos);
}

TEST(HttpServer, ARequestSplitAtEveryByteReadsTheSame) {
  const std::string text = "POST /mcp/x HTTP/1.1\r\nHost: h:1\r\nTransfer-Encoding: chunked\r\nA:  b \r\n\r\n4;x=y\r\nwiki\r\n5\r\npedia\r\n0\r\nT: v\r\n\r\nGET /z HTTP/1.1\r\nHost: h\r\n\r\n";
  const auto whole = served(text);
  ASSERT_EQ(whole, "POST /mcp/x [Host=h:1;Transfer-Encoding=chunked;A=b;] wikipedia|GET /z [Host=h;] |");
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    boost::asio::io_context context;
    Pair pair;
    Raw raw(pair.fd[1]);
    HttpServerConnection http(Stream(context, pair.fd[0]), {});
    raw.send(std::string_view(text).substr(0, cut));
    auto future = boost::asio::co_spawn(context, serve(http), boost::asio::use_future);
    context.poll();
    raw.send(std::string_view(text).substr(cut));
    ::shutdown(raw.fd, SHUT_WR);
    context.run_for(std::chrono::seconds(5));
    ASSERT_EQ(future.wait_for(std::chrono::seconds(0)), std::future_status::ready) << cut;
    EXPECT_EQ(future.get(), whole) << cut;
  }
}

TEST(HttpServer, WhatSmugglingLivesOnIsRefusedAndTheConnectionEnds) {
  const std::string cases[] = {
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nabc",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nX Y: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nX: a\x01\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nX: a" + std::string(1, '\0') + "b\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
      "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.2\r\nHost: h\r\n\r\n",
      "GET /\r\n\r\n",
      "G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3 \nabc\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(4000, 'e') + "\r\na\r\n0\r\n\r\n",
  };
  for (const auto& text : cases) {
    std::string answer;
    const auto seen = served(text + "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n", &answer);
    EXPECT_EQ(seen, "!malformed") << text;
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << text << "\n" << answer;
    EXPECT_EQ(answer.find("ok:"), std::string::npos) << text;
  }
}

TEST(HttpServer, LimitsHaveTheirOwnAnswers) {
  std::string answer;
  HttpLimits limits;
  limits.header_bytes = 512;
  limits.body_bytes = 16;
  EXPECT_EQ(served("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(600, 'x') + "\r\n\r\n", &answer, limits), "!overloaded");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 431 ")) << answer;
  EXPECT_EQ(served("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 17\r\n\r\n", &answer, limits), "!overloaded");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 ")) << answer;
  EXPECT_EQ(served("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n" + std::string(32, 'x') + "\r\n0\r\n\r\n", &answer, limits), "!overloaded");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 ")) << answer;
}

TEST(HttpServer, TrailersAreNoHeadersOfTheRequest) {
  EXPECT_EQ(served("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nAuthorization: Bearer stolen\r\nHost: evil\r\n\r\n"),
            "POST / [Host=h;Transfer-Encoding=chunked;] x|");
}

TEST(HttpServer, AnEndlessChunkLineOrTrailerIsNotCollected) {
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& start : {std::string("1;"), std::string("0\r\nX: ")}) {
    std::string answer;
    EXPECT_EQ(served(head + start + std::string(60'000, 'e'), &answer), "!malformed") << start;
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
  }
  std::string many = head;
  for (int i = 0; i < 40; ++i) many += "1;" + std::string(40, 'e') + "\r\nx\r\n";
  EXPECT_EQ(served(many + "0\r\n\r\n"), "!malformed") << "extensions may not grow with the body";
}

TEST(HttpServer, ManySmallChunksAreRead) {
  std::string text = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 3000; ++i) text += "1\r\nx\r\n";
  const auto seen = served(text + "0\r\n\r\n");
  EXPECT_TRUE(seen.ends_with("] " + std::string(3000, 'x') + "|")) << seen.substr(0, 200);
}

TEST(HttpServer, AConnectionCutWithinARequestIsAnErrorAndBetweenTwoIsNone) {
  EXPECT_EQ(served(""), "");
  EXPECT_EQ(served("GET / HT"), "!disconnected");
  EXPECT_EQ(served("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab"), "!disconnected");
}

TEST(HttpServer, ExpectContinueIsAnsweredBeforeTheBodyIsRead) {
  boost::asio::io_context context;
  Pair pair;
  Raw raw(pair.fd[1]);
  HttpServerConnection http(Stream(context, pair.fd[0]), {});
  raw.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  auto future = boost::asio::co_spawn(context, serve(http), boost::asio::use_future);
  context.poll();
  EXPECT_EQ(raw.read_ready(), "HTTP/1.1 100 Continue\r\n\r\n");
  raw.send("hi");
  ::shutdown(raw.fd, SHUT_WR);
  context.run_for(std::chrono::seconds(5));
  EXPECT_EQ(future.get(), "POST / [Host=h;Expect=100-continue;Content-Length=2;] hi|");
}

TEST(HttpServer, ASilentClientIsLetGoAndAHalfRequestIsNotWaitedForForever) {
  boost::asio::io_context context;
  HttpLimits limits;
  limits.idle_ns = 100'000'000;
  limits.request_ns = 100'000'000;
  for (const std::string text : {"", "GET / HTTP/1.1\r\n"}) {
    Pair pair;
    Raw raw(pair.fd[1]);
    HttpServerConnection http(Stream(context, pair.fd[0]), limits);
    if (!text.empty()) raw.send(text);
    EXPECT_EQ(run(context, serve(http)), text.empty() ? "" : "!disconnected");
    EXPECT_FALSE(http.is_open());
  }
}

TEST(HttpServer, AClientThatStopsReadingFailsTheWriteAtItsDeadline) {
  boost::asio::io_context context;
  Pair pair;
  Raw raw(pair.fd[1]);
  HttpLimits limits;
  limits.write_ns = 200'000'000;
  HttpServerConnection http(Stream(context, pair.fd[0]), limits);
  const std::string big(8u << 20, 'x');
  auto answer = [&]() -> awaitable<Result<void>> { co_return co_await http.respond(200, {}, big); };
  const auto result = run(context, answer());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::Unavailable);
  EXPECT_FALSE(http.is_open());
}

TEST(HttpServer, AStreamedAnswerIsChunkedAndEndsOnce) {
  boost::asio::io_context context;
  Pair pair;
  Raw raw(pair.fd[1]);
  HttpServerConnection http(Stream(context, pair.fd[0]), {});
  raw.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  auto stream = [&]() -> awaitable<void> {
    auto request = co_await http.read_request();
    (void)co_await http.begin(200, {});
    (void)co_await http.chunk("hello");
    (void)co_await http.chunk("");
    (void)co_await http.chunk(std::string(20, 'x'));
    (void)co_await http.end();
    http.close();
  };
  run(context, stream());
  const auto text = raw.read_all();
  EXPECT_NE(text.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\r\n\r\n5\r\nhello\r\n14\r\n" + std::string(20, 'x') + "\r\n0\r\n\r\n")) << text;
}

TEST(HttpServer, ClientGoneSeesTheEndAndKeepsANextRequest) {
  boost::asio::io_context context;
  Pair pair;
  Raw raw(pair.fd[1]);
  HttpServerConnection http(Stream(context, pair.fd[0]), {});
  raw.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
  auto flow = [&]() -> awaitable<std::string> {
    auto first = co_await http.read_request();
    raw.send("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    co_await http.client_gone();
    (void)co_await http.respond(200, {}, "");
    auto second = co_await http.read_request();
    raw.end();
    co_await http.client_gone();
    co_return (*first)->target + (*second)->target;
  };
  EXPECT_EQ(run(context, flow()), "/1/2");
}

TEST(HttpServer, ReadingTheNextRequestEndsAWatchOnTheClient) {
  boost::asio::io_context context;
  Pair pair;
  Raw raw(pair.fd[1]);
  HttpServerConnection http(Stream(context, pair.fd[0]), {});
  bool watched = false;
  auto watch = [&]() -> awaitable<void> {
    co_await http.client_gone();
    watched = true;
  };
  boost::asio::co_spawn(context, watch(), boost::asio::detached);
  context.poll();
  EXPECT_FALSE(watched);
  auto next = [&]() -> awaitable<std::string> { co_return (*co_await http.read_request())->target; };
  auto future = boost::asio::co_spawn(context, next(), boost::asio::use_future);
  context.poll();
  EXPECT_TRUE(watched);
  raw.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  context.run_for(std::chrono::seconds(2));
  EXPECT_EQ(future.get(), "/x");
}

TEST(HttpServer, AConnectionMovesToAnotherWorkerWithWhatItHasRead) {
  boost::asio::io_context one, two;
  Pair pair;
  Raw raw(pair.fd[1]);
  HttpServerConnection http(Stream(one, pair.fd[0]), {});
  raw.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  auto read = [](HttpServerConnection& connection) -> awaitable<std::string> { co_return (*co_await connection.read_request())->target; };
  EXPECT_EQ(run(one, read(http)), "/1");
  auto moved = std::move(http).migrate(two);
  EXPECT_EQ(run(two, read(moved)), "/2");
}

}  // namespace
}  // namespace sallyport::net
