// What the target sends: answers, notifications and requests of its own. See session.h.
#include <algorithm>
#include <set>

#include "protocol/mcp/answer.h"
#include "protocol/mcp/modern_answer.h"
#include "protocol/mcp/session.h"
#include "protocol/mcp/tool_trust.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;
using enforce::Outcome;

namespace {

constexpr std::size_t kMaxAsked = 64;

bool contains(const auto& list, std::string_view word) { return std::ranges::find(list, word) != list.end(); }

std::uint64_t count_items(const json::Value& result) {
  for (const auto key : {"content", "contents", "messages", "tools", "resources", "resourceTemplates", "prompts"})
    if (result[key].is_array()) return result[key].size();
  return 0;
}

}  // namespace

std::string Session::masked(enforce::Running& running, const Message& message, const json::Value& root) {
  if (!services_.gate.masks(running)) return std::string(message.text());
  std::string out = services_.gate.mask(running, message.document, maskable(root));
  auto blobs = text_blobs(root);
  for (auto& [blob, text] : blobs) {
    const std::string before = text;
    services_.gate.mask(running, text);
    if (text == before) continue;
    // By value, not by place: the splice above has moved the bytes.
    const std::string old(blob.raw());
    for (auto at = out.find(old); at != std::string::npos; at = out.find(old, at + 1))
      out.replace(at, old.size(), "\"" + base64(as_bytes(text)) + "\"");
  }
  return out;
}

/// Whose answer it is: that of the request whose stream it came on, or whose stream this one resumes. On any other a target, or whoever
/// speaks through it, would answer what something else was asked.
std::shared_ptr<Flight> Session::answered_by(const Message& answer, const Heard& heard) {
  const auto id = answer.id_text();
  if (heard.flight) return heard.flight->id == id && heard.flight->running ? heard.flight : nullptr;
  const auto at = id == heard.resumed ? flights_.find(id) : flights_.end();
  return at == flights_.end() || !at->second->running ? nullptr : at->second;
}

/// So that it is known what a client resumes that comes back with one of them.
void Session::remember_event(const std::string& event_id, const std::string& request) {
  constexpr std::size_t kEvents = 4096, kLongest = 1024;
  if (event_id.empty() || event_id.size() > kLongest || !events_.insert_or_assign(event_id, request).second) return;
  events_order_.push_back(event_id);
  if (events_order_.size() <= kEvents) return;
  events_.erase(events_order_.front());
  events_order_.pop_front();
}

awaitable<std::optional<Session::Delivery>> Session::from_server(std::string text, enforce::Running& channel, const Heard& heard) {
  const auto& flight = heard.flight;
  const auto* target = settings();
  auto message = parse_message(std::move(text), From::Server, target == nullptr ? 1u << 20 : target->max_message);
  if (!message) {
    // What cannot be parsed cannot be masked: it is not passed on, and the record says that it came.
    services_.gate.observe(channel, R"({"sallyport":"dropped","reason":)" + json::quote(message.error().what) + "}");
    co_return std::nullopt;
  }
  switch (message->kind) {
    case Message::Kind::Response:
    case Message::Kind::Error: {
      auto answered = answered_by(*message, heard);
      if (!answered && heard.subscription != nullptr && message->id.raw() == heard.subscription->id.raw()) {
        std::string shown = masked(channel, *message, message->kind == Message::Kind::Error ? message->error : message->result);
        services_.gate.observe(channel, shown);
        co_return Delivery{std::move(shown), true};
      }
      if (const auto replayed = answered_.find(message->id_text()); !answered && message->id_text() == heard.resumed && replayed != answered_.end()) {
        enforce::Reply ignored;
        std::string shown = co_await shown_answer(channel, *message, std::string(replayed->second), ignored);
        services_.gate.observe(channel, shown);
        co_return Delivery{std::move(shown), false};
      }
      if (!answered) {
        std::string id = message->id_text().substr(0, 200);  // a text of the target's like any other
        services_.gate.mask(channel, id);
        services_.gate.observe(channel, R"({"sallyport":"dropped","reason":"it answers no request of this stream","id":)" + json::quote(id) + "}");
        co_return std::nullopt;
      }
      co_return co_await answer_from_server(std::move(*message), std::move(answered));
    }
    case Message::Kind::Request:
      if (front_ == Front::Legacy) co_return co_await request_from_server(std::move(*message));
      services_.gate.observe(channel, R"({"sallyport":"dropped","reason":"this revision has no requests of the server's"})");
      co_return std::nullopt;
    case Message::Kind::Notification: break;
  }
  const auto action = action_of(*message, From::Server, target == nullptr ? std::vector<std::string>{} : target->extra_methods);
  if (std::holds_alternative<enforce::Raw>(action)) {
    services_.gate.observe(channel, R"({"sallyport":"dropped","reason":"unknown notification","method":)" + json::quote(message->method) + "}");
    co_return std::nullopt;
  }
  hear_change(message->method);
  if (front_ == Front::Modern && is_of_subscription(message->method) && (heard.subscription == nullptr || !asks_for(heard.subscription->params["notifications"], message->method))) {
    services_.gate.observe(channel, R"({"sallyport":"dropped","reason":"the client has not asked to hear it here","method":)" + json::quote(message->method) + "}");
    co_return std::nullopt;
  }
  if (message->method == "notifications/progress") {
    // Progress for a request that is not running is forged or late.
    const auto token = message->params["progressToken"].raw();
    const bool live = front_ == Front::Modern ? flight && !flight->progress_token.empty() && flight->progress_token == token
                                              : std::ranges::any_of(flights_, [&](const auto& entry) { return entry.second->progress_token == token; });
    if (!live) co_return std::nullopt;
  }
  if (message->method == "notifications/resources/updated" && !services_.gate.visible(*gate_, object_facts(*list_kind("resources/list"), message->params["uri"].as_string()))) {
    services_.gate.observe(channel, R"({"sallyport":"dropped","reason":"of a resource that is not this person's to know"})");
    co_return std::nullopt;
  }
  std::string shown = masked(channel, *message, message->params);
  services_.gate.observe(channel, shown);
  if (message->method == "notifications/cancelled") {
    if (const auto at = asked_.find(std::string(message->params["requestId"].raw())); at != asked_.end()) {
      auto running = std::move(at->second.second);
      asked_.erase(at);
      enforce::Reply reply;
      reply.result = Outcome::Cancelled;
      (void)co_await services_.gate.finish(std::move(running), std::move(reply));
    }
  }
  co_return Delivery{std::move(shown), false};
}

/// What the client gets of an answer: lists filtered, text masked; how it went is put into `reply`.
awaitable<std::string> Session::shown_answer(enforce::Running& running, Message& message, std::string method, enforce::Reply& reply, std::shared_ptr<Flight> flight) {
  if (message.kind == Message::Kind::Error) {
    reply.result = Outcome::Error;
    std::string why(message.error["message"].as_string());
    services_.gate.mask(running, why);
    reply.error = std::move(why);
    co_return masked(running, message, message.error);
  }
  const auto* server = settings();
  const bool ours = server != nullptr && server->database;  // a database's tools are the gateway's own, and so is what they say
  if (auto own = ours ? std::string() : without_our_meta(message); !own.empty()) {
    auto honest = parse_message(std::move(own), From::Server, SIZE_MAX);
    if (!honest) co_return error_text(message.id.raw(), code::kInternal, "the answer could not be rewritten");
    message = std::move(*honest);
  }
  reply.items = count_items(message.result);
  if (message.result["isError"].as_bool()) reply.result = Outcome::Error;
  const auto id = message.id_text();
  if (const auto* kind = list_kind(method)) {
    auto filtered = co_await shown_list(running, message, *kind, reply, flight.get());
    if (!filtered) {
      reply.result = Outcome::Failed;
      reply.error = filtered.error().what;
      co_return error_text(id, code::kUnavailable, "the list is withheld: " + filtered.error().what);
    }
    if (!filtered->empty()) {
      auto again = parse_message(std::move(*filtered), From::Server, SIZE_MAX);
      if (!again) co_return error_text(id, code::kInternal, "the list could not be filtered");
      message = std::move(*again);
    }
  }
  if (front_ == Front::Modern) {
    const auto* target = settings();
    const auto state = message.result["requestState"];
    // A call that runs under an approval carries it into its next round, also where the target wants nothing carried.
    const bool carries = flight != nullptr && (state.is_string() || (flight->hold.used && is_input_required(message.result)));
    const auto sealed = carries ? sealed_state(*flight, {std::string(state.as_string()), state.is_string(), ""}) : std::string();
    auto told = parse_message(modern_result(message, method, target == nullptr ? std::vector<std::string>{} : target->extensions, sealed), From::Server, SIZE_MAX);
    if (!told) co_return error_text(id, code::kInternal, "the answer could not be rewritten");
    message = std::move(*told);
    if (flight != nullptr && message.result["taskId"].is_string()) {
      told = parse_message(with_task(message, *flight), From::Server, SIZE_MAX);
      if (!told) co_return error_text(message.id.raw(), code::kInternal, "the answer could not be rewritten");
      message = std::move(*told);
    }
  }
  co_return masked(running, message, message.result);
}

/// The list without what policy hides and without what is not trusted, which is named in _meta; "" when it may be shown as it is.
awaitable<Result<std::string>> Session::shown_list(enforce::Running& running, const Message& message, const ListKind& kind, enforce::Reply& reply, const Flight* flight) {
  const auto* target = settings();
  if (target == nullptr) co_return fail(ErrorKind::Unavailable, "the target is no longer configured");
  const auto list = message.result[kind.array];
  if (list.valid() && !list.is_array()) co_return fail(ErrorKind::Malformed, "\"" + std::string(kind.array) + "\" is no list");
  CO_TRY(const auto untrusted, co_await look_at_list({services_.pins, gate_->target, target->trust, gate_->who, running.request_id()}, message, kind));
  if (const auto pinned = pin_kind(kind); pinned && untrusted.whole && flight != nullptr && flight->change && !message.result["nextCursor"].is_string())
    observed_.sights.seen(gate_->target, *pinned, *flight->change);
  std::size_t hidden = 0;
  std::string quarantined;
  auto filtered = filter_list(message, kind, [&](std::string_view name, const json::Value& element) {
    if (!untrusted.holds(element)) return (kind.array != "tools" || learn_annotations(element)) && services_.gate.visible(*gate_, object_facts(kind, name));
    if (!services_.gate.visible(*gate_, object_facts(kind, name))) return false;
    quarantined += (quarantined.empty() ? "" : ",") + json::quote(name);
    return false;
  }, hidden);
  if (filtered.empty()) co_return filtered;
  reply.items -= hidden;
  if (quarantined.empty()) co_return filtered;
  // What was kept from the client is what somebody will want to see.
  std::string kept = R"({"sallyport":"quarantined","definitions":)" + untrusted.record + "}";
  services_.gate.mask(running, kept);
  services_.gate.observe(running, kept);
  co_return with_meta(std::move(filtered), R"("sallyport/quarantined":[)" + quarantined + "]");
}

/// An answer in place of one whose wishes were refused.
Message Session::refused(const Message& answer, const Error& why) {
  auto out = parse_message(error_text(answer.id.raw(), code::kDenied, "Sallyport refused what the target asked the client for: " + why.what), From::Server, SIZE_MAX);
  return out ? std::move(*out) : Message{};
}

/// The `Mcp-Param-*` headers for a legacy client's call of a modern target's tool.
std::vector<std::pair<std::string, std::string>> Session::mirrored_for(const Message& message) const {
  if (message.method != "tools/call") return {};
  const auto* target = settings();
  if (target == nullptr) return {};
  return mirror_params(message.params["arguments"], *observed_.sights.headers_of(gate_->target, target->trust, std::string(message.params["name"].as_string())));
}

/// Learns which parameters the tools of a list have in headers. False for a tool whose annotations break the rules: no client may use it.
bool Session::learn_annotations(const json::Value& tool) {
  auto annotated = param_headers(tool["inputSchema"]);
  if (!annotated) return false;
  const auto* target = settings();
  if (target != nullptr && !target->trust.pinning) observed_.sights.listed(gate_->target, std::string(tool["name"].as_string()), std::move(*annotated));
  return true;
}

/// What the target wants of the client, as policy sees it: what its configuration does not allow, or what MCP forbids, is nothing that policy
/// could allow.
enforce::Action Session::server_action(const Message& request) const {
  const auto* target = settings();
  const auto area = request.method.substr(0, request.method.find('/'));
  const bool asks = area == "sampling" || area == "elicitation" || area == "roots";
  if (asks && (target == nullptr || !contains(target->server_requests, area)))
    return enforce::Raw{"mcp", request.method + " (not among the target's server_requests)"};
  if (area == "elicitation")
    if (const auto secret = asked_secret(request.params); !secret.empty()) return enforce::Raw{"mcp", request.method + " asking for a secret (\"" + secret.substr(0, 64) + "\")"};
  return action_of(request, From::Server, target == nullptr ? std::vector<std::string>{} : target->extra_methods);
}

awaitable<Session::Delivery> Session::answer_from_server(Message message, std::shared_ptr<Flight> flight) {
  if (front_ == Front::Modern && message.kind == Message::Kind::Response && message.result["inputRequests"].valid()) {
    if (auto judged = co_await judge_input(message); !judged) message = refused(message, judged.error());
  }
  flights_.erase(flight->key);
  // Ended while it was judged, and its outcome is on record: nobody masks and records this any more.
  if (!flight->running) co_return Delivery{error_text(flight->id, code::kUnavailable, "the call ended before its answer could be judged"), true};
  auto running = std::move(*flight->running);
  flight->running.reset();
  const std::string request_id = running.request_id();
  enforce::Reply reply;
  std::string text = co_await shown_answer(running, message, flight->method, reply, flight);
  if (flight->cancelled) reply.result = Outcome::Cancelled;
  if (flight->resumable) remember_answered(*flight);
  services_.gate.observe(running, text);
  reply.bytes = text.size();
  const auto entries = std::make_shared<std::vector<std::uint64_t>>();
  reply.entries = entries;
  auto recorded = co_await services_.gate.finish(std::move(running), std::move(reply));
  // No data without evidence: an answer whose outcome cannot be recorded is not shown.
  if (!recorded) {
    text = error_text(flight->id, code::kUnavailable,
                      "the command ran, but its answer is withheld: the evidence cannot be written. Request: " + request_id + ".",
                      R"({"requestId":)" + json::quote(request_id) + "}");
  }
  if (recorded && flight->wants_receipt) text = with_receipt(std::move(text), co_await services_.gate.receipts(*entries));
  co_return Delivery{std::move(text), true};
}

/// The target may replay this answer when the client comes back with Last-Event-ID after its connection broke.
void Session::remember_answered(const Flight& flight) {
  constexpr std::size_t kReplayable = 256;
  if (answered_.try_emplace(flight.id, flight.method).second) answered_order_.push_back(flight.id);
  if (answered_order_.size() <= kReplayable) return;
  answered_.erase(answered_order_.front());
  answered_order_.pop_front();
}

awaitable<std::optional<Session::Delivery>> Session::request_from_server(Message message) {
  const auto action = server_action(message);
  const std::string id = message.id_text();
  if (asked_.contains(id) || asked_.size() >= kMaxAsked) {
    co_await refuse_server_request(id, "too many requests, or one with this id is open");
    co_return std::nullopt;
  }
  auto verdict = co_await services_.gate.ask(gate_, action, std::string(message.text()), message.params, nullptr);
  if (auto* denial = std::get_if<enforce::Denial>(&verdict)) {
    co_await refuse_server_request(id, denial->reason + " (request " + denial->request_id + ")");
    co_return std::nullopt;
  }
  auto& allowed = std::get<enforce::Allowed>(verdict);
  std::string shown = masked(allowed.running, message, message.params);
  asked_.emplace(id, std::make_pair(message.method, std::move(allowed.running)));
  co_return Delivery{std::move(shown), false};
}

awaitable<void> Session::refuse_server_request(std::string id, std::string reason) {
  auto bytes = error_text(id, code::kDenied, "Sallyport refused this: " + reason);
  const auto to_target = back();
  const auto message = parse_message(bytes, From::Server, SIZE_MAX);
  if (to_target && message) bytes = (*to_target)->outgoing(*message).value_or("");
  auto verdict = co_await services_.gate.own(gate_, "refusal", std::move(bytes));
  if (auto* allowed = std::get_if<enforce::Allowed>(&verdict)) (void)co_await post_one_way(std::move(*allowed));
}

awaitable<void> Session::respond_to_server(ClientStream& client, Message message) {
  const auto at = asked_.find(message.id_text());
  // Not asked, or answered already: an answer nobody waits for goes nowhere.
  if (at == asked_.end()) co_return co_await client.finish(true);
  auto [method, running] = std::move(at->second);
  asked_.erase(at);
  enforce::McpRequest answer;
  answer.method = "answer to " + method;
  answer.housekeeping = true;
  const auto record = message.document.root();
  const auto to_target = back();
  auto bytes = to_target ? (*to_target)->outgoing(message) : Result<std::string>(std::unexpected(to_target.error()));
  auto verdict = co_await services_.gate.ask(gate_, answer, bytes.value_or(""), record, nullptr);
  enforce::Reply reply;
  if (message.kind == Message::Kind::Error) {
    reply.result = Outcome::Error;
    reply.error = std::string(message.error["message"].as_string()).substr(0, 200);
    services_.gate.mask(running, reply.error);
  }
  (void)co_await services_.gate.finish(std::move(running), std::move(reply));
  if (auto* allowed = std::get_if<enforce::Allowed>(&verdict)) (void)co_await post_one_way(std::move(*allowed));
  co_await client.finish(true);
}

}  // namespace sallyport::protocol::mcp
