#include "protocol/mcp/modern_bridge.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <algorithm>
#include <deque>

#include "protocol/mcp/answer.h"
#include "protocol/mcp/bridge_text.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

constexpr int kMaxRounds = 16;

SseEvent event_of(std::string text, std::string_view name = "message") {
  SseEvent out;
  out.event = std::string(name);
  out.data = std::move(text);
  return out;
}

bool is_local(std::string_view method) {
  return method == "ping" || method == "logging/setLevel" || method == "resources/subscribe" || method == "resources/unsubscribe";
}

class LocalAnswers : public Answers {
 public:
  explicit LocalAnswers(std::string text) : text_(std::move(text)) {}
  awaitable<Result<std::optional<SseEvent>>> next(net::Deadline) override {
    if (text_.empty()) co_return std::nullopt;
    co_return event_of(std::exchange(text_, {}));
  }
  void close() override {}

 private:
  std::string text_;
};

}  // namespace

/// One call, over as many rounds as the target asks for. Between rounds it waits for what the client answers.
class ModernBridge::CallAnswers : public Answers {
 public:
  CallAnswers(ModernBridge& bridge, const Message& request)
      : bridge_(bridge), id_(request.id_text()), wire_id_(id_), method_(request.method), request_(std::string(request.text())), mirrored_(request.mirrored) { bridge_.calls_[id_] = this; }
  ~CallAnswers() override {
    std::erase_if(bridge_.calls_, [this](const auto& one) { return one.second == this; });
    std::erase_if(bridge_.asked_, [this](const auto& one) { return one.second == this; });
    std::erase_if(bridge_.retries_, [this](const auto& one) { return one.second == this; });
  }

  awaitable<Result<std::optional<SseEvent>>> next(net::Deadline deadline) override {
    while (!closed_) {
      if (!queue_.empty()) {
        auto out = std::move(queue_.front());
        queue_.pop_front();
        co_return out;
      }
      if (!refused_.empty()) co_return event_of(error_text(id_, code::kInternal, "the client refused what the target asked for: " + std::exchange(refused_, {})));
      if (!keys_.empty()) {
        CO_TRY_VOID(co_await wait(deadline));
        continue;
      }
      if (asks_again_) {
        asks_again_ = false;
        inner_.reset();
        co_return event_of(made_again(), kOwnMessage);
      }
      if (!inner_) co_return fail(ErrorKind::Unavailable, "the call could not be made again");
      CO_TRY(auto event, co_await inner_->next(deadline));
      if (!event) co_return std::nullopt;
      auto message = parse_message(std::move(event->data), From::Server, SIZE_MAX);
      if (!message) co_return fail(ErrorKind::Malformed, message.error().what);
      if (message->kind == Message::Kind::Request) continue;  // this era's targets ask by results only
      if (message->kind == Message::Kind::Notification) co_return event_of(std::string(message->text()));
      if (message->id_text() != wire_id_) continue;
      if (auto out = answered(*message)) co_return out;
    }
    co_return fail(ErrorKind::Disconnected, "closed");
  }
  void close() override {
    closed_ = true;
    again_.pull();
    if (inner_) inner_->close();
    if (wake_ != nullptr) wake_->cancel();
  }
  unsigned status() const override { return inner_ ? inner_->status() : 200; }

  /// The client's answer to the request `id`.
  void take(const std::string& id, const Message& answer) {
    const auto at = keys_.find(id);
    if (at == keys_.end()) return;
    const auto [key, method] = at->second;
    keys_.erase(at);
    if (answer.kind == Message::Kind::Response) responses_ += (responses_.empty() ? "" : ",") + json::quote(key) + ":" + std::string(answer.result.raw());
    else if (method == "elicitation/create") responses_ += (responses_.empty() ? "" : ",") + json::quote(key) + R"(:{"action":"cancel"})";
    else refused_ = method + ": " + std::string(answer.error["message"].as_string().substr(0, 200));
    if (wake_ != nullptr) wake_->cancel();
  }
  void go_on(std::unique_ptr<Answers> inner) { inner_ = std::move(inner); }
  const std::vector<std::pair<std::string, std::string>>& mirrored() const { return mirrored_; }
  const std::string& wire_id() const { return wire_id_; }
  /// Takes back the round that is being sent.
  net::Recall& again() { return again_; }

 private:
  awaitable<Result<void>> wait(net::Deadline deadline) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    timer.expires_at(deadline == net::kNever ? std::chrono::steady_clock::time_point::max() : std::chrono::steady_clock::time_point(std::chrono::nanoseconds(deadline)));
    wake_ = &timer;
    boost::system::error_code stopped;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, stopped));
    wake_ = nullptr;
    if (!stopped) co_return fail(ErrorKind::Unavailable, "the client gave no answer to what the target asked for");
    co_return Result<void>{};
  }
  std::optional<SseEvent> answered(const Message& message) {
    if (message.kind == Message::Kind::Error || !is_input_required(message.result)) {
      json::Splice splice;
      splice.replace(message.id, id_);
      return event_of(splice.apply(message.text()));
    }
    if (++rounds_ > kMaxRounds) return event_of(error_text(id_, code::kUnavailable, "the target asked for more input again and again"));
    state_ = message.result["requestState"].valid() ? std::string(message.result["requestState"].raw()) : "";
    responses_.clear();
    asks_again_ = true;
    for (const auto one : message.result["inputRequests"]) {
      const auto id = bridge_.next_id();
      keys_[id] = {std::string(one.key()), std::string(one["method"].as_string())};
      bridge_.asked_[id] = this;
      std::string text = R"({"jsonrpc":"2.0","id":)" + id + R"(,"method":)" + json::quote(one["method"].as_string());
      if (one["params"].valid()) text += R"(,"params":)" + std::string(one["params"].raw());
      queue_.push_back(event_of(text + "}"));
    }
    return std::nullopt;
  }
  /// The same call with what the client said. The state is the target's: nobody else has seen it.
  std::string made_again() {
    wire_id_ = bridge_.next_id();
    bridge_.retries_[wire_id_] = this;
    const auto request = parse_message(request_, From::Client, SIZE_MAX);
    if (!request) return "";
    auto text = modern_request(*request, wire_id_, bridge_.meta());
    std::string more;
    if (!responses_.empty()) more += R"("inputResponses":{)" + responses_ + "},";
    if (!state_.empty()) more += R"("requestState":)" + state_ + ",";
    text.insert(text.find(R"("params":{)") + 10, more);
    return text;
  }

  ModernBridge& bridge_;
  std::string id_, wire_id_, method_, request_;
  std::vector<std::pair<std::string, std::string>> mirrored_;
  std::unique_ptr<Answers> inner_;
  net::Recall again_;
  std::deque<SseEvent> queue_;
  std::map<std::string, std::pair<std::string, std::string>, std::less<>> keys_;  // open: raw id -> key, method
  std::string responses_, state_, refused_;
  boost::asio::steady_timer* wake_ = nullptr;
  bool asks_again_ = false, closed_ = false;
  int rounds_ = 0;
};

/// subscriptions/listen as the stream that a legacy client opens with GET; made anew when the client subscribes to more.
class ModernBridge::ListenAnswers : public Answers {
 public:
  ListenAnswers(ModernBridge& bridge, std::unique_ptr<Answers> inner) : bridge_(bridge), inner_(std::move(inner)) { bridge_.listeners_.insert(this); }
  ~ListenAnswers() override { bridge_.listeners_.erase(this); }
  awaitable<Result<std::optional<SseEvent>>> next(net::Deadline deadline) override {
    for (;;) {
      if (std::exchange(anew_, false)) {
        auto text = bridge_.listening();
        wanted_ = bridge_.last_id_;
        co_return event_of(std::move(text), kOwnMessage);
      }
      auto event = co_await inner_->next(deadline);
      if (anew_) continue;
      if (!event) co_return std::unexpected(event.error());
      if (!*event) co_return std::nullopt;
      auto message = parse_message(std::move((*event)->data), From::Server, SIZE_MAX);
      if (!message || message->kind != Message::Kind::Notification || message->method == "notifications/subscriptions/acknowledged") continue;
      co_return event_of(std::string(message->text()));
    }
  }
  void close() override { inner_->close(); }
  /// The subscriptions have changed: what is being read ends, and another stream takes its place.
  void renew() {
    anew_ = true;
    inner_->close();
  }
  /// True when it waited for the answer to this listen request.
  bool go_on(std::string_view id, std::unique_ptr<Answers>& inner) {
    if (id != "\"sallyport-" + std::to_string(wanted_) + "\"") return false;
    inner_ = std::move(inner);
    return true;
  }

 private:
  ModernBridge& bridge_;
  std::unique_ptr<Answers> inner_;
  std::uint64_t wanted_ = 0;
  bool anew_ = false;
};

ModernBridge::~ModernBridge() = default;

std::string ModernBridge::meta() const {
  std::string out = json::quote(kMetaVersion) + ":" + json::quote(kModern) + "," + json::quote(kMetaClient) + ":" + client_info_ + "," + json::quote(kMetaCapabilities) + ":" + capabilities_;
  if (!level_.empty()) out += "," + json::quote(kMetaLogLevel) + ":" + json::quote(level_);
  return out;
}

std::string ModernBridge::listening() {
  std::string uris;
  for (const auto& one : subscribed_) uris += (uris.empty() ? "" : ",") + json::quote(one);
  return R"({"jsonrpc":"2.0","id":)" + next_id() + R"(,"method":"subscriptions/listen","params":{"_meta":{)" + meta() +
         R"(},"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":[)" + uris + "]}}}";
}

Result<std::string> ModernBridge::outgoing(const Message& message) {
  // It goes along when the call is made again, once it has been permitted.
  if (message.kind == Message::Kind::Response || message.kind == Message::Kind::Error) return asked_.contains(message.id_text()) ? std::string(message.text()) : std::string();
  if (message.kind == Message::Kind::Notification) {
    // Where closing the call's stream does not take it back, words do: those of its newest round.
    const auto at = message.method == "notifications/cancelled" ? calls_.find(std::string(message.params["requestId"].raw())) : calls_.end();
    return at == calls_.end() ? std::string() : inner_->cancelling(at->second->wire_id());
  }
  if (message.method == "initialize") {
    if (message.params["clientInfo"].is_object()) client_info_ = std::string(message.params["clientInfo"].raw());
    if (message.params["capabilities"].is_object()) capabilities_ = std::string(message.params["capabilities"].raw());
    asked_version_ = std::string(message.params["protocolVersion"].as_string());
    return R"({"jsonrpc":"2.0","id":)" + message.id_text() + R"(,"method":"server/discover","params":{"_meta":{)" + meta() + "}}}";
  }
  if (is_local(message.method)) return std::string();
  return modern_request(message, message.id.raw(), meta());
}

awaitable<Result<std::unique_ptr<Answers>>> ModernBridge::request(target::Permit permit, const Message& request, net::Recall* recall) {
  if (is_local(request.method)) {
    if (request.method == "logging/setLevel") level_ = std::string(request.params["level"].as_string());
    const std::string uri(request.params["uri"].as_string());
    const bool changed = request.method == "resources/subscribe" ? subscribed_.insert(uri).second : request.method == "resources/unsubscribe" && subscribed_.erase(uri) > 0;
    if (changed)
      for (auto* one : listeners_) one->renew();
    co_return std::make_unique<LocalAnswers>(result_text(request.id.raw(), "{}"));
  }
  CO_TRY(auto sent, parse_message(permit.bytes(), From::Client, SIZE_MAX));
  sent.mirrored = request.mirrored;
  if (request.method != "initialize") {
    auto call = std::make_unique<CallAnswers>(*this, request);  // known before it is sent: it may be taken back meanwhile
    CO_TRY(auto sent_answers, co_await inner_->request(std::move(permit), sent, recall));
    call->go_on(std::move(sent_answers));
    co_return call;
  }
  CO_TRY(auto answers, co_await inner_->request(std::move(permit), sent, recall));
  for (;;) {
    CO_TRY(auto event, co_await answers->next(net::after(30'000'000'000)));
    if (!event) co_return fail(ErrorKind::Unavailable, "the target gave no answer to server/discover");
    auto answer = parse_message(std::move(event->data), From::Server, SIZE_MAX);
    if (!answer || !answer->method.empty()) continue;
    if (answer->kind == Message::Kind::Error) co_return std::make_unique<LocalAnswers>(std::string(answer->text()));
    co_return std::make_unique<LocalAnswers>(initialize_result(*answer, request.id.raw(), is_version(asked_version_) ? asked_version_ : versions().back()));
  }
}

awaitable<Result<void>> ModernBridge::post(target::Permit permit) {
  if (permit.bytes().empty()) co_return Result<void>{};
  CO_TRY(auto sent, parse_message(permit.bytes(), From::Client, SIZE_MAX));
  if (sent.method == "subscriptions/listen") {
    CO_TRY(auto answers, co_await inner_->request(std::move(permit), sent));
    for (auto* one : listeners_)
      if (one->go_on(sent.id.raw(), answers)) break;
    co_return Result<void>{};
  }
  if (sent.kind == Message::Kind::Notification) co_return co_await inner_->post(std::move(permit));
  if (sent.kind != Message::Kind::Request) {
    const auto at = asked_.find(sent.id_text());
    if (at == asked_.end()) co_return Result<void>{};
    auto* call = at->second;
    asked_.erase(at);
    call->take(sent.id_text(), sent);
    co_return Result<void>{};
  }
  const auto call = retries_.find(sent.id_text());
  if (call != retries_.end()) sent.mirrored = call->second->mirrored();
  CO_TRY(auto answers, co_await inner_->request(std::move(permit), sent, call == retries_.end() ? nullptr : &call->second->again()));
  const auto at = retries_.find(sent.id_text());
  if (at == retries_.end()) co_return Result<void>{};  // whoever made the call has gone
  at->second->go_on(std::move(answers));
  retries_.erase(at);
  co_return Result<void>{};
}

awaitable<Result<std::unique_ptr<Answers>>> ModernBridge::listen(target::Permit permit, std::string) {
  CO_TRY(const auto sent, parse_message(permit.bytes(), From::Client, SIZE_MAX));
  CO_TRY(auto answers, co_await inner_->request(std::move(permit), sent));
  if (answers->status() != 200) co_return fail(ErrorKind::Unavailable, "the target offers no subscriptions");
  co_return std::make_unique<ListenAnswers>(*this, std::move(answers));
}

}  // namespace sallyport::protocol::mcp
