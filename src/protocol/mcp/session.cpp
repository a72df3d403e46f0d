// Requests and notifications of the client. See session.h.
#include "protocol/mcp/session.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "protocol/mcp/answer.h"
#include "protocol/mcp/modern_answer.h"
#include "protocol/mcp/open_back.h"
#include "protocol/mcp/tool_trust.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;
using enforce::Outcome;

namespace {

constexpr std::size_t kMaxFlights = 128;
constexpr std::int64_t kCancelGrace = 2'000'000'000;

unsigned http_status_of(std::int64_t error) {
  if (error == code::kMethodNotFound) return 404;
  return error <= code::kHeaderMismatch && error >= code::kUnsupportedVersion ? 400 : 200;
}

const ListKind* kind_of_call(std::string_view method) {
  if (method == "tools/call") return list_kind("tools/list");
  if (method == "prompts/get") return list_kind("prompts/list");
  if (method == "resources/read") return list_kind("resources/list");
  return nullptr;
}

}  // namespace

void Session::release_holds() {
  released_ = true;
  for (auto& [id, flight] : flights_)
    if (!flight->running) flight->hold.over = true;
}

void Session::cut() {
  for (auto& [id, flight] : flights_)
    if (flight->running) flight->drop();
}

void Session::touch() { last_used_ns_ = system_clock().mono_ns(); }

const target::McpTarget* Session::settings() const {
  const auto* target = services_.gate.catalog()->find(gate_->target);
  return target == nullptr ? nullptr : std::get_if<target::McpTarget>(&target->kind);
}

Result<Back*> Session::back() {
  const auto* target = services_.gate.catalog()->find(gate_->target);
  if (target == nullptr) return fail(ErrorKind::Unavailable, "the target is no longer configured");
  if (back_ == nullptr) {
    TRY(back_, open_back(services_, pool_, *target, gate_, Owner{gate_->who->person(), gate_->who->agent, id_}, resume_key_));
    if (!version_.empty()) back_->agreed(version_);
  }
  return back_.get();
}

std::int64_t Session::silence_limit() const {
  const auto* target = settings();
  return target == nullptr ? 0 : target->timeout_ns;
}

awaitable<void> Session::post(ClientStream& client, Message message) {
  const auto self = shared_from_this();
  touch();
  switch (message.kind) {
    case Message::Kind::Request: co_await call(client, std::move(message)); break;
    case Message::Kind::Notification: co_await notify(client, std::move(message)); break;
    case Message::Kind::Response:
    case Message::Kind::Error: co_await respond_to_server(client, std::move(message)); break;
  }
  touch();
}

awaitable<void> Session::notice_hold(ClientStream& client, Flight& flight, const enforce::Approval& approval, std::int64_t held_ns) {
  client.held(approval.id);
  if (!client.may_stream() || client.gone()) co_return;
  co_await client.comment("held for approval, request " + approval.id);
  if (flight.progress_token.empty()) co_return;
  SseEvent event;
  event.event = "message";
  event.data = hold_progress(flight.progress_token, approval, held_ns);
  co_await client.event(std::move(event));
}

/// The answer, with the HTTP status that the modern era wants for some errors.
awaitable<void> Session::answer(ClientStream& client, std::string text, std::optional<std::string> event_id) {
  unsigned status = 200;
  if (front_ == Front::Modern) {
    if (const auto parsed = parse_message(text, From::Server, SIZE_MAX); parsed && parsed->kind == Message::Kind::Error) {
      status = http_status_of(parsed->error["code"].as_int());  // where the head has not been sent
    } else if (parsed && !parsed->result["resultType"].valid()) {
      text = modern_result(*parsed, "", {}, "");  // a denial's words are those of either era
    }
  }
  co_await client.answer(std::move(text), std::move(event_id), status);
}

/// What goes to the target for the message: the message itself is changed to what the target may read of it.
awaitable<Result<std::string>> Session::outgoing(Message& message, Flight& flight) {
  if (front_ == Front::Modern) {
    CO_TRY_VOID(co_await reach());
    CO_TRY(message, prepared(std::move(message), flight));
  }
  CO_TRY(auto* to_target, back());
  if (front_ == Front::Legacy) message.mirrored = mirrored_for(message);
  co_return to_target->outgoing(message);
}

awaitable<void> Session::call(ClientStream& client, Message message, bool* still_held) {
  const auto* target = settings();
  auto flight = std::make_shared<Flight>();
  flight->id = message.id_text();
  flight->key = front_ == Front::Legacy ? flight->id : "#" + std::to_string(++flight_number_);
  if (flights_.contains(flight->key))
    co_return co_await answer(client, error_text(message.id.raw(), code::kInvalidRequest, "a request with this id is still running"));
  if (flights_.size() >= kMaxFlights || target == nullptr)
    co_return co_await answer(client, error_text(message.id.raw(), code::kUnavailable,
                                                 target == nullptr ? "the target is no longer configured" : "too many requests are running in this session"));
  flight->method = message.method;
  auto bytes = co_await outgoing(message, *flight);
  if (!bytes) {
    const bool malformed = bytes.error().kind == ErrorKind::Malformed;
    co_return co_await answer(client, error_text(flight->id, malformed ? code::kInvalidParams : code::kUnavailable, bytes.error().what));
  }
  target = settings();
  auto action = action_of(message, From::Client, target == nullptr ? std::vector<std::string>{} : front_ == Front::Modern ? methods_of(*target) : target->extra_methods);
  if (target != nullptr) bind_to_pins(action, services_.pins, gate_->target, target->trust);
  flight->object = enforce::object_of(action);
  flight->progress_token = std::string(message.params["_meta"]["progressToken"].raw());
  flight->wants_receipt = message.params["_meta"]["sallyport/receipt"].as_bool();
  flight->hold.notify = [this, &client, raw = flight.get()](const enforce::Approval& approval, std::int64_t held_ns) {
    return notice_hold(client, *raw, approval, held_ns);
  };
  flight->hold.gone = [&client] { return client.peer_gone(); };
  flight->hold.over = released_;
  flights_[flight->key] = flight;

  const auto recorded = back_->recorded(message);
  if (!recorded) {
    flights_.erase(flight->key);
    co_return co_await answer(client, error_text(flight->id, code::kInvalidParams, recorded.error().what));
  }
  auto verdict = co_await services_.gate.ask(gate_, action, std::move(*bytes), *recorded ? (*recorded)->root() : message.params, &flight->hold);
  flight->hold.notify = nullptr;
  flight->hold.gone = nullptr;
  if (auto* denial = std::get_if<enforce::Denial>(&verdict)) {
    flights_.erase(flight->key);
    if (still_held != nullptr) *still_held = denial->pending;
    if (denial->cancelled) co_return co_await client.finish();
    const auto* kind = kind_of_call(message.method);
    // What is hidden is unknown, unless the rule that blocks it has something to say to whoever calls it.
    const bool hidden = kind != nullptr && denial->message.empty() && !services_.gate.visible(*gate_, object_facts(*kind, flight->object));
    if (std::holds_alternative<enforce::Raw>(action) && denial->kind == ErrorKind::Denied)
      co_return co_await answer(client, error_text(message.id.raw(), code::kMethodNotFound, "Method not found: " + message.method,
                                                   R"({"requestId":)" + json::quote(denial->request_id) + "}"));
    auto text = url_for_held(message, *flight, *denial).value_or(denial_text(message, *denial, hidden));
    if (flight->wants_receipt && denial->entry) text = with_receipt(std::move(text), co_await services_.gate.receipts({*denial->entry}));
    co_return co_await answer(client, std::move(text));
  }
  auto& allowed = std::get<enforce::Allowed>(verdict);
  flight->running.emplace(std::move(allowed.running));
  flight->cancelled = flight->hold.cancelled;  // taken back after it was judged and before it was sent
  if (ended_ || flight->cancelled) co_return co_await fail_flight(client, flight, Outcome::Interrupted, "the session ended before the command was sent");
  co_await run(client, message, flight, std::move(allowed.permit));
}

awaitable<void> Session::run(ClientStream& client, const Message& message, std::shared_ptr<Flight> flight, target::Permit permit) {
  auto to_target = back();
  if (!to_target) co_return co_await fail_flight(client, flight, Outcome::Failed, to_target.error().what);
  struct Cleared {
    std::shared_ptr<Flight> flight;
    ~Cleared() { flight->answers = nullptr, flight->client = nullptr; }
  } const cleared{flight};
  flight->client = &client;
  auto answers = co_await (*to_target)->request(std::move(permit), message, &flight->recall);
  const std::string again = lost() ? "; initialize again" : "";
  if (!answers) co_return co_await fail_flight(client, flight, Outcome::Failed, "the target cannot be reached: " + answers.error().what + again);
  flight->answers = answers->get();
  if (flight->recall.pulled()) flight->answers->close();
  // Never an empty success: the client must know that its session, and what the server kept in it, is gone.
  if (lost()) co_return co_await fail_flight(client, flight, Outcome::Failed, "the target has lost this session" + again);
  co_await read_answers(client, flight, **answers);
}

awaitable<void> Session::read_answers(ClientStream& client, std::shared_ptr<Flight> flight, Answers& answers) {
  while (flight->running) {
    auto next = co_await answers.next(net::after(silence_limit()));
    if (!next && flight->resumable && !flight->cancelled) break;
    if (next && *next && (*next)->event == kOwnMessage) {
      if (auto sent = co_await carry_on(*back_, **next); !sent) co_return co_await fail_flight(client, flight, Outcome::Failed, sent.error().what);
      continue;
    }
    if (!next) co_return co_await fail_flight(client, flight, Outcome::Failed, "the target's answer was cut short: " + next.error().what);
    if (!*next) break;
    auto& event = **next;
    if (event.id) flight->resumable = true, remember_event(*event.id, flight->id);
    if (event.data.empty()) {
      co_await client.event(std::move(event));  // ids and retry times alone: what resuming needs
      continue;
    }
    if (!flight->running) break;  // answered on another stream meanwhile
    auto delivery = co_await from_server(std::move(event.data), *flight->running, {.flight = flight});
    if (!delivery) continue;
    if (delivery->final && !flight->running) {
      co_await answer(client, std::move(delivery->text), std::move(event.id));
      continue;
    }
    event.data = std::move(delivery->text);
    co_await client.event(std::move(event));
    if (flight->running && !(co_await services_.gate.flush(*flight->running)))
      co_return co_await fail_flight(client, flight, Outcome::Failed, "the evidence cannot be written");
  }
  // The target may close a resumable stream before its answer (SEP-1699): the client comes back with Last-Event-ID.
  if (flight->running && (!flight->resumable || flight->cancelled)) {
    co_return co_await fail_flight(client, flight, flight->cancelled ? Outcome::Cancelled : Outcome::Failed,
                                   "the target answered HTTP " + std::to_string(answers.status()) + " without an answer to " + flight->method);
  }
  co_await client.finish();
}

void Session::failed(enforce::Running& running, enforce::Reply& reply, Outcome how, std::string why) {
  services_.gate.mask(running, why);
  reply.result = how;
  reply.error = std::move(why);
}

awaitable<void> Session::fail_flight(ClientStream& client, std::shared_ptr<Flight> flight, Outcome result, std::string why) {
  flights_.erase(flight->key);
  std::string request_id;
  if (flight->running) {
    request_id = flight->running->request_id();
    enforce::Reply reply;
    failed(*flight->running, reply, flight->cancelled ? Outcome::Cancelled : result, std::move(why));
    why = reply.error;
    auto running = std::move(*flight->running);
    flight->running.reset();
    (void)co_await services_.gate.finish(std::move(running), std::move(reply));
  }
  if (flight->cancelled) co_return co_await client.finish();
  co_await answer(client, error_text(flight->id, code::kUnavailable, why + ". Request: " + request_id + ".",
                                     R"({"requestId":)" + json::quote(request_id) + "}"));
}

awaitable<void> Session::notify(ClientStream& client, Message message) {
  const auto* target = settings();
  std::shared_ptr<Flight> taken_back;
  if (message.method == "notifications/cancelled") {
    const auto at = flights_.find(std::string(message.params["requestId"].raw()));
    if (at == flights_.end()) co_return co_await client.finish(true);  // it has ended already: nothing to take back
    const auto flight = at->second;
    if (!flight->running) {
      co_await services_.gate.cancel(flight->hold);
      co_return co_await client.finish(true);
    }
    flight->cancelled = true;
    taken_back = flight;
  }
  const auto action = action_of(message, From::Client, target == nullptr ? std::vector<std::string>{} : target->extra_methods);
  auto to_target = back();
  auto bytes = to_target ? (*to_target)->outgoing(message) : Result<std::string>(std::unexpected(to_target.error()));
  if (!bytes) co_return co_await client.finish(true);
  const auto grace = bytes->empty() ? 0 : kCancelGrace;
  auto verdict = co_await services_.gate.ask(gate_, action, std::move(*bytes), message.params, nullptr);
  // A notification has no answer: a refused one is recorded and goes no further.
  if (auto* allowed = std::get_if<enforce::Allowed>(&verdict)) (void)co_await post_one_way(std::move(*allowed));
  if (taken_back) boost::asio::co_spawn(services_.context, give_up(std::move(taken_back), grace), boost::asio::detached);
  co_await client.finish(true);
}

/// A cancelled request need not be answered; its stream may stay open at the target for ever. Some time is left for an
/// answer that was on its way, but where the closed stream is what tells the target.
awaitable<void> Session::give_up(std::shared_ptr<Flight> flight, std::int64_t grace_ns) {
  const auto self = shared_from_this();
  boost::asio::steady_timer timer(services_.context, std::chrono::nanoseconds(grace_ns));
  boost::system::error_code ignored;
  co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  if (flight->running) flight->drop();
}

awaitable<Result<void>> Session::post_one_way(enforce::Allowed allowed) {
  enforce::Reply reply;
  auto to_target = back();
  auto sent = to_target ? co_await (*to_target)->post(std::move(allowed.permit)) : Result<void>(std::unexpected(to_target.error()));
  if (!sent) failed(allowed.running, reply, Outcome::Failed, sent.error().what);
  const auto why = reply.error;
  CO_TRY_VOID(co_await services_.gate.finish(std::move(allowed.running), std::move(reply)));
  if (!sent) co_return fail(ErrorKind::Unavailable, why);
  co_return Result<void>{};
}

}  // namespace sallyport::protocol::mcp
