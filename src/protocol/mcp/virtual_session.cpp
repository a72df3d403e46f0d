// How a conversation with a virtual server begins and ends. See virtual_session.h.
#include "protocol/mcp/virtual_session.h"

#include <algorithm>

#include "protocol/mcp/answer.h"
#include "protocol/mcp/modern_answer.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

VirtualSession::VirtualSession(Services& services, Observed& observed, HeldCalls& held, Make make, std::string id, Front front, const target::VirtualServer& server)
    : services_(services), observed_(observed), held_(held), make_(std::move(make)), id_(std::move(id)), front_(front), server_(server), members_(server.members.size()), changed_(services.context),
      last_used_ns_(system_clock().mono_ns()) {}

bool VirtualSession::running() const {
  return pending_ > 0 || std::ranges::any_of(members_, [](const auto& one) { return one.session && one.session->running(); });
}

bool VirtualSession::lost() const {
  if (lost_ || name_.empty()) return lost_;
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
Error VirtualSession::not_begun() const {
  const auto none = missing();
  if (none.empty()) return {ErrorKind::Denied, "there is no target \"" + name_ + "\" for " + who_->display()};
  std::string reasons;
  for (const auto& one : none) reasons += (reasons.empty() ? "" : "; ") + one.member + ": " + one.reason;
  return {ErrorKind::Unavailable, "no server of " + name_ + " can be reached: " + reasons};
}

bool VirtualSession::knows_tasks() const {
  const auto meta = json::Document::parse(greeting_);
  return meta && meta->root()[kMetaCapabilities]["extensions"][kTasks].valid();
}

awaitable<bool> VirtualSession::begin(const Tell& tell, std::string peer, identity::PrincipalPtr who, std::string target, Message message) {
  const auto self = shared_from_this();
  const auto id = message.id_text();
  std::tie(name_, peer_, who_) = std::tuple(std::move(target), std::move(peer), std::move(who));
  greeting_ = message.params.is_object() ? std::string(message.params.raw()) : "{}";
  const std::string asked(message.params["protocolVersion"].as_string());
  version_ = is_version(asked) ? asked : versions().back();
  std::optional<Error> none;
  if (!co_await open_all(net::after(server_.timeout_ns))) none = not_begun();
  if (!none) {
    enforce::RememberedSession remembered{who_->person(), who_->agent, name_, greeting_, version_, "", ""};
    if (auto kept = co_await services_.remembered.remember(id_, std::move(remembered)); !kept) none = Error{ErrorKind::Unavailable, "the session cannot be recorded: " + kept.error().what};
  }
  if (none) {
    co_await end("did not begin", true);
    const bool denied = none->kind == ErrorKind::Denied;
    co_await tell(denied ? 404 : 503, error_text(id, denied ? code::kDenied : code::kUnavailable, none->what), "");
    co_return false;
  }
  ready_ = begun_ = true;
  std::string text = R"({"protocolVersion":)" + json::quote(version_) + "," + description();
  if (const auto meta = meta_of(missing()); !meta.empty()) text += "," + meta;
  co_await tell(200, result_text(id, text + "}"), id_);
  co_return true;
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
    auto session = make_(id);
    auto resumed = co_await session->resume(who_, peer_, std::move(*kept));
    if (resumed) adopt(at, std::move(session));
    else members_[at].denied = resumed.error().kind == ErrorKind::Denied;
  }
  if (!co_await open_all(net::after(server_.timeout_ns))) co_return std::unexpected(not_begun());
  ready_ = begun_ = true;
  co_return Result<void>{};
}

awaitable<Result<void>> VirtualSession::begin_modern(identity::PrincipalPtr who, std::string target, std::string peer, const Message& first) {
  const auto self = shared_from_this();
  std::tie(name_, peer_, who_) = std::tuple(std::move(target), std::move(peer), std::move(who));
  greeting_ = with_member(first.params["_meta"], "progressToken", "");
  ready_ = co_await open_all(net::after(server_.timeout_ns));
  begun_ = true;
  changed_.changed();
  if (ready_) co_return Result<void>{};
  auto none = not_begun();
  co_await end("did not begin", true);
  co_return std::unexpected(std::move(none));
}

awaitable<void> VirtualSession::begun() {
  const auto self = shared_from_this();
  while (!begun_) (void)co_await changed_.wait(net::kNever);
}

awaitable<bool> VirtualSession::end(std::string reason, bool remote) {
  const auto self = shared_from_this();
  if (std::exchange(ended_, true)) co_return false;
  lost_ = begun_ = true;
  if (remote && front_ == Front::Legacy) (void)co_await services_.remembered.forget(id_);
  close_streams();
  changed_.changed();
  for (auto& one : members_)
    if (const auto session = std::exchange(one.session, nullptr)) co_await session->end(reason, remote);
  co_return true;
}

}  // namespace sallyport::protocol::mcp
