// The life of a virtual server's members in one conversation: opened, lost, asked, brought back. See virtual_session.h.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>

#include "protocol/mcp/resource_server.h"
#include "protocol/mcp/virtual_session.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

constexpr std::int64_t kFirstWait = 500'000'000, kLongestWait = 30'000'000'000, kDeniedWait = 2'000'000'000, kUnheard = 60'000'000'000;

/// Says something to a session that needs no answer.
awaitable<void> tell(boost::asio::io_context& context, std::shared_ptr<Session> session, std::string text) {
  auto message = parse_message(std::move(text), From::Client, SIZE_MAX);
  KeptAnswer nobody(context);
  if (message) co_await session->post(nobody, std::move(*message));
}

}  // namespace

awaitable<void> VirtualSession::open(std::size_t at) {
  if (front_ == Front::Legacy) co_await open_legacy(at);
  else co_await open_modern(at);
  members_[at].opening = false;
  changed_.changed();
}

awaitable<void> VirtualSession::open_legacy(std::size_t at) {
  auto session = make_(id_ + "." + member_name(at));
  auto message = parse_message(R"({"jsonrpc":"2.0","id":"sallyport-initialize","method":"initialize","params":)" + greeting_ + "}", From::Client, SIZE_MAX);
  if (!message) co_return failed(at, message.error().what);
  unsigned status = 200;
  std::string text;
  const Tell keep = [&](unsigned answered, std::string told, std::string) -> awaitable<void> {
    std::tie(status, text) = std::tuple(answered, std::move(told));
    co_return;
  };
  const bool begun = co_await session->begin(keep, peer_, who_, server_.members[at].target, std::move(*message));
  auto said = parse_message(std::move(text), From::Server, SIZE_MAX);
  if (!begun) {
    members_[at].denied = status == 404 || status == 403;
    co_return failed(at, said && said->kind == Message::Kind::Error ? std::string(said->error["message"].as_string()) : "it refused to begin");
  }
  if (initialized_) co_await tell(services_.context, session, R"({"jsonrpc":"2.0","method":"notifications/initialized"})");
  if (!level_.empty()) co_await tell(services_.context, session, R"({"jsonrpc":"2.0","id":"sallyport-level","method":"logging/setLevel","params":{"level":)" + level_ + "}}");
  if (ended_) {
    co_await session->end("ended", true);
    co_return;
  }
  if (said) members_[at].greeted = std::move(*said);
  adopt(at, std::move(session));
}

awaitable<void> VirtualSession::open_modern(std::size_t at) {
  auto session = make_(id_ + "." + member_name(at));
  const auto first = parse_message(R"({"jsonrpc":"2.0","id":0,"method":"server/discover","params":{"_meta":)" + greeting_ + "}}", From::Client, SIZE_MAX);
  if (!first) co_return failed(at, first.error().what);
  const auto begun = co_await session->begin_modern(who_, server_.members[at].target, peer_, *first);
  if (!begun) {
    members_[at].denied = begun.error().kind == ErrorKind::Denied;
    co_return failed(at, begun.error().what);
  }
  if (ended_) co_await session->end("ended", true);
  else adopt(at, std::move(session));
}

void VirtualSession::adopt(std::size_t at, std::shared_ptr<Session> session) {
  auto& member = members_[at];
  session->on_over([weak = weak_from_this(), at, whose = session.get()](std::string reason) {
    const auto self = weak.lock();
    if (!self || self->members_[at].session.get() != whose) return;
    self->drop(at, reason);
    const bool any = std::ranges::any_of(self->members_, [](const auto& one) { return one.session != nullptr; });
    if (!any && self->over_) self->over_(std::move(reason));
  });
  member.session = std::move(session);
  member.denied = false;
  member.down = true;  // until now it was not there
  answered(at, front_ == Front::Legacy);  // a modern one begins without a word to the target
}

/// Its conversation is over; the next that asks for it begins another.
void VirtualSession::drop(std::size_t at, std::string reason) {
  const auto session = std::exchange(members_[at].session, nullptr);
  if (!session) return;
  session->leave();
  boost::asio::co_spawn(services_.context, [session, reason]() -> awaitable<void> { co_await session->end(reason, true); }, boost::asio::detached);
  session->cut();
  members_[at].why = std::move(reason);
  members_[at].retry_at_ns = 0;
  lists_changed();
}

void VirtualSession::failed(std::size_t at, std::string why) {
  auto& member = members_[at];
  member.why = std::move(why);
  if (!member.denied) observed_.sights.member(name_, member_name(at), false);
  if (const auto now = system_clock().mono_ns(); now >= member.retry_at_ns) {  // requests that fail meanwhile do not put off the next attempt
    member.wait_ns = member.denied ? kDeniedWait : std::clamp(member.wait_ns * 2, kFirstWait, kLongestWait);
    member.retry_at_ns = now + member.wait_ns;
  }
  if (!std::exchange(member.down, true)) lists_changed();
  changed_.changed();
}

void VirtualSession::answered(std::size_t at, bool spoken) {
  auto& member = members_[at];
  if (spoken) observed_.sights.member(name_, member_name(at), true);
  member.wait_ns = 0;
  member.answered_ns = system_clock().mono_ns();
  member.why.clear();
  if (std::exchange(member.down, false)) lists_changed();
  changed_.changed();
}

bool VirtualSession::lacks_scope(std::size_t at) const {
  const auto* target = services_.gate.catalog()->find(server_.members[at].target);
  const auto* mcp = target == nullptr ? nullptr : std::get_if<target::McpTarget>(&target->kind);
  return mcp != nullptr && !missing_scopes(*who_, mcp->scopes, Message{}).empty();
}

void VirtualSession::begin_opening(std::size_t at, bool again) {
  auto& member = members_[at];
  if (lacks_scope(at)) return;
  if (member.session && member.session->lost()) drop(at, "the target lost it");
  if (member.session || member.opening || ended_ || (!again && system_clock().mono_ns() < member.retry_at_ns)) return;
  member.opening = true;
  boost::asio::co_spawn(services_.context, [self = shared_from_this(), at]() -> awaitable<void> { co_await self->open(at); }, boost::asio::detached);
}

/// False when nobody is there at the deadline; who is late may still come.
awaitable<bool> VirtualSession::open_all(net::Deadline until) {
  for (std::size_t at = 0; at < members_.size(); ++at) begin_opening(at, false);
  const auto opening = [&] { return std::ranges::any_of(members_, [](const auto& one) { return one.opening; }); };
  while (opening() && system_clock().mono_ns() < until) (void)co_await changed_.wait(until);
  co_return std::ranges::any_of(members_, [](const auto& one) { return one.session != nullptr; });
}

/// A request waits for the member that it is for, whenever that was tried last.
awaitable<std::shared_ptr<Session>> VirtualSession::reach(std::size_t at, net::Deadline until) {
  begin_opening(at, true);
  while (members_[at].opening && system_clock().mono_ns() < until) (void)co_await changed_.wait(until);
  co_return members_[at].session;
}

/// A request of our own, `members` being those of its params. Errors: Unavailable when there is no answer by then.
awaitable<Result<Message>> VirtualSession::ask(std::size_t at, std::string method, std::string members, net::Deadline until) {
  const auto session = members_[at].session;
  if (!session) co_return fail(ErrorKind::Unavailable, members_[at].why.empty() ? "it does not answer" : members_[at].why);
  if (front_ == Front::Modern) members += (members.empty() ? "" : ",") + (R"("_meta":)" + greeting_);
  const auto id = "\"sallyport-" + std::to_string(++last_id_) + "\"";
  CO_TRY(auto message, parse_message(R"({"jsonrpc":"2.0","id":)" + id + R"(,"method":)" + json::quote(method) + R"(,"params":{)" + members + "}}", From::Client, SIZE_MAX));
  auto kept = std::make_shared<KeptAnswer>(services_.context);
  boost::asio::co_spawn(services_.context, [session, kept, message = std::move(message)]() mutable -> awaitable<void> {
    co_await session->post(*kept, std::move(message));
    kept->over = true;
    kept->done.changed();
  }, boost::asio::detached);
  while (!kept->text && !kept->over && system_clock().mono_ns() < until) (void)co_await kept->done.wait(until);
  if (kept->text) {
    CO_TRY(auto answer, parse_message(std::move(*kept->text), From::Server, SIZE_MAX));
    if (answer.kind == Message::Kind::Error && answer.error["code"].as_int() == code::kUnavailable) co_return fail(ErrorKind::Unavailable, std::string(answer.error["message"].as_string()));
    co_return answer;
  }
  kept->given_up = true;  // which is how a modern request is taken back
  if (front_ == Front::Legacy && !kept->over)
    boost::asio::co_spawn(services_.context, tell(services_.context, session, R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":)" + id + "}}"), boost::asio::detached);
  co_return fail(ErrorKind::Unavailable, "it gave no answer to " + method + " in time");
}

awaitable<void> VirtualSession::probe(std::size_t at) {
  const auto until = net::after(server_.timeout_ns);
  begin_opening(at, true);
  while (members_[at].opening && system_clock().mono_ns() < until) (void)co_await changed_.wait(until);
  if (!members_[at].session) co_return;
  auto answer = co_await ask(at, "tools/list", "", until);
  if (answer) co_return answered(at);
  begin_opening(at, true);  // anew, when it has lost the conversation
  failed(at, answer.error().what);
}

/// While somebody listens, members that are away are looked for, so that it can be said when they are back.
awaitable<void> VirtualSession::watch_members() {
  while (!listeners_.empty() && !ended_) {
    auto next = system_clock().mono_ns() + kLongestWait;
    for (std::size_t at = 0; at < members_.size(); ++at) {
      const auto& member = members_[at];
      // A modern client's requests may be on another worker than its stream, which a bridge keeps open when the member's own breaks.
      const bool unheard = front_ == Front::Modern && system_clock().mono_ns() - member.answered_ns > kUnheard;
      if (lacks_scope(at) || member.opening || (member.session && !member.session->lost() && !member.down && !unheard)) continue;
      if (system_clock().mono_ns() >= member.retry_at_ns) co_await probe(at);
      if (members_[at].down || !members_[at].session) next = std::min(next, std::max(members_[at].retry_at_ns, system_clock().mono_ns() + kFirstWait));
    }
    (void)co_await changed_.wait(next);
  }
  watching_ = false;
}

/// Those that the person may reach and that are not there now.
std::vector<Missing> VirtualSession::missing() const {
  std::vector<Missing> out;
  for (std::size_t at = 0; at < members_.size(); ++at) {
    const auto& member = members_[at];
    if (!member.session && !member.denied && !lacks_scope(at)) out.push_back({member_name(at), member.why.empty() ? "it does not answer" : member.why});
  }
  return out;
}

}  // namespace sallyport::protocol::mcp
