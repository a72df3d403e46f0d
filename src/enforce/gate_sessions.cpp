// The sessions of a Gate: their beginning, what they may while grants come and go, and their end. See gate.h.
#include <boost/asio/redirect_error.hpp>

#include "enforce/gate.h"
#include "enforce/gate_state.h"

namespace sallyport::enforce {

using boost::asio::awaitable;

namespace {

/// How long the end of a session waits for outcomes that are being written.
constexpr std::int64_t kCloseWait = 10'000'000'000;

std::string why_fallen(identity::Reason reason, const identity::Principal& who) {
  switch (reason) {
    case identity::Reason::Deactivated: return who.display() + " may not come any more";
    case identity::Reason::Revoked: return "the credential of " + who.display() + " was taken back";
    case identity::Reason::UnknownUser: return who.display() + " is no longer known here";
    case identity::Reason::UnknownAgent: return "agent " + who.agent + " may no longer act for " + who.subject;
    default: return "the credential of " + who.display() + " no longer stands";
  }
}

}  // namespace

Facts with_unknown_object(const Action& action) {
  Facts facts = facts_of(action);
  if (facts.schema == nullptr) return facts;
  for (std::size_t i = 0; i < facts.values.size(); ++i) {
    const auto name = facts.schema->fields[i].name;
    if (name == "mcp.tool" || name == "mcp.resource" || name == "mcp.prompt" || name == "mcp.args") facts.values[i] = Unknown{};
  }
  return facts;
}

Facts first_facts(const target::Target& target) {
  if (std::holds_alternative<target::PostgresTarget>(target.kind)) return {&sql_schema(), std::vector<FactValue>(sql_schema().fields.size())};
  McpRequest any;
  any.method = "initialize";
  any.housekeeping = true;
  return with_unknown_object(any);
}

bool Gate::may_open(const identity::Principal& who, const std::string& target) {
  const auto* found = catalog_->find(target);
  if (found == nullptr) return false;
  Session probe;
  probe.who = probe.signed_in = std::make_shared<const identity::Principal>(who);
  probe.target = target;
  read_access(probe);
  return policy_->may_be_visible(*probe.who, *found, first_facts(*found));
}

awaitable<Result<std::shared_ptr<Session>>> Gate::open(identity::PrincipalPtr who, std::string target, std::string binding,
                                                       Connection connection) {
  const auto* found = catalog_->find(target);
  auto session = std::make_shared<Session>();
  session->who = who;
  session->signed_in = std::move(who);
  session->target = std::move(target);
  read_access(*session);
  // One answer for "not there" and "not for you": names of targets are not for guessing.
  if (found == nullptr || !policy_->may_be_visible(*session->who, *found, first_facts(*found)))
    co_return fail(ErrorKind::Denied, "there is no target \"" + session->target + "\" for " + session->who->display());
  session->binding = std::move(binding);
  session->record = log_.new_session();
  evidence::Entry entry(evidence::Kind::SessionOpen, session->record);
  using evidence::Field;
  entry.text(Field::Subject, session->who->subject)
      .text(Field::Issuer, session->who->issuer)
      .text(Field::Agent, session->who->agent)
      .texts(Field::Groups, session->who->groups)
      .text(Field::Target, session->target)
      .text(Field::Peer, connection.peer)
      .text(Field::Protocol, connection.protocol)
      .text(Field::Software, connection.software)
      .bytes(Field::PolicyDigest, policy_->digest());
  if (!connection.resumes.empty()) entry.text(Field::Reason, "resumes " + connection.resumes);
  entry.bytes(Field::Digest, session->who->credential).text(Field::About, connection.cause);
  session->peer = connection.peer;
  session->software = connection.software;
  CO_TRY([[maybe_unused]] const auto index, co_await port_.append(std::move(entry)));
  open_.insert_or_assign(session.get(), session);
  co_return session;
}

awaitable<void> Gate::close(std::shared_ptr<Session> session, std::string reason) {
  session->closed = true;
  session->end = nullptr;
  open_.erase(session.get());
  if (session->open_commands != 0) {
    session->quiet.emplace(context_, std::chrono::nanoseconds(kCloseWait));
    boost::system::error_code over;
    co_await session->quiet->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, over));
    if (session->open_commands != 0) co_return;
  }
  evidence::Entry entry(evidence::Kind::SessionClose, session->record);
  entry.text(evidence::Field::Reason, reason);
  // A close that cannot be written leaves the session open in the record: recovery marks it interrupted.
  (void)co_await port_.append(std::move(entry));
}

void Gate::read_access(Session& session) {
  const auto& access = *approvals_.access();
  // The version first: a change in between is then seen at the next look.
  session.access_version = access.version();
  Access::Active active;
  if (const auto* target = catalog_->find(session.target))
    active = access.grants_for(session.signed_in->person(), session.signed_in->agent, *target, clock_.wall_ns());
  session.access_until_ns = active.next_change_wall_ns;
  for (const auto& rule : session.who->access)
    if (!std::ranges::binary_search(active.rules, rule)) session.lost_access = rule;
  if (active.rules.empty()) {
    session.who = session.signed_in;
    return;
  }
  auto who = std::make_shared<identity::Principal>(*session.signed_in);
  who->access = std::move(active.rules);
  session.who = std::move(who);
}

void Gate::read_standing(Session& session) {
  session.standing_version = directory_->version();  // first, as above
  auto now = directory_->current(session.signed_in);
  if (!now) {
    // What has run out may be renewed (MCP brings its token with every request); the rest is final.
    if (now.error() != identity::Reason::Expired) session.fallen = why_fallen(now.error(), *session.signed_in);
    return;
  }
  if (*now == session.signed_in) return;
  note_lost_groups(session, **now);
  session.signed_in = std::move(*now);
  read_access(session);
}

void Gate::note_lost_groups(Session& session, const identity::Principal& now) const {
  const auto* target = catalog_->find(session.target);
  for (const auto& group : session.signed_in->groups)
    if (!now.in_group(group) && (target == nullptr || policy_->names_group(group, *target))) session.lost_group = group;
}

void Gate::refresh(Session& session) {
  if (directory_ != nullptr && session.standing_version != directory_->version()) read_standing(session);
  const bool changed = session.access_version != approvals_.access()->version();
  if (changed || (session.access_until_ns != INT64_MAX && clock_.wall_ns() >= session.access_until_ns)) read_access(session);
}

void Gate::renew(Session& session, identity::PrincipalPtr who) {
  if (session.signed_in == who) return;
  note_lost_groups(session, *who);
  session.signed_in = std::move(who);
  session.fallen.clear();
  session.standing_version = 0;
  read_access(session);
}

std::optional<std::string> Gate::why_over(Session& session) {
  refresh(session);
  if (!session.fallen.empty()) return session.fallen;
  if (!session.lost_group.empty()) return session.who->display() + " is no longer in group " + session.lost_group;
  if (session.lost_access.empty()) return std::nullopt;
  const auto* target = catalog_->find(session.target);
  if (target != nullptr && policy_->may_be_visible(*session.who, *target, first_facts(*target))) return std::nullopt;
  return "the access under rule " + session.lost_access + " has ended";
}

void Gate::recheck() {
  std::vector<std::shared_ptr<Session>> sessions;
  for (auto at = open_.begin(); at != open_.end();) {
    if (auto session = at->second.lock()) {
      sessions.push_back(std::move(session));
      ++at;
    } else {
      at = open_.erase(at);
    }
  }
  for (const auto& session : sessions) {
    if (session->over || !session->end) continue;
    if (auto why = why_over(*session)) {
      session->over = true;
      session->end(std::move(*why));
    }
  }
}

}  // namespace sallyport::enforce
