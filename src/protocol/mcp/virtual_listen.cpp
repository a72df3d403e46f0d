// A client's streams at a virtual server: what all members say outside of calls, and that members come and go. See virtual_session.h.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>

#include "protocol/mcp/virtual_session.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

constexpr std::int64_t kKeepAlive = 15'000'000'000, kFirstPause = 500'000'000, kLongestPause = 60'000'000'000, kSettled = 10'000'000'000;

}  // namespace

void VirtualSession::close_streams() {
  for (const auto& one : listeners_) {
    one->over = true;
    one->changed.changed();
    for (auto* member : one->members) member->close();
  }
  changed_.changed();
}

/// A modern client's subscriptions/listen as one member gets it: with the resources that are its own.
std::optional<Message> VirtualSession::listen_request(const Listener& listener, std::size_t at) const {
  const auto& request = *listener.request;
  const auto uris = request.params["notifications"]["resourceSubscriptions"];
  std::string kept;
  for (const auto uri : uris)
    if (uri.is_string() && owner_of_uri(uri.as_string()).value_or(at) == at) kept.append(kept.empty() ? "" : ",").append(uri.raw());
  auto out = uris.is_array() ? with_value(request, uris, "[" + kept + "]", From::Client) : parse_message(std::string(request.text()), From::Client, SIZE_MAX);
  return out ? std::optional(std::move(*out)) : std::nullopt;
}

/// One member's stream, again and again for as long as the client listens.
awaitable<void> VirtualSession::follow(std::shared_ptr<Listener> listener, std::size_t at) {
  auto pause = kFirstPause;
  while (!listener->over && !ended_) {
    const auto session = members_[at].session;
    if (!session || session->lost() || members_[at].down) {
      (void)co_await changed_.wait(net::kNever);
      continue;
    }
    const auto begun = system_clock().mono_ns();
    auto stream = std::make_shared<ListenStream>(listener, member_name(at), services_.context);
    co_await session->listen(*stream, "", listener->request ? listen_request(*listener, at) : std::nullopt);
    const bool refused = stream->refused();
    stream.reset();
    if (listener->over || ended_) break;
    if (session->lost() && members_[at].session == session) drop(at, "the target lost it");
    pause = system_clock().mono_ns() - begun > kSettled ? kFirstPause : std::min(pause * 2, kLongestPause);
    const auto until = net::after(refused ? kLongestPause : pause);
    // A stream that broke may be all that tells of a member that went away.
    if (!refused && members_[at].session == session && !members_[at].down) co_await probe(at);
    while (!listener->over && !ended_ && members_[at].session == session && !members_[at].down && system_clock().mono_ns() < until) (void)co_await changed_.wait(until);
  }
  --listener->running;
  listener->changed.changed();
}

/// A modern client is told what it subscribed to once all members have said so, or are late.
awaitable<void> VirtualSession::acknowledge(Listener& listener) {
  const auto until = net::after(server_.timeout_ns);
  const auto waits = [&] {
    for (std::size_t at = 0; at < members_.size(); ++at)
      if (members_[at].session && !members_[at].down && !listener.heard.contains(member_name(at))) return true;
    return false;
  };
  while (!listener.over && waits() && system_clock().mono_ns() < until) (void)co_await listener.changed.wait(std::min(until, net::after(kFirstPause)));
  const auto wanted = listener.request->params["notifications"];
  std::string agreed;
  for (const auto key : {"toolsListChanged", "promptsListChanged", "resourcesListChanged"})
    if (wanted[key].as_bool()) agreed += (agreed.empty() ? "" : ",") + json::quote(key) + ":true";
  if (!listener.subscriptions.empty()) agreed += (agreed.empty() ? "" : ",") + (R"("resourceSubscriptions":[)" + listener.subscriptions + "]");
  SseEvent event;
  event.event = "message";
  event.data = R"({"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{)" + json::quote(kMetaSubscription) + ":" + std::string(listener.request->id.raw()) +
               R"(},"notifications":{)" + agreed + "}}}";
  co_await listener.client.event(std::move(event));
  listener.open = true;
  listener.changed.changed();
}

awaitable<void> VirtualSession::listen(ClientStream& client, std::string last_event_id, std::optional<Message> request) {
  const auto self = shared_from_this();
  last_used_ns_ = system_clock().mono_ns();
  if (!last_event_id.empty()) {
    // The stream of a call that broke off: it goes on where its member has it.
    const auto colon = last_event_id.find(':');
    const auto at = std::ranges::find(server_.members, last_event_id.substr(0, colon), &target::VirtualMember::name);
    const auto session = at == server_.members.end() || colon == std::string::npos ? nullptr : members_[static_cast<std::size_t>(at - server_.members.begin())].session;
    if (!session) co_return co_await client.answer(error_text("", code::kInvalidRequest, "there is no such event"), {}, 404);
    MemberStream stream(client, at->name);
    co_return co_await session->listen(stream, last_event_id.substr(colon + 1), {});
  }
  auto listener = std::make_shared<Listener>(client, services_.context);
  listener->open = !request;
  listener->request = std::move(request);
  bool gone = false;
  boost::asio::co_spawn(services_.context, [&client, listener, &gone]() -> awaitable<void> {
    co_await client.until_gone();
    gone = listener->over = true;
    listener->changed.changed();
  }, boost::asio::detached);
  co_await client.comment("open");
  co_await hear(listener);
  co_await client.finish();
  client.close();
  while (!gone) (void)co_await listener->changed.wait(net::kNever);
  last_used_ns_ = system_clock().mono_ns();
}

awaitable<void> VirtualSession::listen(ClientStream& client) {
  const auto self = shared_from_this();
  co_await hear(std::make_shared<Listener>(client, services_.context));
}

/// Until the client goes or the conversation ends; nobody uses the listener afterwards.
awaitable<void> VirtualSession::hear(std::shared_ptr<Listener> listener) {
  const auto self = shared_from_this();
  listeners_.insert(listener);
  if (listener->request && listener->request->params["notifications"]["resourceSubscriptions"].size() > 0 && listed_.empty())
    for (const std::string method : {"resources/list", "resources/templates/list"}) merge(*co_await gather(method, {}, true), *list_kind(method));
  for (std::size_t at = 0; at < members_.size(); ++at) {
    if (lacks_scope(at)) {
      listener->heard.insert(member_name(at));
      continue;
    }
    ++listener->running;
    boost::asio::co_spawn(services_.context, [self, listener, at]() -> awaitable<void> { co_await self->follow(listener, at); }, boost::asio::detached);
  }
  if (!std::exchange(watching_, true)) boost::asio::co_spawn(services_.context, [self]() -> awaitable<void> { co_await self->watch_members(); }, boost::asio::detached);
  if (listener->request) co_await acknowledge(*listener);
  while (!listener->over && !ended_ && !listener->client.gone()) {
    const auto until = net::after(kKeepAlive);
    (void)co_await listener->changed.wait(until);
    if (!listener->over && system_clock().mono_ns() >= until) co_await listener->client.comment("");
    last_used_ns_ = system_clock().mono_ns();
  }
  listener->over = true;
  for (auto* member : listener->members) member->close();
  listener->changed.changed();
  changed_.changed();
  while (listener->running > 0) (void)co_await listener->changed.wait(net::kNever);
  listeners_.erase(listener);
  changed_.changed();
}

/// What is there has changed: whoever listens is told, once for all that changes at a time.
void VirtualSession::lists_changed() {
  if (!begun_ || ended_ || listeners_.empty() || std::exchange(told_, true)) return;
  boost::asio::co_spawn(services_.context, [self = shared_from_this()]() -> awaitable<void> { co_await self->tell_changed(); }, boost::asio::detached);
}

awaitable<void> VirtualSession::tell_changed() {
  told_ = false;
  for (const auto& listener : std::vector(listeners_.begin(), listeners_.end())) {
    if (listener->over || !listener->open) continue;
    ++listener->running;
    for (const std::string area : {"tools", "prompts", "resources"}) {
      if (listener->over || (listener->request && !listener->request->params["notifications"][area + "ListChanged"].as_bool())) continue;
      SseEvent event;
      event.event = "message";
      event.data = R"({"jsonrpc":"2.0","method":"notifications/)" + area + R"(/list_changed")" +
                   (listener->request ? R"(,"params":{"_meta":{)" + json::quote(kMetaSubscription) + ":" + std::string(listener->request->id.raw()) + "}}" : "") + "}";
      co_await listener->client.event(std::move(event));
    }
    --listener->running;
    listener->changed.changed();
  }
}

}  // namespace sallyport::protocol::mcp
