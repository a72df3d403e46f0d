// The server's side of HTTP/1.1. See http.h.
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <ctime>

#include "net/http.h"
#include "net/http_check.h"

namespace sallyport::net {

using boost::asio::awaitable;
namespace http = boost::beast::http;

namespace {

constexpr std::size_t kPiece = 16u << 10;
constexpr std::size_t kMaxAhead = 64u << 10;     // pipelined bytes kept while an answer is under way
constexpr std::size_t kMaxExtensions = 1u << 10;  // chunk extensions of one request
constexpr std::size_t kMaxLine = 4u << 10;        // a chunk's line or the trailers, while they are incomplete
constexpr std::int64_t kLinger = 2'000'000'000;

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::ranges::equal(a, b, [](char x, char y) {
           const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
           return lower(x) == lower(y);
         });
}

const char* reason(unsigned status) {
  return http::obsolete_reason(static_cast<http::status>(status)).data();
}

/// IMF-fixdate, made once a second on each thread.
std::string_view date() {
  thread_local std::time_t made = 0;
  thread_local char text[32];
  const auto now = std::time(nullptr);
  if (now != made) {
    made = now;
    std::tm parts{};
    gmtime_r(&now, &parts);
    std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  }
  return text;
}

}  // namespace

std::string_view Headers::get(std::string_view name) const {
  for (const auto& [key, value] : fields_)
    if (same_name(key, name)) return value;
  return {};
}
std::size_t Headers::count(std::string_view name) const {
  return static_cast<std::size_t>(std::ranges::count_if(fields_, [&](const auto& field) { return same_name(field.first, name); }));
}

struct HttpServerConnection::State {
  State(Stream s, HttpLimits l) : stream(std::move(s)), limits(l) {}
  Stream stream;
  HttpLimits limits;
  std::string buffer;            // read, not yet part of a request
  bool keep_alive = true;        // of the request being answered
  bool http_1_0 = false, head_request = false;
  bool watching = false, stop_watching = false, peer_ended = false;

  /// Room in the buffer for the next read, and what came of that: false at the peer's end. No coroutine of their own.
  std::span<char> room() {
    const auto before = buffer.size();
    // Not zeroed: read into. The size that libstdc++ 12 passes on may be the capacity.
    buffer.resize_and_overwrite(before + kPiece, [&](char*, std::size_t) { return before + kPiece; });
    return {buffer.data() + before, kPiece};
  }
  bool filled(const Result<std::size_t>& got) {
    buffer.resize(buffer.size() - kPiece + (got ? *got : 0));
    return got && *got != 0;
  }

  std::string head(unsigned status, const Headers& headers) const {
    std::string out;
    out.reserve(256);
    out.append("HTTP/1.1 ").append(std::to_string(status)).append(" ").append(reason(status)).append("\r\nDate: ").append(date()).append("\r\n");
    for (const auto& [name, value] : headers.all())
      if (is_token(name) && is_field_value(value)) out.append(name).append(": ").append(value).append("\r\n");
    if (!keep_alive) out.append("Connection: close\r\n");
    else if (http_1_0) out.append("Connection: keep-alive\r\n");
    return out;
  }
  Deadline write_deadline() const { return after(limits.write_ns); }

  /// Says what is wrong, and closes so that the client can read it: unread bytes would make the kernel reset the connection.
  awaitable<void> refuse(unsigned status, std::string_view what) {
    keep_alive = false;
    Headers headers;
    headers.add("Content-Type", "text/plain; charset=utf-8");
    auto out = head(status, headers);
    out.append("Content-Length: ").append(std::to_string(what.size() + 1)).append("\r\n\r\n").append(what).append("\n");
    if (co_await stream.write(out, write_deadline())) {
      stream.end_writing();
      std::string sink(kPiece, '\0');
      const auto until = after(kLinger);
      for (std::size_t total = 0; total < (1u << 20);) {
        auto got = co_await stream.read_some(sink, until);
        if (!got || *got == 0) break;
        total += *got;
      }
    }
    stream.close();
  }
};

HttpServerConnection::HttpServerConnection(Stream stream, HttpLimits limits) : state_(std::make_unique<State>(std::move(stream), limits)) {}
HttpServerConnection::HttpServerConnection(HttpServerConnection&&) noexcept = default;
HttpServerConnection::~HttpServerConnection() = default;

namespace {

/// Feeds the parser what is buffered; what it took is dropped.
Result<bool> feed(http::request_parser<http::string_body>& parser, std::string& buffer) {
  while (!buffer.empty() && !parser.is_done()) {
    boost::beast::error_code error;
    const auto used = parser.put(boost::asio::const_buffer(buffer.data(), buffer.size()), error);
    if (error == http::error::need_more && used == 0) return false;
    if (error && error != http::error::need_more) {
      const bool large = error == http::error::body_limit;
      return fail(large ? ErrorKind::Overloaded : ErrorKind::Malformed, large ? "the body is too large" : "the body is not well-formed: " + error.message());
    }
    buffer.erase(0, used);
    if (error == http::error::need_more) return parser.is_done();
  }
  return parser.is_done();
}

}  // namespace

awaitable<Result<std::optional<HttpRequest>>> HttpServerConnection::read_request() {
  auto& s = *state_;
  if (s.watching) {
    // client_gone ends first: two reads at a time would tear the bytes apart.
    s.stop_watching = true;
    s.stream.wake();
    while (s.watching) co_await boost::asio::post(s.stream.context(), boost::asio::use_awaitable);
  }
  if (!s.keep_alive || s.peer_ended || !s.stream.is_open()) co_return std::optional<HttpRequest>{};
  std::size_t end = head_end(s.buffer);
  const Deadline idle = after(s.limits.idle_ns);
  Deadline whole = s.buffer.empty() ? kNever : after(s.limits.request_ns);
  while (end == std::string::npos) {
    if (s.buffer.size() > s.limits.header_bytes) {
      co_await s.refuse(431, "the header is too large");
      co_return fail(ErrorKind::Overloaded, "the header is too large");
    }
    const bool nothing_yet = s.buffer.empty();
    if (!s.filled(co_await s.stream.read_some(s.room(), nothing_yet ? idle : whole))) {
      // Silence or an end between two requests is how connections end.
      if (nothing_yet) {
        s.stream.close();
        co_return std::optional<HttpRequest>{};
      }
      s.stream.close();
      co_return fail(ErrorKind::Disconnected, "the connection ended within a request");
    }
    if (nothing_yet) {
      whole = after(s.limits.request_ns);
      // RFC 9112 §2.2: an empty line before a request is let pass, once.
      if (s.buffer.starts_with("\r\n")) s.buffer.erase(0, 2);
    }
    end = head_end(s.buffer);
  }
  if (end > s.limits.header_bytes) {
    co_await s.refuse(431, "the header is too large");
    co_return fail(ErrorKind::Overloaded, "the header is too large");
  }
  if (auto checked = check_request_head(std::string_view(s.buffer).substr(0, end)); !checked) {
    co_await s.refuse(400, checked.error().what);
    co_return std::unexpected(std::move(checked).error());
  }

  http::request_parser<http::string_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(s.limits.header_bytes) + 16);
  parser.body_limit(s.limits.body_bytes);
  parser.eager(false);
  boost::beast::error_code error;
  const auto used = parser.put(boost::asio::const_buffer(s.buffer.data(), end), error);
  if (error && error != http::error::need_more) {
    const bool large = error == http::error::body_limit;
    co_await s.refuse(large ? 413 : 400, large ? "the body is too large" : "the request is not well-formed: " + error.message());
    co_return fail(large ? ErrorKind::Overloaded : ErrorKind::Malformed, error.message());
  }
  s.buffer.erase(0, used);
  const auto& message = parser.get();
  s.http_1_0 = message.version() == 10;
  s.keep_alive = message.keep_alive();
  s.head_request = message.method() == http::verb::head;
  // Now, for trailers join the parser's fields: what comes behind the body is no header of the request.
  HttpRequest request;
  for (const auto& field : message) request.headers.add(std::string(field.name_string()), std::string(field.value()));
  std::size_t extensions = 0;
  auto on_chunk = [&extensions](std::uint64_t, boost::beast::string_view text, boost::beast::error_code& refused) {
    extensions += text.size();
    if (extensions > kMaxExtensions) refused = http::error::bad_chunk_extension;
  };
  parser.on_chunk_header(on_chunk);
  if (!parser.is_done()) {
    if (same_name(message[http::field::expect], "100-continue") && s.buffer.empty()) {
      if (auto sent = co_await s.stream.write("HTTP/1.1 100 Continue\r\n\r\n", s.write_deadline()); !sent) co_return std::unexpected(sent.error());
    }
    parser.eager(true);
    for (;;) {
      const auto done = feed(parser, s.buffer);
      // What the parser leaves is a line that is not whole yet: without a bound it would grow as long as somebody sends.
      const bool endless = done && !*done && s.buffer.size() > kMaxLine;
      if (!done || endless) {
        const bool large = !done && done.error().kind == ErrorKind::Overloaded;
        const std::string why = done ? "a chunk's line or the trailers do not end" : done.error().what;
        co_await s.refuse(large ? 413 : 400, why);
        co_return fail(large ? ErrorKind::Overloaded : ErrorKind::Malformed, why);
      }
      if (*done) break;
      if (!s.filled(co_await s.stream.read_some(s.room(), whole))) {
        s.stream.close();
        co_return fail(ErrorKind::Disconnected, "the connection ended within a request");
      }
    }
  }
  auto taken = parser.release();
  request.method = std::string(taken.method_string());
  request.target = std::string(taken.target());
  request.body = std::move(taken.body());
  request.keep_alive = s.keep_alive;
  co_return std::optional<HttpRequest>(std::move(request));
}

awaitable<Result<void>> HttpServerConnection::respond(unsigned status, const Headers& headers, std::string_view body) {
  auto& s = *state_;
  auto out = s.head(status, headers);
  const bool bodiless = status == 204 || status == 304;
  if (!bodiless) out.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  out.append("\r\n");
  const bool with_body = !bodiless && !s.head_request && !body.empty();
  // One write for what fits: a second one would be a second packet and a second wake-up of the client.
  if (with_body && body.size() <= 64u << 10) out.append(body);
  // Mostly it fits the socket's buffer: then nothing waits, and no coroutine is needed.
  CO_TRY(const auto sent, s.stream.write_now(out));
  const auto deadline = s.write_deadline();
  if (sent < out.size()) CO_TRY_VOID(co_await s.stream.write(std::string_view(out).substr(sent), deadline));
  if (with_body && body.size() > 64u << 10) CO_TRY_VOID(co_await s.stream.write(body, deadline));
  if (!s.keep_alive) s.stream.end_writing();
  co_return Result<void>{};
}

awaitable<Result<void>> HttpServerConnection::begin(unsigned status, const Headers& headers) {
  auto& s = *state_;
  if (s.http_1_0) s.keep_alive = false;  // no chunks there: the end of the connection is the end of the answer
  auto out = s.head(status, headers);
  if (!s.http_1_0) out.append("Transfer-Encoding: chunked\r\n");
  out.append("\r\n");
  co_return co_await s.stream.write(out, s.write_deadline());
}

awaitable<Result<void>> HttpServerConnection::chunk(std::string_view bytes) {
  auto& s = *state_;
  if (bytes.empty() || s.head_request) co_return Result<void>{};
  if (s.http_1_0) co_return co_await s.stream.write(bytes, s.write_deadline());
  std::string out = fmt::format("{:x}\r\n", bytes.size());
  out.append(bytes).append("\r\n");
  co_return co_await s.stream.write(out, s.write_deadline());
}

awaitable<Result<void>> HttpServerConnection::end() {
  auto& s = *state_;
  if (!s.http_1_0 && !s.head_request) CO_TRY_VOID(co_await s.stream.write("0\r\n\r\n", s.write_deadline()));
  if (!s.keep_alive) s.stream.end_writing();
  co_return Result<void>{};
}

awaitable<void> HttpServerConnection::client_gone() {
  auto& s = *state_;
  s.watching = true;
  s.stop_watching = false;
  std::string piece(kPiece, '\0');
  while (s.stream.is_open() && !s.stop_watching && s.buffer.size() < kMaxAhead) {
    const auto ready = co_await s.stream.readable(kNever);
    if (!ready || s.stop_watching) break;
    const auto got = s.stream.read_now(piece);
    if (!got) break;
    if (!*got) continue;  // a part of a TLS record
    if (**got == 0) s.peer_ended = true;
    s.buffer.append(piece, 0, **got);
    break;  // gone, or gone on to its next request
  }
  s.watching = false;
}

void HttpServerConnection::close() {
  if (state_) state_->stream.close();
}
bool HttpServerConnection::is_open() const { return state_ && state_->stream.is_open(); }
std::string HttpServerConnection::peer() const { return state_->stream.peer(); }
Stream& HttpServerConnection::stream() { return state_->stream; }

HttpServerConnection HttpServerConnection::migrate(boost::asio::io_context& to) && {
  HttpServerConnection moved(std::move(state_->stream).migrate(to), state_->limits);
  moved.state_->buffer = std::move(state_->buffer);
  moved.state_->keep_alive = state_->keep_alive;
  moved.state_->http_1_0 = state_->http_1_0;
  moved.state_->head_request = state_->head_request;
  return moved;
}

}  // namespace sallyport::net
