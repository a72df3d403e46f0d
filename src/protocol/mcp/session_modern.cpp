// What only the modern era (2026-07-28) has: conversations that begin with any request, state that clients carry, and finding out
// which era a target speaks. See session.h.
#include <algorithm>

#include "protocol/mcp/legacy_bridge.h"
#include "protocol/mcp/modern_answer.h"
#include "protocol/mcp/modern_bridge.h"
#include "protocol/mcp/open_back.h"
#include "protocol/mcp/session.h"
#include "protocol/mcp/tool_trust.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;
using enforce::Outcome;

namespace {

constexpr std::string_view kTaskPrefix = "spt.";
constexpr std::string_view kOurselves = R"({"name":"sallyport","version":"0"})";

/// `client_info` "{}": a client that did not say, which a target need not accept from us.
std::string meta_text(const std::string& client_info, const std::string& capabilities) {
  return "{" + json::quote(kMetaVersion) + ":" + json::quote(kModern) + "," + json::quote(kMetaClient) + ":" + (client_info == "{}" ? std::string(kOurselves) : client_info) + "," + json::quote(kMetaCapabilities) + ":" + capabilities + "}";
}

}  // namespace

awaitable<Result<void>> Session::begin_modern(identity::PrincipalPtr who, std::string target, std::string peer, const Message& first) {
  const auto self = shared_from_this();
  touch();
  const auto meta = first.params["_meta"];
  if (meta[kMetaClient].is_object()) client_info_ = std::string(meta[kMetaClient].raw());
  client_capabilities_ = std::string(meta[kMetaCapabilities].raw());
  const auto name = meta[kMetaClient]["name"].as_string();
  enforce::Gate::Connection connection{std::move(peer), "mcp", std::string(name.substr(0, 128)) + " " + std::string(meta[kMetaClient]["version"].as_string().substr(0, 64)), ""};
  // Approvals are bound to who asks with which program, for there is no session: the same call attaches to its request, on whichever worker.
  const auto binding = "modern-" + hex(sha256(as_bytes(who->person() + "\n" + who->agent + "\n" + target + "\n" + std::string(name))));
  auto opened = co_await services_.gate.open(std::move(who), std::move(target), binding, connection);
  if (opened) gate_ = std::move(*opened);
  begun_ = true;
  waiting_.changed();
  if (!opened) co_return std::unexpected(std::move(opened).error());
  co_return Result<void>{};
}

awaitable<void> Session::begun() {
  const auto self = shared_from_this();
  while (!begun_) (void)co_await waiting_.wait(net::kNever);  // what it waits for has its own deadlines
}

/// A message of the gateway's own, and the answer to it.
awaitable<Result<Session::Told>> Session::ask_target(Back& to, std::string what, std::string text, std::string* request_id) {
  CO_TRY(const auto request, parse_message(std::move(text), From::Client, SIZE_MAX));
  CO_TRY(auto bytes, to.outgoing(request));
  auto verdict = co_await services_.gate.own(gate_, std::move(what), std::move(bytes));
  if (auto* denial = std::get_if<enforce::Denial>(&verdict)) co_return fail(ErrorKind::Unavailable, denial->reason);
  auto& allowed = std::get<enforce::Allowed>(verdict);
  if (request_id != nullptr) *request_id = allowed.running.request_id();
  enforce::Reply reply;
  Result<Message> out = fail(ErrorKind::Unavailable, "the target gave no answer to " + request.method);
  auto answers = co_await to.request(std::move(allowed.permit), request);
  if (!answers) out = std::unexpected(answers.error());
  while (answers) {
    auto event = co_await (*answers)->next(net::after(silence_limit()));
    if (!event || !*event) {
      if (!event) out = std::unexpected(event.error());
      break;
    }
    auto message = parse_message(std::move((*event)->data), From::Server, SIZE_MAX);
    // An error without an id is how a server refuses what it cannot read at all.
    if (!message || !message->method.empty() || (message->kind == Message::Kind::Response && message->id_text() != request.id_text())) continue;
    out = std::move(*message);
    break;
  }
  if (!out) failed(allowed.running, reply, Outcome::Failed, out.error().what);
  else if (out->kind == Message::Kind::Error) failed(allowed.running, reply, Outcome::Error, std::string(out->error["message"].as_string().substr(0, 200)));
  const auto why = reply.error;
  CO_TRY_VOID(co_await services_.gate.finish(std::move(allowed.running), std::move(reply)));
  if (!out) co_return fail(out.error().kind, why);
  co_return Told{std::move(*out), why};
}

/// Which era the target speaks: as configured, as seen before, or as it says now. Errors: Unavailable when it says nothing.
awaitable<Result<bool>> Session::is_modern(Back& to) {
  const auto* target = settings();
  if (target != nullptr && target->era != target::McpTarget::Era::Auto) co_return target->era == target::McpTarget::Era::Modern;
  auto& seen = observed_.targets[gate_->target].modern;
  if (seen) co_return *seen;
  to.agreed(std::string(kModern));
  auto answer = co_await ask_target(to, "server/discover", R"({"jsonrpc":"2.0","id":"sallyport-discover","method":"server/discover","params":{"_meta":)" + meta_text(client_info_, "{}") + "}}");
  to.agreed("");
  // No answer at all: of another era, or not there. The handshake that follows tells which.
  bool modern = false;
  if (answer && answer->answer.kind == Message::Kind::Error) modern = is_modern_error(answer->answer.error);
  else if (answer) modern = answer->answer.result["supportedVersions"].is_array();
  if (answer) observed_.targets[gate_->target].modern = modern;
  co_return modern;
}

/// What a legacy client's `initialize` becomes: itself, or over a bridge what a target of the other era understands.
Result<std::string> Session::greeting(const Message& initialize) {
  TRY(auto* to_target, back());
  const auto* target = settings();
  using Era = target::McpTarget::Era;
  const bool modern_only = target != nullptr && (target->era == Era::Modern || (target->era == Era::Auto && observed_.targets[gate_->target].modern_only));
  bridged_ = modern_only;
  if (modern_only) {
    to_target->agreed(std::string(kModern));
    back_ = std::make_unique<ModernBridge>(std::move(back_));
  }
  return back_->outgoing(initialize);
}

/// After an `initialize` that failed: is it that the target speaks the modern era only? A target of both is spoken to in the client's own.
awaitable<bool> Session::turns_out_modern() {
  const auto* target = settings();
  if (target == nullptr || target->era != target::McpTarget::Era::Auto || bridged_ || back_ == nullptr) co_return false;
  if (observed_.targets[gate_->target].modern_only) co_return true;  // another session has just found out
  const auto modern = co_await is_modern(*back_);
  if (modern && *modern) observed_.targets[gate_->target].modern_only = true;
  co_return modern && *modern;
}

/// A modern client's way to its target: as it is to one of its era, over a bridge to one of the other.
awaitable<Result<Back*>> Session::reach() {
  const auto self = shared_from_this();
  while (opening_) (void)co_await waiting_.wait(net::kNever);
  if (back_ != nullptr) co_return back_.get();
  opening_ = true;
  auto opened = co_await open_conversation();
  opening_ = false;
  waiting_.changed();
  if (!opened) co_return std::unexpected(std::move(opened).error());
  co_return back_.get();
}

awaitable<Result<void>> Session::open_conversation() {
  const auto* configured = services_.gate.catalog()->find(gate_->target);
  const auto* mcp = settings();
  if (configured == nullptr || mcp == nullptr) co_return fail(ErrorKind::Unavailable, "the target is no longer configured");
  const auto allowed_requests = mcp->server_requests;
  const bool automatic = mcp->era == target::McpTarget::Era::Auto;
  CO_TRY(auto back, open_back(services_, pool_, *configured, gate_, Owner{gate_->who->person(), gate_->who->agent, id_}, ""));
  CO_TRY(const auto modern, co_await is_modern(*back));
  if (modern) {
    back->agreed(std::string(kModern));
    back_ = std::move(back);
    co_return Result<void>{};
  }
  const auto capabilities = json::Document::parse(client_capabilities_);
  const auto offered = capabilities ? allowed_capabilities(capabilities->root(), allowed_requests, {}) : std::string("{}");
  const auto info = client_info_ == "{}" ? std::string(kOurselves) : client_info_;
  CO_TRY(auto told, co_await ask_target(*back, "initialize", R"({"jsonrpc":"2.0","id":"sallyport-initialize","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":)" +
                                                                  offered + R"(,"clientInfo":)" + info + "}}"));
  auto& answer = told.answer;
  if (answer.kind == Message::Kind::Error && is_modern_error(answer.error) && automatic) {
    // It did not understand the question, and now it has said what it speaks.
    observed_.targets[gate_->target].modern = true;
    back->agreed(std::string(kModern));
    back_ = std::move(back);
    co_return Result<void>{};
  }
  if (answer.kind == Message::Kind::Error) co_return fail(ErrorKind::Unavailable, "the target refuses to begin: " + told.error);
  const std::string version(answer.result["protocolVersion"].as_string());
  back->agreed(version);
  auto verdict = co_await services_.gate.own(gate_, "notifications/initialized", R"({"jsonrpc":"2.0","method":"notifications/initialized"})");
  if (auto* allowed = std::get_if<enforce::Allowed>(&verdict)) {
    auto sent = co_await back->post(std::move(allowed->permit));
    enforce::Reply reply;
    if (!sent) failed(allowed->running, reply, Outcome::Failed, sent.error().what);
    (void)co_await services_.gate.finish(std::move(allowed->running), std::move(reply));
  }
  observed_.targets[gate_->target].modern = false;
  back_ = std::make_unique<LegacyBridge>(std::move(back), std::move(answer));
  co_return Result<void>{};
}

/// What a bridge has to send in between, on record as the gateway's own: what it carries of the client's has been judged when it came.
awaitable<Result<void>> Session::carry_on(Back& to, SseEvent& event) {
  const auto message = parse_message(event.data, From::Server, SIZE_MAX);
  const std::string what = message ? message->method : event.data.empty() ? "listen" : "answer";
  auto verdict = co_await services_.gate.own(gate_, what, std::move(event.data), R"({"method":)" + json::quote(what) + R"(,"sallyport":"bridged"})");
  if (auto* denial = std::get_if<enforce::Denial>(&verdict)) co_return fail(ErrorKind::Unavailable, denial->reason);
  auto& allowed = std::get<enforce::Allowed>(verdict);
  auto sent = co_await to.post(std::move(allowed.permit));
  enforce::Reply reply;
  if (!sent) failed(allowed.running, reply, Outcome::Failed, sent.error().what);
  const auto why = reply.error;
  CO_TRY_VOID(co_await services_.gate.finish(std::move(allowed.running), std::move(reply)));
  if (!sent) co_return fail(sent.error().kind, why);
  co_return sent;
}

/// What a state that a client carries is bound to, beside whose it is.
Digest Session::arguments_of(const Message& message) {
  if (!may_need_input(message.method)) return {};
  const auto& arguments = message.params["arguments"];
  return sha256(as_bytes(message.method + "\n" + mirrored_name(message).value_or("") + "\n" + (arguments.valid() ? json::canonical(arguments) : std::string())));
}

/// A modern client's message as it may go on: with the target's own state instead of what was sealed, and without capabilities that
/// nobody here mediates. Errors: Malformed for a state that is not ours, of somebody else, of other arguments or too old.
Result<Message> Session::prepared(Message message, Flight& flight) {
  const auto* target = settings();
  const auto& params = message.params;
  json::Splice splice;
  if (const auto state = params["requestState"]; state.valid()) {
    TRY(const auto carried, open_state(services_.vault, state_binding() + hex(flight.arguments), state.as_string(), system_clock().wall_ns()));
    if (!carried.approved.empty()) flight.hold.carried = held_.take(carried.approved);
    if (carried.state == kHeldState) {
      const auto without_state = json::Document::parse(with_member(params, "requestState", ""));
      auto text = with_member(message.document.root(), "params", with_member(without_state->root(), "inputResponses", ""));
      auto mirrored = std::move(message.mirrored);
      TRY(auto again, parse_message(std::move(text), From::Client, SIZE_MAX));
      again.mirrored = std::move(mirrored);
      return prepared(std::move(again), flight);
    }
    if (!carried.of_target) {
      auto mirrored = std::move(message.mirrored);
      TRY(message, parse_message(with_member(message.document.root(), "params", with_member(params, "requestState", "")), From::Client, SIZE_MAX));
      message.mirrored = std::move(mirrored);
    } else {
      splice.replace(state, json::quote(carried.state));
    }
  }
  if (const auto task = params["taskId"]; message.method.starts_with("tasks/") && task.valid()) {
    flight.task = std::string(task.as_string());
    const auto dot = flight.task.starts_with(kTaskPrefix) ? flight.task.find('.', kTaskPrefix.size()) : std::string::npos;
    const auto sealed = dot == std::string::npos ? Result<Bytes>(fail(ErrorKind::Malformed, "")) : from_base64url(std::string_view(flight.task).substr(dot + 1));
    const auto id = sealed ? services_.vault.unseal(state_binding() + flight.task.substr(0, dot + 1), *sealed) : Result<std::string>(std::unexpected(sealed.error()));
    if (!id) return fail(ErrorKind::Malformed, "there is no such task");
    splice.replace(task, json::quote(*id));
  }
  if (const auto capabilities = params["_meta"][kMetaCapabilities]; target != nullptr && capabilities.is_object() && capabilities.size() > 0)
    if (auto allowed = allowed_capabilities(capabilities, target->server_requests, target->extensions); allowed != capabilities.raw()) splice.replace(capabilities, std::move(allowed));
  if (const auto uris = params["notifications"]["resourceSubscriptions"]; message.method == "subscriptions/listen" && uris.is_array()) {
    std::string kept;
    for (const auto uri : uris)
      if (uri.is_string() && services_.gate.visible(*gate_, object_facts(*list_kind("resources/list"), uri.as_string()))) kept.append(kept.empty() ? "" : ",").append(uri.raw());
    splice.replace(uris, "[" + kept + "]");
  }
  if (splice.empty()) return message;
  auto mirrored = std::move(message.mirrored);
  TRY(message, parse_message(splice.apply(message.text()), From::Client, SIZE_MAX));
  message.mirrored = std::move(mirrored);
  return message;
}

/// A target's task belongs to who made it: the target sees one credential for all, so that it cannot tell people apart.
std::string Session::sealed_task(std::string_view id) const {
  const auto front = std::string(kTaskPrefix) + std::to_string(services_.worker) + ".";
  return front + base64url(services_.vault.seal(state_binding() + front, id));
}

std::string Session::with_task(const Message& answer, const Flight& flight) const {
  json::Splice splice;
  const auto id = answer.result["taskId"];
  splice.replace(id, json::quote(flight.task.empty() ? sealed_task(id.as_string()) : flight.task));
  return splice.apply(answer.text());
}

std::string Session::state_binding() const { return "mcp-state\n" + gate_->who->person() + "\n" + gate_->who->agent + "\n" + gate_->target + "\n"; }

std::string Session::sealed_state(const Flight& flight, CarriedState carried) {
  if (flight.hold.used) carried.approved = held_.keep(*flight.hold.used);
  return seal_state(services_.vault, services_.worker, state_binding() + hex(flight.arguments), carried, system_clock().wall_ns());
}

/// A target may say in any session that a list of its is another now: it is looked at before anything of it is used on what the pins say.
void Session::hear_change(std::string_view method) {
  if (method == "notifications/tools/list_changed") observed_.sights.changed(gate_->target, enforce::PinKind::Tool);
  if (method == "notifications/prompts/list_changed") observed_.sights.changed(gate_->target, enforce::PinKind::Prompt);
}

awaitable<void> Session::look_again(std::string_view method) {
  const std::string list = method == "tools/call" ? "tools/list" : method == "prompts/get" ? "prompts/list" : "";
  const auto* kind = list_kind(list);
  const auto* target = settings();
  if (kind == nullptr || target == nullptr || !target->trust.pinning) co_return;
  while (looking_) (void)co_await waiting_.wait(net::kNever);  // what it waits for has its own deadlines
  if (observed_.sights.is_seen(gate_->target, *pin_kind(*kind))) co_return;
  looking_ = true;
  (void)co_await list_again(list, *kind);  // where it fails, the call finds that nobody has looked
  looking_ = false;
  waiting_.changed();
}

awaitable<Result<void>> Session::list_again(std::string method, const ListKind& kind) {
  constexpr int kMostPages = 64;
  const auto pinned = *pin_kind(kind);
  const auto change = observed_.sights.changes(gate_->target, pinned);
  std::string params = front_ == Front::Modern ? R"("_meta":)" + meta_text(client_info_, "{}") : "", cursor;
  for (int page = 0; page < kMostPages; ++page) {
    CO_TRY(auto* to_target, back());
    std::string request_id;
    CO_TRY(const auto told, co_await ask_target(*to_target, method, R"({"jsonrpc":"2.0","id":"sallyport-list-)" + std::to_string(++flight_number_) + R"(","method":)" + json::quote(method) + R"(,"params":{)" + params + cursor + "}}", &request_id));
    const auto& answer = told.answer;
    const auto* target = settings();
    if (target == nullptr || answer.kind != Message::Kind::Response || !answer.result[kind.array].is_array()) co_return fail(ErrorKind::Unavailable, "the target does not list");
    CO_TRY(const auto looked, co_await look_at_list({services_.pins, gate_->target, target->trust, gate_->who, request_id}, answer, kind));
    if (!looked.whole) co_return fail(ErrorKind::Overloaded, "too much of the list is new to be looked at at once");
    const auto next = answer.result["nextCursor"];
    if (!next.is_string()) {
      observed_.sights.seen(gate_->target, pinned, change);
      co_return Result<void>{};
    }
    cursor = (params.empty() ? "" : ",") + (R"("cursor":)" + std::string(next.raw()));
  }
  co_return fail(ErrorKind::Unavailable, "the target's list does not end");
}

/// Each thing that the target asks the client for is judged and recorded like a request of a legacy server.
awaitable<Result<void>> Session::judge_input(const Message& answer) {
  constexpr std::size_t kMostAsked = 64;
  const auto capabilities = json::Document::parse(client_capabilities_);
  const auto requests = answer.result["inputRequests"];
  if (!requests.is_object() || requests.size() > kMostAsked) co_return fail(ErrorKind::Malformed, "the target asks for nothing that can be read, or for too much at once");
  for (const auto one : requests) {
    Message asked;
    asked.method = std::string(one["method"].as_string());
    asked.params = one["params"];
    const auto area = asked.method.substr(0, asked.method.find('/'));
    if (!capabilities || !capabilities->root()[area].valid()) co_return fail(ErrorKind::Denied, "the target asks for " + asked.method + ", which the client did not offer");
    auto verdict = co_await services_.gate.ask(gate_, server_action(asked), "", asked.params, nullptr);
    if (auto* denial = std::get_if<enforce::Denial>(&verdict)) co_return fail(ErrorKind::Denied, denial->reason + " (request " + denial->request_id + ")");
    CO_TRY_VOID(co_await services_.gate.finish(std::move(std::get<enforce::Allowed>(verdict).running), {}));
  }
  co_return Result<void>{};
}

void Session::cancel_abandoned() {
  for (auto& [key, flight] : flights_) {
    // What is held waits on: the same call made again attaches to its request.
    if (flight->client == nullptr || flight->cancelled || !flight->running || !flight->client->closed_by_client()) continue;
    flight->cancelled = true;
    auto text = back_ == nullptr ? std::string() : back_->cancelling(flight->id);
    flight->drop();
    if (text.empty()) continue;
    boost::asio::co_spawn(services_.context, [](std::shared_ptr<Session> self, std::string bytes) -> awaitable<void> {
      SseEvent event;
      event.data = std::move(bytes);
      (void)co_await self->carry_on(*self->back_, event);
    }(shared_from_this(), std::move(text)), boost::asio::detached);
  }
}

}  // namespace sallyport::protocol::mcp
