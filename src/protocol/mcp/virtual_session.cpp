// How a conversation with a virtual server begins and ends. See virtual_session.h.
#include "protocol/mcp/virtual_session.h"

#include <algorithm>

#include "protocol/mcp/answer.h"
#include "protocol/mcp/modern_answer.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

VirtualSession::VirtualSession(Services& services, Observed& observed, std::string id, Front front, const target::VirtualServer& server)
    : services_(services), observed_(observed), id_(std::move(id)), front_(front), server_(server), members_(server.members.size()), changed_(services.context),
      last_used_ns_(system_clock().mono_ns()) {}

bool VirtualSession::running() const {
  return pending_ > 0 || std::ranges::any_of(members_, [](const auto& one) { return one.session && one.session->running(); });
}

bool VirtualSession::lost() const {
  if (lost_) return true;
  const auto* now = services_.gate.catalog()->find_virtual(name_);
  return now == nullptr || !(*now == server_);
}

void VirtualSession::renew(identity::PrincipalPtr who) {
  who_ = std::move(who);
  for (auto& one : members_)
    if (one.session) one.session->renew(who_);
}

void VirtualSession::cut() {
  for (auto& one : members_)
    if (one.session) one.session->cut();
}

void VirtualSession::release_holds() {
  for (auto& one : members_)
    if (one.session) one.session->release_holds();
}

void VirtualSession::cancel_abandoned() {
  for (auto& one : members_)
    if (one.session) one.session->cancel_abandoned();
}

/// Why there is no conversation: nobody is there for this person, or nobody can be reached.
Begun VirtualSession::not_begun(const std::string& id) const {
  const auto none = missing();
  if (none.empty()) return {404, error_text(id, code::kDenied, "there is no target \"" + name_ + "\" for " + who_->display()), false, true};
  std::string reasons;
  for (const auto& one : none) reasons += (reasons.empty() ? "" : "; ") + one.member + ": " + one.reason;
  return {503, error_text(id, code::kUnavailable, "no server of " + name_ + " can be reached: " + reasons), false, false};
}

awaitable<Begun> VirtualSession::begin(std::string peer, identity::PrincipalPtr who, std::string target, Message message) {
  const auto self = shared_from_this();
  const auto id = message.id_text();
  std::tie(name_, peer_, who_) = std::tuple(std::move(target), std::move(peer), std::move(who));
  greeting_ = message.params.is_object() ? std::string(message.params.raw()) : "{}";
  const std::string asked(message.params["protocolVersion"].as_string());
  version_ = is_version(asked) ? asked : versions().back();
  if (!co_await open_all(net::after(server_.timeout_ns))) {
    auto none = not_begun(id);
    co_await end("did not begin", true);
    co_return none;
  }
  enforce::RememberedSession remembered{who_->person(), who_->agent, name_, greeting_, version_, "", ""};
  if (auto kept = co_await services_.remembered.remember(id_, std::move(remembered)); !kept) {
    co_await end("did not begin", true);
    co_return Begun{503, error_text(id, code::kUnavailable, "the session cannot be recorded: " + kept.error().what)};
  }
  ready_ = begun_ = true;
  std::string text = R"({"protocolVersion":)" + json::quote(version_) + "," + description();
  if (const auto meta = meta_of(missing()); !meta.empty()) text += "," + meta;
  co_return Begun{200, result_text(id, text + "}"), true};
}

awaitable<Result<void>> VirtualSession::resume(identity::PrincipalPtr who, std::string peer, enforce::RememberedSession remembered) {
  const auto self = shared_from_this();
  std::tie(name_, peer_, who_) = std::tuple(remembered.target, std::move(peer), std::move(who));
  greeting_ = remembered.upstream_session;
  version_ = remembered.version;
  initialized_ = true;
  for (std::size_t at = 0; at < members_.size(); ++at) {
    const auto id = id_ + "." + member_name(at);
    CO_TRY(auto kept, co_await services_.remembered.recall(id));
    if (!kept || kept->target != server_.members[at].target) continue;
    auto session = std::make_shared<Session>(services_, observed_, id);
    auto resumed = co_await session->resume(who_, peer_, std::move(*kept));
    if (resumed) adopt(at, std::move(session));
    else members_[at].denied = resumed.error().kind == ErrorKind::Denied;
  }
  if (!co_await open_all(net::after(server_.timeout_ns))) {
    const auto none = not_begun("null");
    co_return fail(none.denied ? ErrorKind::Denied : ErrorKind::Unavailable, none.denied ? "there is no target \"" + name_ + "\" for " + who_->display() : "no server of " + name_ + " can be reached");
  }
  ready_ = begun_ = true;
  co_return Result<void>{};
}

awaitable<Result<void>> VirtualSession::begin_modern(identity::PrincipalPtr who, std::string target, std::string peer, const Message& first) {
  const auto self = shared_from_this();
  std::tie(name_, peer_, who_) = std::tuple(std::move(target), std::move(peer), std::move(who));
  greeting_ = with_member(first.params["_meta"], "progressToken", "");
  ready_ = co_await open_all(net::after(server_.timeout_ns));
  begun_ = true;
  changed_.notify();
  if (ready_) co_return Result<void>{};
  const auto none = not_begun("null");
  const auto said = parse_message(none.text, From::Server, SIZE_MAX);
  co_await end("did not begin", true);
  co_return fail(none.denied ? ErrorKind::Denied : ErrorKind::Unavailable, said ? std::string(said->error["message"].as_string()) : "no server can be reached");
}

awaitable<void> VirtualSession::begun() {
  const auto self = shared_from_this();
  while (!begun_) co_await changed_.wait();
}

awaitable<bool> VirtualSession::end(std::string reason, bool remote) {
  const auto self = shared_from_this();
  if (std::exchange(ended_, true)) co_return false;
  lost_ = begun_ = true;
  if (remote && front_ == Front::Legacy) (void)co_await services_.remembered.forget(id_);
  close_streams();
  changed_.notify();
  for (auto& one : members_)
    if (const auto session = std::exchange(one.session, nullptr)) co_await session->end(reason, remote);
  co_return true;
}

}  // namespace sallyport::protocol::mcp
