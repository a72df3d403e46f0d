#include "protocol/mcp/legacy_bridge.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <set>

#include "base/clock.h"
#include "base/text.h"
#include "protocol/mcp/bridge_text.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kMaxParked = 64;
constexpr std::int64_t kParked = 900LL * 1'000'000'000;  // as long as the state that leads to it is good
constexpr std::size_t kMaxQueued = 256;  // notifications that a listener has not taken
constexpr std::int64_t kOwnAnswer = 30'000'000'000;
constexpr std::string_view kAgain = "again";

SseEvent event_of(std::string text, std::string name = "message") {
  SseEvent out;
  out.event = std::move(name);
  out.data = std::move(text);
  return out;
}

/// An answer that the bridge knows by itself.
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

/// Pumped by one coroutine into the queues of all that listen.
struct LegacyBridge::Stream {
  struct Listener {
    std::deque<std::string> queue;
    boost::asio::steady_timer* wake = nullptr;
  };
  std::unique_ptr<Answers> answers;
  std::set<Listener*> listeners;
  bool opened = false;
  void tell(const std::string& text) {
    for (auto* one : listeners) {
      if (one->queue.size() < kMaxQueued) one->queue.push_back(text);
      if (one->wake != nullptr) one->wake->cancel();
    }
  }
};

class LegacyBridge::CallAnswers : public Answers {
 public:
  CallAnswers(LegacyBridge& bridge, std::shared_ptr<Call> call, bool ask_again = false) : bridge_(bridge), call_(std::move(call)), ask_again_(ask_again) {}

  awaitable<Result<std::optional<SseEvent>>> next(net::Deadline deadline) override {
    if (std::exchange(ask_again_, false)) co_return park();
    for (;;) {
      CO_TRY(auto event, co_await call_->answers->next(deadline));
      if (!event) co_return std::nullopt;
      if (event->data.empty()) continue;  // ids to resume by: this era has none
      auto message = parse_message(std::move(event->data), From::Server, SIZE_MAX);
      if (!message) co_return fail(ErrorKind::Malformed, message.error().what);
      if (auto out = translated(*message)) co_return out;
    }
  }
  void close() override { call_->answers->close(); }
  unsigned status() const override { return call_->answers->status(); }

 private:
  std::optional<SseEvent> translated(const Message& message) {
    switch (message.kind) {
      case Message::Kind::Response:
      case Message::Kind::Error:
        if (message.id_text() != call_->wire_id) return std::nullopt;
        return event_of(modern_response(message, call_->id, call_->method));
      case Message::Kind::Request: return asked(message);
      case Message::Kind::Notification: break;
    }
    if (message.method == "notifications/progress") {
      if (call_->token.empty() || message.params["progressToken"].raw() != call_->wire_id) return std::nullopt;
      return event_of(with_token(message, call_->token));
    }
    if (message.method == "notifications/message" && is_wanted(message.params["level"].as_string(), call_->level)) return event_of(std::string(message.text()));
    return std::nullopt;
  }
  std::optional<SseEvent> asked(const Message& message) {
    if (message.method == "ping") return event_of(result_text(message.id.raw(), "{}"), std::string(kOwnMessage));
    std::erase_if(bridge_.parked_, [now = system_clock().mono_ns()](const auto& one) { return one.second->parked_until_ns <= now; });
    const bool known = message.method == "elicitation/create" || message.method == "sampling/createMessage" || message.method == "roots/list";
    if (!known || !may_need_input(call_->method) || bridge_.parked_.size() >= kMaxParked)
      return event_of(error_text(message.id.raw(), code::kMethodNotFound, "this cannot be asked of the client in a " + call_->method), std::string(kOwnMessage));
    call_->asked_id = message.id_text();
    call_->asked = R"({"method":)" + json::quote(message.method) + (message.params.valid() ? R"(,"params":)" + std::string(message.params.raw()) : "") + "}";
    return park();
  }
  std::optional<SseEvent> park() {
    // A number would be another call's in another conversation of the same person, which the sealed state fits as well.
    const auto name = random_name("call_");
    call_->asked_key = "input-" + std::to_string(++bridge_.last_id_);
    call_->parked_until_ns = net::after(kParked);
    bridge_.parked_[name] = call_;
    return event_of(input_required(call_->id, call_->asked_key, call_->asked, name));
  }
  LegacyBridge& bridge_;
  std::shared_ptr<Call> call_;
  bool ask_again_;
};

class LegacyBridge::ListenAnswers : public Answers {
 public:
  ListenAnswers(LegacyBridge& bridge, const Message& request, std::string acknowledged) : stream_(bridge.stream_), id_(request.id_text()) {
    stream_->listeners.insert(&listener_);
    const auto wanted = request.params["notifications"];
    const auto want = [&](std::string_view key, std::string_view method) {
      if (wanted[key].as_bool()) methods_.emplace(method);
    };
    want("toolsListChanged", "notifications/tools/list_changed");
    want("promptsListChanged", "notifications/prompts/list_changed");
    want("resourcesListChanged", "notifications/resources/list_changed");
    if (!std::exchange(stream_->opened, true)) first_.push_back(event_of("", std::string(kOwnMessage)));
    const bool may_subscribe = bridge.initialized_.result["capabilities"]["resources"]["subscribe"].as_bool();
    for (const auto uri : wanted["resourceSubscriptions"]) {
      if (!may_subscribe || !uri.is_string() || !uris_.emplace(uri.as_string()).second) continue;
      first_.push_back(event_of(R"({"jsonrpc":"2.0","id":)" + std::to_string(++bridge.last_id_) + R"(,"method":"resources/subscribe","params":{"uri":)" + std::string(uri.raw()) + "}}", std::string(kOwnMessage)));
    }
    first_.push_back(event_of(std::move(acknowledged)));  // once the target is listened to: nothing may happen in between unheard
  }
  ~ListenAnswers() override { stream_->listeners.erase(&listener_); }

  awaitable<Result<std::optional<SseEvent>>> next(net::Deadline) override {
    while (!closed_) {
      if (!first_.empty()) {
        auto out = std::move(first_.front());
        first_.pop_front();
        co_return out;
      }
      while (!listener_.queue.empty()) {
        auto message = parse_message(std::move(listener_.queue.front()), From::Server, SIZE_MAX);
        listener_.queue.pop_front();
        if (!message || message->kind != Message::Kind::Notification) continue;
        const bool updated = message->method == "notifications/resources/updated" && uris_.contains(message->params["uri"].as_string());
        if (updated || methods_.contains(message->method)) co_return event_of(with_subscription(*message, id_));
      }
      boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, std::chrono::steady_clock::time_point::max());
      listener_.wake = &timer;
      boost::system::error_code ignored;
      co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
      listener_.wake = nullptr;
    }
    co_return fail(ErrorKind::Disconnected, "closed");
  }
  void close() override {
    closed_ = true;
    if (listener_.wake != nullptr) listener_.wake->cancel();
  }

 private:
  std::shared_ptr<Stream> stream_;
  Stream::Listener listener_;
  std::string id_;
  std::deque<SseEvent> first_;
  std::set<std::string, std::less<>> methods_, uris_;
  bool closed_ = false;
};

LegacyBridge::LegacyBridge(std::unique_ptr<Back> inner, Message initialized)
    : inner_(std::move(inner)), initialized_(std::move(initialized)), stream_(std::make_shared<Stream>()) {}

LegacyBridge::~LegacyBridge() {
  if (stream_->answers) stream_->answers->close();
}

std::string LegacyBridge::discovered(const Message& request) const {
  const auto& result = initialized_.result;
  std::string out = R"({"supportedVersions":["2026-07-28"],"capabilities":)";
  out.append(result["capabilities"].is_object() ? result["capabilities"].raw() : "{}");
  if (result["instructions"].is_string()) out.append(R"(,"instructions":)").append(result["instructions"].raw());
  out.append(R"(,"_meta":{)").append(json::quote(kMetaServer)).append(":").append(result["serverInfo"].is_object() ? result["serverInfo"].raw() : "{}").append("}}");
  return result_text(request.id.raw(), out);
}

std::string LegacyBridge::acknowledged(const Message& request) const {
  const auto wanted = request.params["notifications"], capabilities = initialized_.result["capabilities"];
  std::string agreed;
  const auto add = [&](std::string_view key, bool offered, std::string_view raw) {
    if (offered) agreed.append(agreed.empty() ? "" : ",").append(json::quote(key)).append(":").append(raw);
  };
  add("toolsListChanged", wanted["toolsListChanged"].as_bool() && capabilities["tools"]["listChanged"].as_bool(), "true");
  add("promptsListChanged", wanted["promptsListChanged"].as_bool() && capabilities["prompts"]["listChanged"].as_bool(), "true");
  add("resourcesListChanged", wanted["resourcesListChanged"].as_bool() && capabilities["resources"]["listChanged"].as_bool(), "true");
  add("resourceSubscriptions", wanted["resourceSubscriptions"].is_array() && capabilities["resources"]["subscribe"].as_bool(), wanted["resourceSubscriptions"].raw());
  return R"({"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{)" + json::quote(kMetaSubscription) + ":" + std::string(request.id.raw()) +
         R"(},"notifications":{)" + agreed + "}}}";
}

Result<std::string> LegacyBridge::outgoing(const Message& message) {
  if (message.method == "server/discover" || message.method == "subscriptions/listen") return std::string();
  const auto state = message.params["requestState"].as_string();
  if (state.empty() || state == kAgain) return legacy_request(message, std::to_string(++last_id_));
  const auto at = parked_.find(state);
  if (at == parked_.end()) return fail(ErrorKind::Malformed, "the call that waited for this input is over; make it anew");
  const auto given = message.params["inputResponses"][at->second->asked_key];
  if (!given.valid()) return std::string();  // asked again
  std::string out = R"({"jsonrpc":"2.0","id":)";
  return out.append(at->second->asked_id).append(R"(,"result":)").append(given.raw()).append("}");
}

awaitable<Result<std::unique_ptr<Answers>>> LegacyBridge::request(target::Permit permit, const Message& request, net::Recall* recall) {
  if (request.method == "server/discover") co_return std::make_unique<LocalAnswers>(discovered(request));
  if (request.method == "subscriptions/listen") co_return std::make_unique<ListenAnswers>(*this, request, acknowledged(request));
  const auto state = request.params["requestState"].as_string();
  if (!state.empty() && state != kAgain) {
    const auto at = parked_.find(state);
    if (at == parked_.end()) co_return fail(ErrorKind::Unavailable, "the call that waited for this input is over; make it anew");
    auto call = std::move(at->second);
    parked_.erase(at);
    call->id = request.id_text();
    call->token = std::string(request.params["_meta"]["progressToken"].raw());
    const bool ask_again = permit.bytes().empty();
    if (!ask_again) CO_TRY_VOID(co_await inner_->post(std::move(permit)));
    co_return std::make_unique<CallAnswers>(*this, std::move(call), ask_again);
  }
  CO_TRY(const auto sent, parse_message(permit.bytes(), From::Client, SIZE_MAX));
  auto call = std::make_shared<Call>();
  call->id = request.id_text();
  call->wire_id = sent.id_text();
  call->method = request.method;
  call->token = std::string(request.params["_meta"]["progressToken"].raw());
  call->level = std::string(request.params["_meta"][kMetaLogLevel].as_string());
  std::erase_if(running_, [](const auto& one) { return one.expired(); });
  running_.push_back(call);  // before it is sent: it may be taken back while the target has not begun to answer
  CO_TRY(call->answers, co_await inner_->request(std::move(permit), sent, recall));
  co_return std::make_unique<CallAnswers>(*this, std::move(call));
}

std::string LegacyBridge::cancelling(const std::string& id) {
  for (const auto& one : running_)
    if (const auto call = one.lock(); call && call->id == id)
      return R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":)" + call->wire_id + R"(,"reason":"the client closed its stream"}})";
  return "";
}

awaitable<Result<void>> LegacyBridge::post(target::Permit permit) {
  if (permit.bytes().empty()) {
    auto opened = co_await inner_->listen(std::move(permit), "");
    // A target without such a stream says nothing outside of calls: those that listen just hear nothing.
    if (!opened || (*opened)->status() != 200) co_return Result<void>{};
    stream_->answers = std::move(*opened);
    boost::asio::co_spawn(co_await boost::asio::this_coro::executor, [](std::shared_ptr<Stream> stream) -> awaitable<void> {
      for (;;) {
        auto event = co_await stream->answers->next(net::kNever);
        if (!event || !*event) break;
        if (!(*event)->data.empty()) stream->tell((*event)->data);
      }
      stream->opened = false;  // whoever listens next opens it again
    }(stream_), boost::asio::detached);
    co_return Result<void>{};
  }
  CO_TRY(const auto message, parse_message(permit.bytes(), From::Client, SIZE_MAX));
  if (message.kind != Message::Kind::Request) co_return co_await inner_->post(std::move(permit));
  CO_TRY(auto answers, co_await inner_->request(std::move(permit), message));
  for (;;) {
    CO_TRY(auto event, co_await answers->next(net::after(kOwnAnswer)));
    if (!event) co_return fail(ErrorKind::Unavailable, "the target gave no answer to " + message.method);
    auto answer = parse_message(std::move(event->data), From::Server, SIZE_MAX);
    if (!answer || !answer->method.empty()) continue;
    if (answer->kind == Message::Kind::Error) co_return fail(ErrorKind::Unavailable, std::string(answer->error["message"].as_string().substr(0, 200)));
    co_return Result<void>{};
  }
}

awaitable<Result<std::unique_ptr<Answers>>> LegacyBridge::listen(target::Permit permit, std::string last_event_id) { return inner_->listen(std::move(permit), std::move(last_event_id)); }

}  // namespace sallyport::protocol::mcp
