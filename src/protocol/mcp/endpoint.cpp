#include "protocol/mcp/endpoint.h"

#include <algorithm>

#include "base/text.h"
#include "protocol/mcp/answer.h"
#include "protocol/mcp/virtual_session.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kMaxBatch = 32;

awaitable<void> answer_initialize(net::HttpServerConnection& http, unsigned status, std::string text, std::string session) {
  net::Headers headers;
  headers.add("Content-Type", "application/json");
  if (!session.empty()) headers.add("Mcp-Session-Id", session);
  (void)co_await http.respond(status, headers, text);
}
constexpr std::int64_t kResume = 30'000'000'000;         // how long a request waits for its session to come back
constexpr std::int64_t kProcessesEnd = 5'000'000'000;   // at the gateway's stop, after what runs had its time

}  // namespace

bool Endpoint::accepts(std::string_view header, std::string_view type) {
  for (;;) {
    const auto comma = header.find(',');
    auto one = header.substr(0, comma);
    one = one.substr(0, one.find(';'));
    while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
    while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
    const std::string word = ascii_lower(one);
    if (word == type || word == "*/*" || word == std::string(type.substr(0, type.find('/'))) + "/*") return true;
    if (comma == std::string_view::npos) return false;
    header.remove_prefix(comma + 1);
  }
}

Endpoint::Endpoint(Services services, Sights& sights, EndpointOptions options, Handoff handoff)
    : services_(services), pool_(std::make_shared<StdioPool>(services.context)), options_(std::move(options)), handoff_(std::move(handoff)), observed_{sights}, held_(services.worker), resumed_(services.context), sweep_timer_(services.context), tend_timer_(services.context) {}

std::string Endpoint::new_session_id() const {
  std::array<std::uint8_t, 20> random;
  random_bytes(random);
  random[0] = static_cast<std::uint8_t>(services_.worker);  // so that any worker knows whose session it is
  return hex(random);
}

std::shared_ptr<Conversation> Endpoint::conversation_with(const std::string& target, std::string id, Front front) {
  if (const auto* server = services_.gate.catalog()->find_virtual(target)) {
    auto make = [this, front](std::string member) { return std::make_shared<Session>(services_, *pool_, observed_, held_, std::move(member), front); };
    return std::make_shared<VirtualSession>(services_, observed_, held_, std::move(make), std::move(id), front, *server);
  }
  return std::make_shared<Session>(services_, *pool_, observed_, held_, std::move(id), front);
}

std::size_t Endpoint::worker_of(std::string_view session_id) const {
  const auto first = from_hex(session_id.substr(0, 2));
  return first && first->size() == 1 ? (*first)[0] % options_.workers : services_.worker;
}

awaitable<void> Endpoint::refuse(net::HttpServerConnection& http, unsigned status, int code, std::string what, std::string challenge) {
  ++refused_;
  net::Headers headers;
  headers.add("Content-Type", "application/json");
  if (!challenge.empty()) headers.add("WWW-Authenticate", std::move(challenge));
  if (status == 405) headers.add("Allow", "GET, POST, DELETE");
  (void)co_await http.respond(status, headers, error_text("", code, what));
}

std::string Endpoint::why_not(const net::HttpRequest& request, unsigned& status) const {
  const auto host = ascii_lower(request.headers.get("Host"));
  status = 403;
  if (std::ranges::find(options_.hosts, host) == options_.hosts.end())
    return "the Host \"" + host.substr(0, 100) + "\" is not this gateway; set gateway.public_url to the address that clients use";
  if (request.headers.count("Origin") > 1) return "more than one Origin";
  // Also one that says nothing: only programs that are no browsers leave it out.
  if (const auto origin = request.headers.get("Origin");
      request.headers.count("Origin") == 1 && std::ranges::find(options_.origins, ascii_lower(origin)) == options_.origins.end())
    return "the Origin \"" + std::string(origin.substr(0, 100)) + "\" is not allowed";
  for (const auto name : {"Mcp-Session-Id", "MCP-Protocol-Version", "Authorization", "Last-Event-ID"}) {
    status = 400;
    if (request.headers.count(name) > 1) return std::string("more than one ") + name + " header";
  }
  if (ResourceServer::has_token_in_query(request.target)) return "a token is never taken from the address; send it as Authorization: Bearer";
  status = 404;
  if (!request.target.starts_with(kPrefix) && !ResourceServer::is_metadata(request.target)) return "there is nothing here; MCP targets are at /mcp/TARGET";
  status = 503;
  if (draining_) return "the gateway is stopping";
  return "";
}

awaitable<void> Endpoint::serve(net::HttpServerConnection http, std::optional<net::HttpRequest> first) {
  const Registered registered(connections_, http);
  for (;;) {
    net::HttpRequest request;
    if (first) {
      request = std::move(*std::exchange(first, std::nullopt));
    } else {
      auto read = co_await http.read_request();
      if (!read || !*read) co_return;
      request = std::move(**read);
    }
    ++requests_;
    unsigned status = 0;
    if (auto why = why_not(request, status); !why.empty()) {
      co_await refuse(http, status, code::kInvalidRequest, std::move(why));
      if (!request.keep_alive || !http.is_open()) co_return;
      continue;
    }
    if (ResourceServer::is_metadata(request.target)) {
      const auto document = resource_.metadata(request.target);
      if (!document || request.method != "GET") {
        co_await refuse(http, document ? 405 : 404, code::kInvalidRequest, "there is nothing here");
      } else {
        net::Headers headers;
        headers.add("Content-Type", "application/json");
        (void)co_await http.respond(200, headers, *document);
      }
      if (!request.keep_alive || !http.is_open()) co_return;
      continue;
    }
    // The modern era knows no sessions: were one named, two workers could hand its request to each other for ever.
    auto session_id = says_modern(request) ? std::string() : std::string(request.headers.get("Mcp-Session-Id"));
    if (session_id.empty()) session_id = sse_session_of(request);
    if (const auto worker = session_id.empty() ? services_.worker : worker_of(session_id); worker != services_.worker)
      co_return handoff_(worker, std::move(http), std::move(request));

    auto target = request.target.substr(kPrefix.size());
    target = target.substr(0, target.find('?'));
    auto resource = target;   // whatever the transport
    for (const auto suffix : {kSseStream, kSseMessages})
      if (resource.ends_with(suffix)) resource.resize(resource.size() - suffix.size());
    auto who = co_await authenticate(http, request, resource);
    const bool keep_alive = request.keep_alive;
    if (!who) {
      const unsigned code = who.error().kind == ErrorKind::Denied ? 401 : who.error().kind == ErrorKind::Overloaded ? 429 : 503;
      const bool presented = !request.headers.get("Authorization").empty();
      co_await refuse(http, code, code::kDenied, who.error().what, code == 401 ? resource_.challenge(resource, presented) : std::string());
    } else {
      if (!co_await handle(http, std::move(request), std::move(*who), std::move(target))) co_return;
    }
    if (!keep_alive || !http.is_open()) co_return;
  }
}

awaitable<Result<identity::PrincipalPtr>> Endpoint::authenticate(net::HttpServerConnection& http, const net::HttpRequest& request, const std::string& target) {
  const auto authorization = request.headers.get("Authorization");
  if (authorization.size() > 7 && ascii_lower(authorization.substr(0, 7)) == "bearer ")
    return services_.authenticator.authenticate(std::string(authorization.substr(7)), identity::Door::Mcp, http.peer(), resource_.resource_of(target));
  if (const auto name = authorization.empty() ? http.stream().peer_common_name() : std::string(); !name.empty())
    return services_.authenticator.certified(name, http.peer());
  return []() -> awaitable<Result<identity::PrincipalPtr>> { co_return fail(ErrorKind::Denied, "a bearer token is required"); }();
}

/// False when the answer has been sent: 403 with every scope that the operation needs, on record. Somebody for whom the target is not there
/// learns nothing of its scopes.
awaitable<bool> Endpoint::may_by_scope(net::HttpServerConnection& http, const identity::Principal& who, const std::string& target, const Message& message) {
  auto of = target;
  std::optional<Message> theirs;
  if (const auto* server = services_.gate.catalog()->find_virtual(target); server != nullptr && message.method == "tools/call") {
    // The scopes are those of the member that has the tool. For all else a member whose scopes are lacking is not there.
    const auto owned = owner_of(*server, message.params["name"].as_string());
    auto renamed = owned ? with_value(message, message.params["name"], json::quote(owned->name), From::Client) : Result<Message>(fail(ErrorKind::Malformed, ""));
    if (renamed) of = server->members[owned->member].target, theirs = std::move(*renamed);
  }
  const auto* found = services_.gate.catalog()->find(of);
  const auto* mcp = found == nullptr ? nullptr : std::get_if<target::McpTarget>(&found->kind);
  if (mcp == nullptr) co_return true;
  const auto needed = missing_scopes(who, mcp->scopes, theirs ? *theirs : message);
  if (needed.empty() || !services_.gate.may_open(who, of)) co_return true;
  const auto error = co_await services_.authenticator.failed(identity::Reason::InsufficientScope, "mcp.scope", http.peer(), who.subject);
  const bool recorded = error.kind == ErrorKind::Denied;
  co_await refuse(http, recorded ? 403 : 503, recorded ? code::kDenied : code::kUnavailable, recorded ? "the token lacks a scope that this needs" : error.what,
                  recorded ? resource_.step_up(target, needed) : std::string());
  co_return false;
}

awaitable<bool> Endpoint::handle(net::HttpServerConnection& http, net::HttpRequest request, identity::PrincipalPtr who, std::string target) {
  if (target.ends_with(kSseStream)) {
    target.resize(target.size() - kSseStream.size());
    co_await handle_sse_stream(http, request, std::move(who), std::move(target));
    co_return false;
  }
  if (target.ends_with(kSseMessages)) {
    target.resize(target.size() - kSseMessages.size());
    co_await handle_sse_message(http, std::move(request), std::move(who), std::move(target));
    co_return true;
  }
  if (request.method == "POST") co_return co_await handle_post(http, std::move(request), std::move(who), std::move(target));
  if ((request.method != "GET" && request.method != "DELETE") || says_modern(request)) {
    co_await refuse(http, 405, code::kInvalidRequest, says_modern(request) ? "only POST in this revision" : "only POST, GET and DELETE");
    co_return true;
  }
  auto session = co_await find(http, request, who, target);
  if (!session) co_return true;
  if (request.method == "GET") {
    if (!accepts(request.headers.get("Accept"), "text/event-stream")) {
      co_await refuse(http, 406, code::kInvalidRequest, "GET needs Accept: text/event-stream");
      co_return true;
    }
    HttpClientStream client(http, services_.context, true);
    co_await session->listen(client, std::string(request.headers.get("Last-Event-ID")), {});
    if (session->lost()) co_await retire(session, "the target lost it");
    co_return http.is_open();
  }
  co_await retire(session, "ended by the client");
  (void)co_await http.respond(200, {}, "");
  co_return true;
}

awaitable<std::shared_ptr<Conversation>> Endpoint::find(net::HttpServerConnection& http, const net::HttpRequest& request,
                                                   identity::PrincipalPtr who, std::string target) {
  const std::string id(request.headers.get("Mcp-Session-Id"));
  if (id.empty()) {
    co_await refuse(http, 400, code::kInvalidRequest, "the Mcp-Session-Id header is missing; initialize first");
    co_return nullptr;
  }
  // Whoever knows an id but is not its owner learns nothing: the same answer as for an id that never was.
  const std::string unknown = "there is no such session; initialize again";
  if (id.find('.') != std::string::npos) {
    co_await refuse(http, 404, code::kDenied, unknown);  // a member's of a virtual server, which is nobody's to name
    co_return nullptr;
  }
  // After a restart the first request brings the session back; those that came with it wait for that.
  const auto until = net::after(kResume);
  while (resuming_.contains(id))
    if (!co_await resumed_.wait(until)) {
      co_await refuse(http, 503, code::kUnavailable, "the session is still being resumed; try again");
      co_return nullptr;
    }
  if (const auto at = sessions_.find(id); at != sessions_.end()) {
    if (at->second->ready() && !at->second->lost() && at->second->who()->person() == who->person() && at->second->who()->agent == who->agent && at->second->target() == target) {
      at->second->renew(std::move(who));
      co_return at->second;
    }
    co_await refuse(http, 404, code::kDenied, unknown);
    co_return nullptr;
  }
  resuming_.insert(id);
  const Resuming resuming{*this, id};
  auto remembered = co_await services_.remembered.recall(id);
  if (!remembered) {
    co_await refuse(http, 503, code::kUnavailable, remembered.error().what);
    co_return nullptr;
  }
  const bool owner = *remembered && (*remembered)->person == who->person() && (*remembered)->agent == who->agent && (*remembered)->target == target;
  if (!owner) {
    co_await refuse(http, 404, code::kDenied, unknown);
    co_return nullptr;
  }
  auto session = conversation_with(target, id, Front::Legacy);
  auto resumed = co_await session->resume(std::move(who), http.peer(), std::move(**remembered));
  if (!resumed) {
    co_await refuse(http, resumed.error().kind == ErrorKind::Denied ? 404 : 503, code::kUnavailable, resumed.error().what);
    co_return nullptr;
  }
  sessions_[id] = session;
  watch(session);
  co_return session;
}

std::pair<unsigned, std::string> Endpoint::unreadable(const net::HttpRequest& request) {
  const auto type = ascii_lower(request.headers.get("Content-Type"));
  if (type.substr(0, type.find(';')) != "application/json") return {415, "Content-Type must be application/json"};
  if (!request.headers.get("Content-Encoding").empty()) return {415, "a compressed body is not read here"};
  return {0, ""};
}

awaitable<bool> Endpoint::handle_post(net::HttpServerConnection& http, net::HttpRequest request, identity::PrincipalPtr who, std::string target) {
  auto wrong = unreadable(request);
  const auto accept = request.headers.get("Accept");
  if (wrong.first == 0 && !accepts(accept, "application/json")) wrong = {406, "Accept must name application/json and text/event-stream"};
  if (wrong.first != 0) {
    co_await refuse(http, wrong.first, code::kInvalidRequest, std::move(wrong.second));
    co_return true;
  }
  const bool may_stream = accepts(accept, "text/event-stream");
  const bool modern = says_modern(request);
  if (modern || request.headers.get("Mcp-Session-Id").empty()) {
    auto message = parse_message(std::exchange(request.body, {}), From::Client, options_.http.body_bytes);
    if (!message) {
      co_await refuse(http, 400, code::kParse, message.error().what);
      co_return true;
    }
    if (!co_await may_by_scope(http, *who, target, *message)) co_return true;
    if (modern || message->params["_meta"][kMetaVersion].valid())
      co_return co_await handle_modern(http, std::move(request), std::move(*message), std::move(who), std::move(target), may_stream);
    co_await begin_session(http, std::move(*message), std::move(who), std::move(target));
  } else {
    co_await continue_session(http, std::move(request), std::move(who), std::move(target), may_stream);
  }
  co_return true;
}

awaitable<void> Endpoint::begin_session(net::HttpServerConnection& http, Message message, identity::PrincipalPtr who, std::string target) {
  if (message.method != "initialize" || message.kind != Message::Kind::Request)
    co_return co_await refuse(http, 400, code::kInvalidRequest, "the Mcp-Session-Id header is missing; initialize first");
  if (message.text().size() > kMostSaidOfItself) co_return co_await refuse(http, 413, code::kInvalidRequest, "initialize is over 65536 bytes");
  if (sessions_.size() >= options_.max_sessions) co_return co_await refuse(http, 503, code::kUnavailable, "too many sessions");
  const auto* configured = services_.gate.catalog()->find(target);
  if (const auto* mcp = configured == nullptr ? nullptr : std::get_if<target::McpTarget>(&configured->kind); mcp != nullptr && message.text().size() > mcp->max_message && services_.gate.may_open(*who, target))
    co_return co_await refuse(http, 413, code::kInvalidRequest, "the message is over the " + std::to_string(mcp->max_message) + " bytes that this target gets");
  auto session = conversation_with(target, new_session_id(), Front::Legacy);
  // Known before the client is told of it: its next request may be here before this coroutine goes on.
  sessions_[session->id()] = session;
  const Conversation::Tell tell = [&http](unsigned status, std::string text, std::string begun) { return answer_initialize(http, status, std::move(text), std::move(begun)); };
  if (co_await session->begin(tell, http.peer(), std::move(who), std::move(target), std::move(message))) watch(session);
  else sessions_.erase(session->id());
}

awaitable<void> Endpoint::continue_session(net::HttpServerConnection& http, net::HttpRequest request, identity::PrincipalPtr who, std::string target, bool may_stream) {
  const std::size_t max = options_.http.body_bytes;
  auto session = co_await find(http, request, who, target);
  if (!session) co_return;
  auto texts = split_batch(std::move(request.body), max, kMaxBatch);
  if (!texts) co_return co_await refuse(http, 400, code::kParse, texts.error().what);
  if (texts->size() > 1 && !request.headers.get("MCP-Protocol-Version").empty() && request.headers.get("MCP-Protocol-Version") > "2025-03-26")
    co_return co_await refuse(http, 400, code::kInvalidRequest, "batches exist up to revision 2025-03-26 only");
  if (texts->size() > 1) {
    for (const auto& text : *texts)
      if (const auto one = parse_message(text, From::Client, max); one && !co_await may_by_scope(http, *who, target, *one)) co_return;
    HttpClientStream client(http, services_.context, may_stream, true);
    co_return co_await handle_batch(client, session, std::move(*texts), max);
  }
  auto message = parse_message(std::move(texts->front()), From::Client, max);
  if (!message) co_return co_await refuse(http, 400, code::kParse, message.error().what);
  if (message->method == "initialize") co_return co_await refuse(http, 400, code::kInvalidRequest, "this session is initialized already");
  if (!co_await may_by_scope(http, *who, target, *message)) co_return;
  HttpClientStream client(http, services_.context, may_stream);
  co_await session->post(client, std::move(*message));
  co_await client.end_stream();
  if (session->lost()) co_await retire(session, "the target lost it");
}

/// The Gate ends sessions whose access is over: the next request with its id is answered with 404, and running ones with an error.
void Endpoint::watch(const std::shared_ptr<Conversation>& session) {
  session->on_over([this, weak = std::weak_ptr<Conversation>(session)](std::string reason) {
    const auto over = weak.lock();
    if (!over) return;
    over->leave();
    boost::asio::co_spawn(services_.context, retire(over, std::move(reason)), boost::asio::detached);
    over->cut();
  });
}

/// Found by nobody from the first moment on, gone from the table when all of its end is done.
awaitable<void> Endpoint::retire(std::shared_ptr<Conversation> session, std::string reason) {
  session->leave();
  if (!co_await session->end(std::move(reason), true)) co_return;
  sessions_.erase(session->id());
  close_sse(session->id());
}

awaitable<void> Endpoint::handle_batch(HttpClientStream& client, std::shared_ptr<Conversation> session, std::vector<std::string> texts, std::size_t max) {
  for (auto& text : texts) {
    auto message = parse_message(std::move(text), From::Client, max);
    if (!message) {
      co_await client.answer(error_text("", code::kInvalidRequest, message.error().what));
      continue;
    }
    if (message->kind != Message::Kind::Request || message->method == "initialize") {
      co_await client.answer(error_text(message->id.raw(), code::kInvalidRequest, "only requests may be batched here"));
      continue;
    }
    co_await session->post(client, std::move(*message));
  }
  co_await client.end_batch();
}

awaitable<void> Endpoint::sweep() {
  while (!draining_) {
    sweep_timer_.expires_after(std::chrono::seconds(10));
    boost::system::error_code ignored;
    co_await sweep_timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    const auto now = system_clock().mono_ns();
    const auto wall = system_clock().wall_ns();
    std::vector<std::shared_ptr<Conversation>> over;
    for (const auto& [id, session] : sessions_) {
      if (!session->ready()) continue;
      const auto limit = session->front() == Front::Modern ? options_.modern_idle_ns : options_.idle_ns;
      const bool idle = !session->busy() && now - session->last_used_ns() > limit;
      const bool expired = session->who()->expires_wall_ns != 0 && wall > session->who()->expires_wall_ns + options_.idle_ns;
      if (idle || expired || session->lost()) over.push_back(session);
      else if (session->who()->expires_wall_ns != 0 && wall > session->who()->expires_wall_ns) session->close_streams();
    }
    for (const auto& session : over) co_await retire(session, session->lost() ? "the target lost it" : "idle too long");
  }
}

awaitable<void> Endpoint::drain(net::Deadline deadline) {
  draining_ = true;
  sweep_timer_.cancel();
  tend_timer_.cancel();
  for (const auto& [id, session] : sessions_) session->release_holds();
  boost::asio::steady_timer timer(services_.context);
  const auto busy = [&] { return std::ranges::any_of(sessions_, [](const auto& entry) { return entry.second->running(); }); };
  while (busy() && system_clock().mono_ns() < deadline) {
    timer.expires_after(std::chrono::milliseconds(20));
    boost::system::error_code ignored;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }
  // Kept in the state: a client may go on with its session when the gateway is back.
  for (const auto& [id, session] : std::exchange(sessions_, {})) co_await session->end("gateway stopped", session->front() == Front::Modern || fronts_.contains(id));
  for (auto* connection : connections_) connection->close();
  co_await pool_->end(net::after(kProcessesEnd));
}

}  // namespace sallyport::protocol::mcp
