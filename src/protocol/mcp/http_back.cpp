#include "protocol/mcp/http_back.h"

#include "protocol/mcp/era.h"

#include <deque>

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kMaxErrorBody = 64u << 10;
constexpr std::int64_t kEndWait = 5'000'000'000;

/// The events of a stream, or a JSON body as the only one.
class HttpAnswers : public Answers {
 public:
  HttpAnswers(net::HttpExchange exchange, std::size_t max_message)
      : exchange_(std::move(exchange)), parser_(max_message), max_message_(exchange_.status() < 400 ? max_message : kMaxErrorBody) {
    const auto type = exchange_.headers().get("Content-Type");
    kind_ = exchange_.status() == 200 && type.starts_with("text/event-stream") ? Kind::Events : type.starts_with("application/json") ? Kind::Body : Kind::None;
  }

  awaitable<Result<std::optional<SseEvent>>> next(net::Deadline deadline) override {
    if (kind_ != Kind::Events) co_return co_await body(deadline);
    while (events_.empty()) {
      CO_TRY(const auto bytes, co_await exchange_.read_some(deadline));
      if (bytes.empty()) co_return std::nullopt;
      std::vector<SseEvent> complete;
      CO_TRY_VOID(parser_.feed(bytes, complete));
      for (auto& event : complete) {
        // MCP has one type of event, and a name of the gateway's own is not a target's to say. The id counts all the same.
        if (!event.event.empty() && event.event != "message") event.event.clear(), event.data.clear();
        if (!event.data.empty() || event.id || event.retry) events_.push_back(std::move(event));
      }
    }
    auto out = std::move(events_.front());
    events_.pop_front();
    co_return out;
  }
  void close() override { exchange_.close(); }
  unsigned status() const override { return exchange_.status(); }

 private:
  enum class Kind { Events, Body, None };
  awaitable<Result<std::optional<SseEvent>>> body(net::Deadline deadline) {
    if (std::exchange(read_, true)) co_return std::nullopt;
    CO_TRY(auto text, co_await exchange_.read_all(max_message_, deadline));
    if (kind_ == Kind::None) co_return std::nullopt;
    SseEvent out;
    out.data = std::move(text);
    co_return out;
  }
  net::HttpExchange exchange_;
  SseParser parser_;
  std::deque<SseEvent> events_;
  std::size_t max_message_;
  Kind kind_;
  bool read_ = false;
};

}  // namespace

net::Headers HttpBack::headers(bool stream_only) const {
  net::Headers out;
  if (!stream_only) out.add("Content-Type", "application/json");
  out.add("Accept", stream_only ? "text/event-stream" : "application/json, text/event-stream");
  if (!version_.empty()) out.add("MCP-Protocol-Version", version_);
  if (!session_.empty()) out.add("Mcp-Session-Id", session_);
  return out;
}

net::Headers HttpBack::naming(const Message& request) const {
  auto out = headers(false);
  if (version_ != kModern) return out;
  out.add("Mcp-Method", request.method);
  if (const auto name = mirrored_name(request)) out.add("Mcp-Name", header_encoded(*name));
  for (const auto& [name, value] : request.mirrored) out.add(name, value);
  return out;
}

std::unique_ptr<Answers> HttpBack::answers_to(const Message& request, net::HttpExchange exchange) {
  if (request.method == "initialize") session_ = std::string(exchange.headers().get("Mcp-Session-Id"));
  else if (exchange.status() == 404 && !session_.empty()) lost_ = true;
  return std::make_unique<HttpAnswers>(std::move(exchange), max_message_);
}

awaitable<Result<std::unique_ptr<Answers>>> HttpBack::request(target::Permit permit, const Message& request, net::Recall* recall) {
  CO_TRY(auto exchange, co_await link_->send(std::move(permit), "POST", naming(request), recall));
  co_return answers_to(request, std::move(exchange));
}

awaitable<Result<std::unique_ptr<Answers>>> HttpBack::offer(target::Permit& permit, const Message& initialize) {
  CO_TRY(auto exchange, co_await link_->offer(permit, naming(initialize)));
  co_return answers_to(initialize, std::move(exchange));
}

awaitable<Result<void>> HttpBack::post(target::Permit permit) {
  CO_TRY(auto exchange, co_await link_->send(std::move(permit), "POST", headers(false)));
  const auto status = exchange.status();
  (void)co_await exchange.read_all(kMaxErrorBody, net::after(silence_ns_));
  if (status == 404 && !session_.empty()) lost_ = true;
  if (status >= 300) co_return fail(ErrorKind::Unavailable, "HTTP " + std::to_string(status));
  co_return Result<void>{};
}

awaitable<Result<std::unique_ptr<Answers>>> HttpBack::listen(target::Permit permit, std::string last_event_id) {
  auto with_id = headers(true);
  if (!last_event_id.empty()) with_id.add("Last-Event-ID", last_event_id);
  CO_TRY(auto exchange, co_await link_->send(std::move(permit), "GET", std::move(with_id)));
  if (exchange.status() == 404 && !session_.empty()) lost_ = true;
  if (exchange.status() == 200 && !exchange.headers().get("Content-Type").starts_with("text/event-stream"))
    co_return fail(ErrorKind::Unavailable, "the target answered GET with something else than a stream");
  co_return std::make_unique<HttpAnswers>(std::move(exchange), max_message_);
}

awaitable<Result<void>> HttpBack::end(target::Permit permit) {
  CO_TRY(auto exchange, co_await link_->send(std::move(permit), "DELETE", headers(true)));
  (void)co_await exchange.read_all(kMaxErrorBody, net::after(kEndWait));
  co_return Result<void>{};
}

}  // namespace sallyport::protocol::mcp
