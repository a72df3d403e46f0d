// A client's requests to a virtual server that are for one member: found by prefix or URI, renamed, handed on. See virtual_session.h.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>

#include "base/text.h"
#include "protocol/mcp/virtual_session.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kMaxLinks = 20'000;
constexpr int kNoResource = -32002;  // of the legacy era

/// Every "uri" of a resource or a link in an answer.
void collect_uris(const json::Value& value, std::vector<std::string>& out) {
  if (value.is_object() && value["uri"].is_string()) out.emplace_back(value["uri"].as_string());
  if (value.is_object() || value.is_array())
    for (const auto child : value) collect_uris(child, out);
}

}  // namespace

awaitable<void> VirtualSession::post(ClientStream& client, Message message) {
  const auto self = shared_from_this();
  last_used_ns_ = system_clock().mono_ns();
  switch (message.kind) {
    case Message::Kind::Request: co_await request(client, std::move(message)); break;
    case Message::Kind::Notification: co_await notify(client, std::move(message)); break;
    case Message::Kind::Response:
    case Message::Kind::Error: {
      // The answer to a member's own request: it goes to whom the id names, as that one wrote it.
      const auto whose = member_id(message.id);
      const auto at = whose ? std::ranges::find(server_.members, whose->member, &target::VirtualMember::name) : server_.members.end();
      const auto session = at == server_.members.end() ? nullptr : members_[static_cast<std::size_t>(at - server_.members.begin())].session;
      auto theirs = session ? with_value(message, message.id, whose->raw, From::Client) : Result<Message>(fail(ErrorKind::Malformed, ""));
      if (theirs) co_await session->post(client, std::move(*theirs));
      else co_await client.finish(true);
    }
  }
  last_used_ns_ = system_clock().mono_ns();
}

awaitable<void> VirtualSession::request(ClientStream& client, Message message) {
  const auto& method = message.method;
  if (method == "ping") co_return co_await result(client, message, "");
  if (method == "server/discover") co_return co_await discover(client, std::move(message));
  if (method == "logging/setLevel") co_return co_await set_level(client, std::move(message));
  if (method == "completion/complete") co_return co_await complete(client, std::move(message));
  if (const auto* kind = list_kind(method)) co_return co_await list(client, std::move(message), *kind);
  if (method == "tools/call" && server_.search.over != 0 && message.params["name"].as_string() == kSearchTool) co_return co_await search(client, std::move(message));
  const auto name = message.params["name"], uri = message.params["uri"];
  if (method == "tools/call") co_return co_await call(client, std::move(message), name);
  if (method == "prompts/get") co_return co_await call(client, std::move(message), name);
  if (method == "resources/read" || method == "resources/subscribe" || method == "resources/unsubscribe") co_return co_await resource(client, std::move(message), uri);
  if (method.starts_with("tasks/")) co_return co_await task(client, std::move(message));
  co_await refuse(client, message, code::kMethodNotFound, "Method not found: " + method);
}

/// A task's id does not say whose it is, and nobody but its member takes it for one: each is asked in turn.
awaitable<void> VirtualSession::task(ClientStream& client, Message message) {
  for (std::size_t at = 0; at < members_.size(); ++at) {
    if (auto known = held_.answer(message, *who_, server_.members[at].target)) co_return co_await client.answer(std::move(*known));
    const auto session = members_[at].session;
    auto theirs = parse_message(std::string(message.text()), From::Client, SIZE_MAX);
    if (!session || !theirs || lacks_scope(at)) continue;
    KeptAnswer answer(services_.context);
    co_await session->post(answer, std::move(*theirs));
    const auto said = parse_message(answer.text.value_or(""), From::Server, SIZE_MAX);
    if (said && said->kind == Message::Kind::Response) co_return co_await client.answer(std::move(*answer.text));
  }
  co_await refuse(client, message, code::kInvalidParams, "there is no such task");
}

awaitable<void> VirtualSession::post_as_task(std::shared_ptr<ClientStream> client, Message message) {
  const auto self = shared_from_this();
  const auto name = message.params["name"];
  const bool searches = server_.search.over != 0 && name.as_string() == kSearchTool;
  const auto owned = searches ? std::nullopt : owner_of(server_, name.as_string());
  auto theirs = owned ? with_value(message, name, json::quote(owned->name), From::Client) : Result<Message>(fail(ErrorKind::Malformed, ""));
  if (theirs) co_await hand_on(*client, std::move(*theirs), owned->member, client);
  else co_await post(*client, std::move(message));
  co_await client->end_stream();
}

awaitable<void> VirtualSession::refuse(ClientStream& client, const Message& request, int code, std::string what) {
  const unsigned status = front_ != Front::Modern ? 200 : code == code::kMethodNotFound ? 404 : 200;
  co_await client.answer(error_text(request.id.raw(), code, what), {}, status);
}

/// The same words for what is not there and for what is not for this person; `prefix` is what has been taken off the name.
awaitable<void> VirtualSession::unknown(ClientStream& client, const Message& request, std::string prefix) {
  const auto uri = request.params["uri"].is_string() ? request.params["uri"] : request.params["ref"]["uri"];
  if (uri.is_string()) co_return co_await refuse(client, request, front_ == Front::Modern ? code::kInvalidParams : kNoResource, "Resource not found: " + std::string(uri.as_string()));
  const auto name = request.params["name"].is_string() ? request.params["name"] : request.params["ref"]["name"];
  co_await refuse(client, request, code::kInvalidParams, (request.method == "tools/call" ? "Unknown tool: " : "Unknown prompt: ") + prefix + std::string(name.as_string()));
}

/// `members`: of the result, without braces.
awaitable<void> VirtualSession::result(ClientStream& client, const Message& request, std::string members) {
  if (front_ == Front::Modern) members = R"("resultType":"complete")" + std::string(members.empty() ? "" : ",") + members;
  co_await client.answer(result_text(request.id.raw(), "{" + members + "}"));
}

awaitable<void> VirtualSession::notify(ClientStream& client, Message message) {
  if (message.method == "notifications/initialized") initialized_ = true;
  const auto token = message.method == "notifications/progress" ? message.params["progressToken"] : json::Value();
  const auto whose = token.valid() ? member_id(token) : std::nullopt;
  const auto left = std::make_shared<std::size_t>(0);
  for (std::size_t at = 0; at < members_.size(); ++at) {
    const auto session = members_[at].session;
    // Progress is of one member's request. A cancelled request is of one member too, and unknown to the others, who drop it.
    if (!session || lacks_scope(at) || (token.valid() && (!whose || whose->member != member_name(at)))) continue;
    auto theirs = token.valid() ? with_value(message, token, whose->raw, From::Client) : parse_message(std::string(message.text()), From::Client, SIZE_MAX);
    if (!theirs) continue;
    ++*left;
    boost::asio::co_spawn(services_.context, [self = shared_from_this(), session, left, one = std::move(*theirs)]() mutable -> awaitable<void> {
      KeptAnswer nobody(self->services_.context);
      co_await session->post(nobody, std::move(one));
      --*left;
      self->changed_.changed();
    }, boost::asio::detached);
  }
  // In order with what comes next, but nobody waits for a member that is slow.
  const auto until = net::after(server_.timeout_ns);
  while (*left > 0 && system_clock().mono_ns() < until) (void)co_await changed_.wait(until);
  co_await client.finish(true);
}

awaitable<void> VirtualSession::call(ClientStream& client, Message message, const json::Value& name) {
  const auto owned = name.is_string() ? owner_of(server_, name.as_string()) : std::nullopt;
  if (!owned) co_return co_await unknown(client, message, "");
  auto theirs = with_value(message, name, json::quote(owned->name), From::Client);
  if (!theirs) co_return co_await refuse(client, message, code::kInvalidParams, theirs.error().what);
  co_await hand_on(client, std::move(*theirs), owned->member);
}

/// The message is in the member's own words. Whoever may not reach the member learns nothing of it.
awaitable<void> VirtualSession::hand_on(ClientStream& client, Message message, std::size_t at, std::shared_ptr<ClientStream> as_task) {
  const bool lacking = lacks_scope(at);  // before anything is waited for: it is this request's token
  const auto session = lacking ? nullptr : co_await reach(at, net::after(server_.timeout_ns));
  if (!session && (members_[at].denied || lacking)) co_return co_await unknown(client, message, server_.members[at].prefix);
  if (!session) co_return co_await refuse(client, message, code::kUnavailable, "the server " + member_name(at) + " of " + name_ + " cannot be reached: " + (members_[at].why.empty() ? "it does not answer" : members_[at].why));
  const auto* member = services_.gate.catalog()->find(server_.members[at].target);
  if (const auto* mcp = member == nullptr ? nullptr : std::get_if<target::McpTarget>(&member->kind); front_ == Front::Modern && message.method == "tools/call" && mcp != nullptr) {
    // The endpoint could not compare these headers: it does not know whose tool it is.
    MirrorHeaders headers;
    for (const auto& [name, value] : message.mirrored)
      if (const auto [there, fresh] = headers.try_emplace(ascii_lower(name), value); !fresh) there->second += ", " + value;
    const auto annotated = observed_.sights.headers_of(server_.members[at].target, mcp->trust, std::string(message.params["name"].as_string()));
    if (const auto wrong = check_params(message, headers, *annotated))
      co_return co_await client.answer(error_text(message.id.raw(), wrong->code, wrong->what, wrong->data), {}, wrong->status);
  }
  auto seen = [weak = weak_from_this(), at](const std::string& answer) {
    if (const auto self = weak.lock()) self->learn_links(at, answer);
  };
  if (as_task) {
    co_await session->post_as_task(std::make_shared<MemberStream>(client, member_name(at), std::move(seen), as_task), std::move(message));
  } else {
    MemberStream stream(client, member_name(at), std::move(seen));
    co_await session->post(stream, std::move(message));
  }
  if (session->lost() && members_[at].session == session) drop(at, "the target lost it");
}

/// What a member's answer links to is that member's.
void VirtualSession::learn_links(std::size_t at, const std::string& answer) {
  if (answer.find("\"uri\"") == std::string::npos) return;
  const auto message = parse_message(answer, From::Server, SIZE_MAX);
  if (!message || linked_.size() >= kMaxLinks) return;
  std::vector<std::string> uris;
  collect_uris(message->result, uris);
  for (auto& uri : uris)
    if (linked_.size() < kMaxLinks) linked_.try_emplace(std::move(uri), at);
}

/// By a list, by the template with the longest beginning that fits, else by a link: who links to another's resource does not get it.
std::optional<std::size_t> VirtualSession::owner_of_uri(std::string_view uri) const {
  for (const auto* known : {&listed_, &templates_})
    if (const auto at = known->find(uri); at != known->end()) return at->second;
  std::optional<std::size_t> found;
  std::size_t longest = 0;
  for (const auto& [pattern, at] : templates_) {
    const auto fixed = std::string_view(pattern).substr(0, pattern.find('{'));
    if (fixed.empty() || !uri.starts_with(fixed) || fixed.size() < longest || (fixed.size() == longest && found && *found <= at)) continue;
    found = at;
    longest = fixed.size();
  }
  if (const auto at = linked_.find(uri); !found && at != linked_.end()) found = at->second;
  return found;
}

awaitable<void> VirtualSession::resource(ClientStream& client, Message message, const json::Value& uri) {
  const std::string wanted(uri.as_string());
  auto at = owner_of_uri(wanted);
  if (!at) {
    // A client may know it from elsewhere: those who may have it are asked what they have.
    for (const std::string method : {"resources/list", "resources/templates/list"}) {
      const auto work = co_await gather(method, {}, true);
      merge(*work, *list_kind(method));
    }
    at = owner_of_uri(wanted);
  }
  const auto there = std::ranges::count_if(members_, [](const auto& one) { return one.session != nullptr; });
  if (!at && there == 1) at = static_cast<std::size_t>(std::ranges::find_if(members_, [](const auto& one) { return one.session != nullptr; }) - members_.begin());
  if (!at) co_return co_await unknown(client, message, "");
  co_await hand_on(client, std::move(message), *at);
}

awaitable<void> VirtualSession::complete(ClientStream& client, Message message) {
  const auto ref = message.params["ref"];
  if (const auto uri = ref["uri"]; uri.is_string()) co_return co_await resource(client, std::move(message), uri);
  const auto name = ref["name"];
  co_await call(client, std::move(message), name);
}

/// For all that have a log, and for those that come later.
awaitable<void> VirtualSession::set_level(ClientStream& client, Message message) {
  const auto level = message.params["level"];
  if (!level.is_string()) co_return co_await refuse(client, message, code::kInvalidParams, "a level is a word");
  level_ = std::string(level.raw());
  for (std::size_t at = 0; at < members_.size(); ++at) {
    const auto capabilities = members_[at].greeted.result["capabilities"];
    if (members_[at].session && (!capabilities.valid() || capabilities["logging"].valid())) (void)co_await ask(at, "logging/setLevel", R"("level":)" + level_, net::after(server_.timeout_ns));
  }
  co_await result(client, message, "");
}

}  // namespace sallyport::protocol::mcp
