// The client's side of HTTP/1.1 and its pool. See http.h.
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "base/clock.h"
#include "net/http.h"
#include "net/http_check.h"
#include "net/tls.h"

namespace sallyport::net {

using boost::asio::awaitable;
namespace http = boost::beast::http;

namespace {

constexpr std::size_t kPiece = 16u << 10;
constexpr std::size_t kTogether = 64u << 10;      // head and body up to this go out in one write
constexpr std::size_t kMaxLine = 4u << 10;        // a chunk's line or the trailers, while they are incomplete
constexpr std::size_t kMaxHead = 64u << 10;
constexpr std::int64_t kMaxIdle = 4'000'000'000;  // Node closes after five seconds: a connection that old is left alone
constexpr int kMaxInterim = 8;

bool same_name(std::string_view name, std::string_view lower) {
  return name.size() == lower.size() && std::ranges::equal(name, lower, [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x | 0x20 : x) == y; });
}

struct Pooled {
  Stream stream;
  std::int64_t since = 0;
};

}  // namespace

struct HttpClient::State {
  boost::asio::io_context& context;
  Url origin;
  std::shared_ptr<const TlsClient> tls;
  std::size_t max_idle;
  std::vector<Pooled> idle;  // the last is the youngest

  std::optional<Stream> take() {
    const auto now = system_clock().mono_ns();
    while (!idle.empty()) {
      Pooled one = std::move(idle.back());
      idle.pop_back();
      if (now - one.since < kMaxIdle && one.stream.idle_and_healthy()) return std::move(one.stream);
    }
    return std::nullopt;
  }
  void give_back(Stream stream) {
    if (idle.size() >= max_idle) idle.erase(idle.begin());
    idle.push_back({std::move(stream), system_clock().mono_ns()});
  }
  awaitable<Result<Stream>> connect(Deadline deadline) {
    CO_TRY(auto stream, co_await dial(context, origin.host, origin.port, deadline));
    if (tls) CO_TRY_VOID(co_await stream.connect_tls(*tls, origin.host, deadline));
    co_return stream;
  }
};

struct HttpExchange::State {
  State(std::shared_ptr<HttpClient::State> owner, Stream s) : pool(std::move(owner)), stream(std::move(s)) {
    parser.header_limit(kMaxHead + 16);
    parser.body_limit(boost::none);
    parser.eager(false);
  }
  ~State() { finish(); }

  /// Back to the pool when the answer is whole and nothing follows it, else closed.
  void finish() {
    if (!stream.is_open()) return;
    if (done && parser.get().keep_alive() && buffer.size() == offset && stream.idle_and_healthy()) pool->give_back(std::move(stream));
    else stream.close();
  }
  std::string_view unread() const { return std::string_view(buffer).substr(offset); }

  std::shared_ptr<HttpClient::State> pool;
  Stream stream;
  http::response_parser<http::buffer_body> parser;
  Headers headers;
  std::string buffer;       // read from the socket, from `offset` on not yet parsed
  std::size_t offset = 0;
  std::string piece;        // handed out by read_some
  bool done = false, any_byte = false;

  awaitable<Result<bool>> more(Deadline deadline) {
    buffer.erase(0, std::exchange(offset, 0));  // what is left is a part of a line at most
    const auto before = buffer.size();
    buffer.resize_and_overwrite(before + kPiece, [](char*, std::size_t size) { return size; });  // not zeroed: read into
    auto got = co_await stream.read_some({buffer.data() + before, kPiece}, deadline);
    buffer.resize(before + (got ? *got : 0));
    if (!got) co_return std::unexpected(std::move(got).error());
    any_byte = any_byte || *got != 0;
    co_return *got != 0;
  }

  awaitable<Result<void>> read_head(bool no_body, Deadline deadline) {
    for (int interim = 0;;) {
      std::size_t end = head_end(unread());
      while (end == std::string::npos) {
        if (unread().size() > kMaxHead) co_return fail(ErrorKind::Overloaded, "the answer's header is too large");
        CO_TRY(const bool alive, co_await more(deadline));
        if (!alive) co_return fail(ErrorKind::Disconnected, "the connection ended before an answer");
        end = head_end(unread());
      }
      const auto head = unread().substr(0, end);
      CO_TRY_VOID(check_answer_head(head));
      if (head.size() > 12 && head[9] == '1' && head.substr(9, 3) != "101") {
        if (++interim > kMaxInterim) co_return fail(ErrorKind::Malformed, "too many interim answers");
        offset += end;
        continue;
      }
      if (no_body) parser.skip(true);
      boost::beast::error_code error;
      const auto used = parser.put(boost::asio::const_buffer(head.data(), head.size()), error);
      if (error && error != http::error::need_more && error != http::error::need_buffer)
        co_return fail(ErrorKind::Malformed, "the answer is not well-formed: " + error.message());
      offset += used;
      if (parser.get().result_int() == 101) co_return fail(ErrorKind::Malformed, "the target switched protocols unasked");
      for (const auto& field : parser.get()) headers.add(std::string(field.name_string()), std::string(field.value()));
      done = parser.is_done();
      parser.eager(true);
      co_return Result<void>{};
    }
  }

  awaitable<Result<std::string_view>> read_some(Deadline deadline) {
    if (piece.empty()) piece.resize_and_overwrite(kPiece, [](char*, std::size_t size) { return size; });
    while (!done) {
      auto& body = parser.get().body();
      body.data = piece.data();
      body.size = piece.size();
      body.more = true;
      if (!unread().empty()) {
        boost::beast::error_code error;
        const auto text = unread();
        const auto used = parser.put(boost::asio::const_buffer(text.data(), text.size()), error);
        offset += used;
        if (error && error != http::error::need_more && error != http::error::need_buffer) {
          stream.close();
          co_return fail(ErrorKind::Malformed, "the answer's body is not well-formed: " + error.message());
        }
        done = parser.is_done();
        const std::size_t filled = piece.size() - body.size;
        if (filled != 0) co_return std::string_view(piece).substr(0, filled);
        if (done) break;
        if (used != 0 && !unread().empty()) continue;
        if (unread().size() > kMaxLine) {
          stream.close();
          co_return fail(ErrorKind::Malformed, "a chunk's line or the trailers of the answer do not end");
        }
      }
      CO_TRY(const bool alive, co_await more(deadline));
      if (alive) continue;
      boost::beast::error_code error;
      parser.put_eof(error);
      stream.close();
      if (error) co_return fail(ErrorKind::Disconnected, "the connection ended within the answer");
      done = true;
    }
    finish();
    co_return std::string_view{};
  }
};

HttpExchange::HttpExchange(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpExchange::HttpExchange(HttpExchange&&) noexcept = default;
HttpExchange& HttpExchange::operator=(HttpExchange&&) noexcept = default;
HttpExchange::~HttpExchange() = default;
unsigned HttpExchange::status() const { return state_->parser.get().result_int(); }
const Headers& HttpExchange::headers() const { return state_->headers; }
awaitable<Result<std::string_view>> HttpExchange::read_some(Deadline deadline) { return state_->read_some(deadline); }

awaitable<Result<std::string>> HttpExchange::read_all(std::size_t limit, Deadline deadline) {
  std::string out;
  for (;;) {
    CO_TRY(const auto piece, co_await state_->read_some(deadline));
    if (piece.empty()) co_return out;
    if (out.size() + piece.size() > limit) {
      state_->stream.close();
      co_return fail(ErrorKind::Overloaded, fmt::format("the answer is over {} bytes", limit));
    }
    out.append(piece);
  }
}

void HttpExchange::close() { state_->stream.close(); }

HttpClient::HttpClient(boost::asio::io_context& context, Url origin, std::shared_ptr<const TlsClient> tls, std::size_t max_idle)
    : state_(std::make_shared<State>(context, std::move(origin), std::move(tls), max_idle, std::vector<Pooled>{})) {}
HttpClient::~HttpClient() = default;

awaitable<Result<HttpExchange>> HttpClient::send(const std::string& method, const std::string& target, const Headers& headers,
                                                 std::string_view body, bool retry_safe, Deadline deadline, Recall* recall) {
  const auto state = state_;
  if (!is_token(method) || !target.starts_with('/') || target.find_first_of(" \t\r\n") != std::string::npos || target.find('\0') != std::string::npos)
    co_return fail(ErrorKind::Malformed, "the request line holds a character that is not allowed");
  std::string out;
  out.reserve(512 + (body.size() <= kTogether ? body.size() : 0));
  out.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: ").append(state->origin.authority).append("\r\n");
  for (const auto& [name, value] : headers.all()) {
    // What frames the message is written here and nowhere else.
    for (const auto own : {"host", "content-length", "transfer-encoding", "connection"})
      if (same_name(name, own)) co_return fail(ErrorKind::Malformed, "the header " + name + " is the connection's own");
    if (!is_token(name) || !is_field_value(value)) co_return fail(ErrorKind::Malformed, "the header " + name + " holds a character that is not allowed");
    out.append(name).append(": ").append(value).append("\r\n");
  }
  const bool has_body = method != "GET" && method != "DELETE" && method != "HEAD";
  if (has_body) out.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  out.append("\r\n");
  const bool together = body.size() <= kTogether;
  if (has_body && together) out.append(body);

  for (bool again = false;; again = true) {
    auto pooled = again ? std::nullopt : state->take();
    const bool reused = pooled.has_value();
    if (!reused) {
      auto fresh = co_await state->connect(deadline);
      if (!fresh) co_return std::unexpected(std::move(fresh).error());
      pooled = std::move(*fresh);
    }
    auto exchange = std::make_unique<HttpExchange::State>(state, std::move(*pooled));
    if (recall != nullptr && recall->pulled()) co_return fail(ErrorKind::Disconnected, "the request was taken back before it was sent");
    const Recall::Lent lent(recall, [open = exchange.get()] { open->stream.close(); });
    auto sent = co_await exchange->stream.write(out, deadline);
    if (sent && has_body && !together) sent = co_await exchange->stream.write(body, deadline);
    if (sent) sent = co_await exchange->read_head(method == "HEAD", deadline);
    if (sent) co_return HttpExchange(std::move(exchange));
    // A pooled connection may have been closed just now by the other side; only what may run twice is sent again.
    const bool retry = reused && retry_safe && !exchange->any_byte && sent.error().kind == ErrorKind::Disconnected;
    if (!retry) co_return std::unexpected(std::move(sent).error());
  }
}

}  // namespace sallyport::net
