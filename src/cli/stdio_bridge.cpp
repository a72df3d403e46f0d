#include "cli/stdio_bridge.h"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/bytes.h"
#include "cli/client.h"
#include "protocol/mcp/message.h"

namespace sallyport::cli {

using boost::asio::awaitable;
namespace code = protocol::mcp::code;

namespace {

constexpr std::size_t kMaxMessage = 64u << 20;
constexpr std::size_t kMaxCalls = 128;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kAnswer = 2 * 3600 * kSecond;    // targets may be silent for an hour, and a call may be held before
constexpr std::int64_t kSend = 60 * kSecond;
constexpr std::int64_t kFirstRetry = kSecond, kLongestRetry = 30 * kSecond;
constexpr std::size_t kRetries = 5;                     // of one answer's stream
constexpr std::string_view kModern = "io.modelcontextprotocol/protocolVersion";

/// A value as a header (2026-07-28): what is no plain visible text goes as Base64.
std::string header_value(std::string_view text) {
  const bool plain = !text.empty() && text.front() != ' ' && text.back() != ' ' && std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; }) && !text.starts_with("=?base64?");
  return plain ? std::string(text) : "=?base64?" + base64(as_bytes(text)) + "?=";
}

bool is_stream(const net::HttpExchange& exchange) { return exchange.headers().get("Content-Type").starts_with("text/event-stream"); }

}  // namespace

StdioBridge::StdioBridge(boost::asio::io_context& context, net::Url url, std::shared_ptr<const net::TlsClient> tls, std::function<Result<std::string>()> token)
    : context_(context), url_(url), client_(context, std::move(url), std::move(tls)), token_(std::move(token)), changed_(context) {}

Result<net::Headers> StdioBridge::headers(const json::Value& message) const {
  TRY(const auto token, token_());
  net::Headers out;
  out.add("Authorization", "Bearer " + token);
  out.add("Accept", message.valid() ? "application/json, text/event-stream" : "text/event-stream");
  if (message.valid()) out.add("Content-Type", "application/json");
  const auto params = message["params"];
  if (const auto modern = params["_meta"][kModern]; modern.is_string()) {
    out.add("MCP-Protocol-Version", header_value(modern.as_string()));
    out.add("Mcp-Method", header_value(message["method"].as_string()));
    const auto name = params[message["method"].as_string() == "resources/read" ? "uri" : "name"];
    if (name.is_string()) out.add("Mcp-Name", header_value(name.as_string()));
    return out;
  }
  if (message["method"].as_string() == "initialize") return out;
  if (!session_.empty()) out.add("Mcp-Session-Id", session_);
  if (!version_.empty()) out.add("MCP-Protocol-Version", version_);
  return out;
}

awaitable<Result<net::HttpExchange>> StdioBridge::send(std::string method, const net::Headers& headers, std::string body) {
  return client_.send(method, url_.target, headers, body, /*retry_safe=*/method == "GET", net::after(method == "POST" ? kAnswer : kSend));
}

/// stdout is the client's alone: if it does not read, there is nobody else to serve.
void StdioBridge::deliver(std::string text, Call* call) {
  if (const auto said = json::Document::parse(text); said && call != nullptr && said->root()["id"].raw() == call->id && !said->root()["method"].valid()) {
    if (call->cancelled || std::exchange(call->answered, true)) return;
    if (call->initialize) version_ = std::string(said->root()["result"]["protocolVersion"].as_string());
  }
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  text.push_back('\n');
  for (std::string_view rest = text; !rest.empty();) {
    const auto put = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return;  // the client is gone: its end of stdin ends us
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
}

void StdioBridge::fail(Call& call, std::string why) {
  if (call.cancelled || call.answered) return;
  deliver(protocol::mcp::error_text(call.id, code::kUnavailable, why), nullptr);
  call.answered = true;
}

/// What a refusal means for the client.
std::string StdioBridge::refused(unsigned status, const std::string& body) {
  const auto said = json::Document::parse(body);
  std::string why = said ? std::string(said->root()["error"]["message"].as_string()) : "";
  if (why.empty()) why = "the gateway answered HTTP " + std::to_string(status);
  if (status == 401) why += "; sign in with: sallyport login";
  if (status == 404 && !session_.empty()) {
    session_.clear();
    version_.clear();
    ++sessions_;
    if (listening_ != nullptr) listening_->close();
    why += "; the session is lost and what the server kept in it: start this command anew";
  }
  return why;
}

awaitable<void> StdioBridge::take(std::string line) {
  if (line.find_first_not_of(" \t\r") == std::string::npos) co_return;
  auto document = json::Document::parse(line);
  if (!document || !document->root().is_object()) {
    deliver(protocol::mcp::error_text("null", code::kParse, document ? "a message is one JSON object" : document.error().what), nullptr);
    co_return;
  }
  const auto root = document->root();
  const auto method = std::string(root["method"].as_string());
  const std::string id(root["id"].raw());
  auto with = headers(root);
  if (method == "notifications/cancelled") {
    const auto at = calls_.find(std::string(root["params"]["requestId"].raw()));
    if (at != calls_.end()) at->second->cancelled = true;
    if (at != calls_.end() && at->second->modern) {
      if (at->second->exchange != nullptr) at->second->exchange->close();
      co_return;
    }
  }
  if (method.empty() || id.empty()) {
    if (with) co_await one_way(std::move(line), std::move(*with));
    if (method == "notifications/initialized" && !session_.empty()) boost::asio::co_spawn(context_, listen(), boost::asio::detached);
    co_return;
  }
  auto call = std::make_shared<Call>();
  call->id = id;
  call->modern = root["params"]["_meta"][kModern].is_string();
  if (!with) co_return fail(*call, with.error().what);
  if (calls_.size() >= kMaxCalls || !calls_.try_emplace(id, call).second) co_return fail(*call, "too many requests are running, or one with this id");
  // Everything after it needs the session that it begins.
  call->initialize = method == "initialize";
  if (call->initialize) co_return co_await request(std::move(line), std::move(call), std::move(*with));
  boost::asio::co_spawn(context_, request(std::move(line), std::move(call), std::move(*with)), boost::asio::detached);
}

awaitable<void> StdioBridge::request(std::string line, CallPtr call, net::Headers headers) {
  struct Done {
    StdioBridge& bridge;
    CallPtr call;
    ~Done() {
      call->exchange = nullptr;
      bridge.calls_.erase(call->id);
      bridge.changed_.changed();
    }
  } const done{*this, call};
  auto exchange = co_await send("POST", headers, std::move(line));
  if (!exchange) co_return fail(*call, "the gateway cannot be reached: " + exchange.error().what);
  call->exchange = &*exchange;
  if (call->initialize && exchange->status() == 200) {
    session_ = std::string(exchange->headers().get("Mcp-Session-Id"));
    version_.clear();
    ++sessions_;
  }
  if (exchange->status() == 200 && is_stream(*exchange)) {
    std::string last;
    std::int64_t retry_ns = kFirstRetry;
    const bool whole = co_await read_events(*exchange, call.get(), last, retry_ns);
    if (!call->answered && !call->cancelled && !last.empty()) co_await resume(*call, std::move(last), retry_ns);
    co_return fail(*call, whole ? "the gateway ended the stream without an answer" : "the stream of the answer broke");
  }
  auto body = co_await exchange->read_all(kMaxMessage, net::after(kAnswer));
  if (!body) co_return fail(*call, "the answer was cut short: " + body.error().what);
  if (exchange->status() == 202) co_return;
  const auto said = json::Document::parse(*body);
  // A refusal of the session as a whole is told in words of ours; an answer to this very request is passed on.
  if (!said || said->root()["id"].raw() != call->id) co_return fail(*call, refused(exchange->status(), *body));
  deliver(std::move(*body), call.get());
}

awaitable<void> StdioBridge::one_way(std::string line, net::Headers headers) {
  auto exchange = co_await send("POST", headers, std::move(line));
  if (!exchange) {
    fmt::print(stderr, "sallyport: the gateway cannot be reached: {}\n", printable(exchange.error().what));
    co_return;
  }
  const auto body = co_await exchange->read_all(kMaxMessage, net::after(kSend));
  // Nobody waits for an answer; what is lost is found out by the next request.
  if (exchange->status() >= 300) fmt::print(stderr, "sallyport: {}\n", printable(refused(exchange->status(), body ? *body : "")));
}

awaitable<bool> StdioBridge::read_events(net::HttpExchange& exchange, Call* call, std::string& last, std::int64_t& retry_ns) {
  protocol::mcp::SseParser parser(kMaxMessage);
  for (;;) {
    const auto bytes = co_await exchange.read_some(net::after(kAnswer));
    if (!bytes) co_return false;
    if (bytes->empty()) co_return true;
    std::vector<protocol::mcp::SseEvent> events;
    if (!parser.feed(*bytes, events)) co_return false;
    for (auto& event : events) {
      if (event.id) last = *event.id;
      if (event.retry && event.retry->size() < 9) retry_ns = std::min<std::int64_t>(std::stoll(*event.retry) * 1'000'000, kLongestRetry);
      if (!event.data.empty()) deliver(std::move(event.data), call);
    }
  }
}

/// The answer is asked for again where its stream broke, or was ended early by the server (SEP-1699).
awaitable<void> StdioBridge::resume(Call& call, std::string last, std::int64_t retry_ns) {
  for (std::size_t i = 0; i < kRetries && !call.answered && !call.cancelled && !ending_; ++i) {
    net::Condition pause(context_);
    (void)co_await pause.wait(net::after(retry_ns));
    auto with = headers({});
    if (!with) co_return;
    with->add("Last-Event-ID", last);
    auto exchange = co_await send("GET", *with, "");
    if (!exchange) continue;
    if (exchange->status() != 200 || !is_stream(*exchange)) co_return;
    call.exchange = &*exchange;
    (void)co_await read_events(*exchange, &call, last, retry_ns);
    call.exchange = nullptr;
  }
}

awaitable<void> StdioBridge::listen() {
  const auto mine = sessions_;
  std::string last;
  std::int64_t retry_ns = kFirstRetry;
  for (std::int64_t failures = 0; mine == sessions_ && !ending_;) {
    auto with = headers({});
    if (with && !last.empty()) with->add("Last-Event-ID", last);
    auto exchange = with ? co_await send("GET", *with, "") : Result<net::HttpExchange>(std::unexpected(with.error()));
    if (mine != sessions_ || ending_) co_return;
    if (exchange && exchange->status() == 200 && is_stream(*exchange)) {
      failures = 0;
      listening_ = &*exchange;
      (void)co_await read_events(*exchange, nullptr, last, retry_ns);
      listening_ = nullptr;
    } else if (exchange && exchange->status() < 500 && exchange->status() != 401 && exchange->status() != 429) {
      // 405: the target offers none. 404: the next request will tell.
      co_return;
    } else {
      ++failures;
    }
    net::Condition pause(context_);
    (void)co_await pause.wait(net::after(std::min(retry_ns << std::min<std::int64_t>(failures, 5), kLongestRetry)));
  }
}

awaitable<void> StdioBridge::end(std::int64_t patience_ns) {
  const auto until = net::after(patience_ns);
  while (!calls_.empty())
    if (!co_await changed_.wait(until)) break;
  ending_ = true;
  if (session_.empty()) co_return;
  if (auto with = headers({})) {
    auto exchange = co_await send("DELETE", *with, "");
    if (exchange) (void)co_await exchange->read_all(kMaxMessage, net::after(2 * kSecond));
  }
}

}  // namespace sallyport::cli
