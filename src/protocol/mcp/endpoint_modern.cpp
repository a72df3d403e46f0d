// Modern requests (2026-07-28): each stands alone, so the conversation it belongs to is found by who asks, with what. See endpoint.h.
#include "base/text.h"
#include "protocol/mcp/answer.h"
#include "protocol/mcp/endpoint.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

MirrorHeaders mirror_headers(const net::HttpRequest& request) {
  MirrorHeaders out;
  for (const auto& [name, value] : request.headers.all()) {
    auto small = ascii_lower(name);
    if (!small.starts_with("mcp-")) continue;
    const auto [at, fresh] = out.try_emplace(std::move(small), value);
    if (!fresh) at->second += ", " + value;
  }
  return out;
}

/// The worker that keeps what this state or task is of, by its front; nullopt when it is nobody's.
std::optional<std::size_t> worker_of_state(std::string_view state) {
  if (!state.starts_with("sp1.") && !state.starts_with("sph.")) return std::nullopt;
  const auto digits = state.substr(4, state.find('.', 4) - 4);
  if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  return std::stoul(std::string(digits));
}

}  // namespace

bool Endpoint::says_modern(const net::HttpRequest& request) {
  const auto version = request.headers.get("MCP-Protocol-Version");
  return !version.empty() && !is_version(version);
}

awaitable<void> Endpoint::refuse_modern(net::HttpServerConnection& http, const Refusal& why, std::string_view id) {
  ++refused_;
  net::Headers headers;
  headers.add("Content-Type", "application/json");
  (void)co_await http.respond(why.status, headers, error_text(id, why.code, why.what, why.data));
}

/// False when the connection has gone to another worker.
awaitable<bool> Endpoint::handle_modern(net::HttpServerConnection& http, net::HttpRequest request, Message message, identity::PrincipalPtr who, std::string target, bool may_stream) {
  const std::string id = message.id_text();
  const auto headers = mirror_headers(request);
  if (message.kind != Message::Kind::Request) {
    co_await refuse_modern(http, {400, code::kInvalidRequest, "a POST is one request in this revision; to cancel, close the stream of the request", ""}, "");
    co_return true;
  }
  if (const auto wrong = check_modern(message, headers)) {
    co_await refuse_modern(http, *wrong, id);
    co_return true;
  }
  if (message.params["_meta"].raw().size() > kMostSaidOfItself) {
    co_await refuse_modern(http, {400, code::kInvalidParams, "params._meta is over 64 KiB", ""}, id);
    co_return true;
  }
  if (is_removed(message.method)) {
    co_await refuse_modern(http, {404, code::kMethodNotFound, "Method not found: " + message.method + " is of an earlier revision", ""}, id);
    co_return true;
  }
  if (message.method.starts_with("tasks/") && !message.params["_meta"][kMetaCapabilities]["extensions"][kTasks].valid()) {
    co_await refuse_modern(http, {400, code::kMissingCapability, "Missing required client capability", R"({"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}})"}, id);
    co_return true;
  }
  const auto state = message.params[message.method.starts_with("tasks/") ? "taskId" : "requestState"].as_string();
  const auto worker = worker_of_state(state);
  if (worker && *worker != services_.worker && *worker < options_.workers) {
    request.body = std::string(message.text());
    handoff_(*worker, std::move(http), std::move(request));
    co_return false;
  }
  for (const auto& [name, value] : request.headers.all())
    if (ascii_lower(name).starts_with("mcp-param-")) message.mirrored.emplace_back(name, value);
  const auto* configured = services_.gate.catalog()->find(target);
  if (const auto* mcp = configured == nullptr ? nullptr : std::get_if<target::McpTarget>(&configured->kind); mcp != nullptr && message.method == "tools/call") {
    const auto annotated = observed_.sights.headers_of(target, mcp->trust, std::string(message.params["name"].as_string()));
    if (const auto wrong = check_params(message, headers, *annotated)) {
      co_await refuse_modern(http, *wrong, id);
      co_return true;
    }
  }
  if (auto known = held_.answer(message, *who, target)) {
    net::Headers json_type;
    json_type.add("Content-Type", "application/json");
    (void)co_await http.respond(200, json_type, *known);
    co_return true;
  }
  auto session = co_await conversation(http, std::move(who), std::move(target), message);
  if (!session) co_return true;
  if (message.method == "subscriptions/listen") {
    HttpClientStream client(http, services_.context, true);
    co_await session->listen(client, "", std::move(message));
  } else if (message.method == "tools/call" && session->knows_tasks()) {
    co_await session->post_as_task(std::make_shared<HttpClientStream>(http, services_.context, may_stream), std::move(message));
  } else {
    HttpClientStream client(http, services_.context, may_stream);
    co_await session->post(client, std::move(message));
    co_await client.end_stream();
  }
  if (session->lost()) co_await retire(session, "the target lost it");
  co_return true;
}

awaitable<std::shared_ptr<Conversation>> Endpoint::conversation(net::HttpServerConnection& http, identity::PrincipalPtr who, std::string target, const Message& message) {
  const auto meta = message.params["_meta"];
  const auto key = hex(sha256(as_bytes(who->person() + "\n" + who->agent + "\n" + target + "\n" + (meta[kMetaClient].valid() ? json::canonical(meta[kMetaClient]) : std::string()) + "\n" + json::canonical(meta[kMetaCapabilities]))));
  if (const auto at = conversations_.find(key); at != conversations_.end()) {
    if (const auto session = at->second.lock(); session && !session->lost()) {
      co_await session->begun();
      if (session->ready() && !session->lost()) {
        session->renew(std::move(who));
        co_return session;
      }
    }
  }
  if (sessions_.size() >= options_.max_sessions) {
    co_await refuse_modern(http, {503, code::kUnavailable, "too many sessions", ""}, message.id.raw());
    co_return nullptr;
  }
  auto session = conversation_with(target, new_session_id(), Front::Modern);
  conversations_[key] = session;
  sessions_[session->id()] = session;
  auto begun = co_await session->begin_modern(std::move(who), std::move(target), http.peer(), message);
  if (!begun) {
    sessions_.erase(session->id());
    const bool denied = begun.error().kind == ErrorKind::Denied;
    co_await refuse_modern(http, {denied ? 404u : 503u, denied ? code::kDenied : code::kUnavailable, begun.error().what, ""}, message.id.raw());
    co_return nullptr;
  }
  watch(session);
  co_return session;
}

/// Requests whose clients have closed their streams are cancelled: in this era that is how a request is taken back.
awaitable<void> Endpoint::tend() {
  constexpr std::chrono::milliseconds kLook{200};
  while (!draining_) {
    tend_timer_.expires_after(kLook);
    boost::system::error_code ignored;
    co_await tend_timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    std::erase_if(conversations_, [](const auto& one) { return one.second.expired(); });
    for (const auto& [key, weak] : conversations_)
      if (const auto session = weak.lock(); session && session->running()) session->cancel_abandoned();
  }
}

}  // namespace sallyport::protocol::mcp
