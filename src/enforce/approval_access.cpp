// Access for a time as requests: asking, renewing, revoking, break-glass and its review. See approval_state.h.
#include <fmt/ranges.h>

#include "enforce/approval_state.h"

#include "base/text.h"

namespace sallyport::enforce {

using State = Approvals::State;
using boost::asio::awaitable;
using evidence::Kind;

namespace {

constexpr std::int64_t kPast = 60'000'000'000;  // a start this long ago is "now" of a slow clock

/// "" when what is asked for lies within the rule as it is now.
std::string why_outside(const AccessRule& rule, const AccessTargets& targets, const target::CatalogPtr& catalog) {
  if (targets.names.empty() && targets.labels.empty()) return "a request names targets or labels";
  bool some = false;
  for (const auto& name : targets.names) {
    const auto* target = catalog ? catalog->find(name) : nullptr;
    if (target == nullptr || !rule.targets.matches(*target)) return "rule " + rule.id + " is not for the target \"" + name + "\"";
  }
  if (!catalog) return "there are no targets";
  for (const auto& [name, target] : catalog->targets) {
    if (!targets.matches(target)) continue;
    some = true;
    if (!rule.targets.matches(target)) return "rule " + rule.id + " is not for all of these: the target \"" + name + "\" is outside";
  }
  return some ? "" : "no target is like that";
}

std::string duration_words(std::int64_t ns) {
  const auto seconds = ns / 1'000'000'000;
  return seconds % 3600 == 0 ? fmt::format("{}h", seconds / 3600) : seconds % 60 == 0 ? fmt::format("{}m", seconds / 60) : fmt::format("{}s", seconds);
}

std::string why_wrong(const AccessRule& rule, const AccessAsk& asked, bool renewal, std::int64_t now) {
  if (asked.duration_ns <= 0 || asked.duration_ns > rule.longest_ns) return fmt::format("rule {} gives access for at most {}", rule.id, duration_words(rule.longest_ns));
  if (rule.reason && asked.reason.find_first_not_of(" \t\r\n") == std::string::npos) return "rule " + rule.id + " wants a reason";
  if (asked.start_wall_ns != 0 && asked.start_wall_ns < now - kPast) return "the start lies in the past";
  if (asked.start_wall_ns > now + rule.ahead_ns) return fmt::format("rule {} can be asked for at most {} ahead", rule.id, duration_words(rule.ahead_ns));
  if (rule.break_glass && (asked.start_wall_ns != 0 || renewal || asked.for_agents)) return "break-glass access begins at once, for the person alone, and is not renewed: ask again";
  return "";
}

Digest digest_of(const Approval& approval) {
  const auto& access = approval.access;
  return sha256(as_bytes(fmt::format("access\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", approval.id, approval.requester, approval.requester_agent, approval.terms.front().first,
                                     fmt::join(access.targets.words(), "\n"), access.duration_ns, access.start_wall_ns, access.for_agents)));
}

}  // namespace

Grant grant_of(const Approval& approval) {
  return {approval.id, approval.terms.empty() ? "" : approval.terms.front().first, approval.requester, approval.requester_agent, approval.access.for_agents,
          approval.access.targets, approval.access.begins_wall_ns, approval.access.ends_wall_ns};
}

awaitable<Result<Approval>> State::ask(AccessAsk asked) {
  const auto turn = co_await turns.take();
  co_return co_await new_access(std::move(asked), "");
}

awaitable<Result<Approval>> State::new_access(AccessAsk asked, std::string renews) {
  const auto now = clock.wall_ns();
  const auto setup = links.access->setup();
  const auto found = setup->rules.find(asked.rule);
  // One answer for "not there" and "not for you".
  if (found == setup->rules.end() || !found->second.may_ask(*asked.who)) co_return fail(ErrorKind::Denied, "there is no access rule \"" + asked.rule.substr(0, 64) + "\" for you");
  const auto& rule = found->second;
  std::ranges::sort(asked.targets.names);
  if (auto why = why_outside(rule, asked.targets, setup->catalog); !why.empty()) co_return fail(ErrorKind::Denied, why);
  if (auto why = why_wrong(rule, asked, !renews.empty(), now); !why.empty()) co_return fail(ErrorKind::Malformed, why);
  if (rule.break_glass && (asked.who->method != "break-glass" || asked.who->is_agent()))
    co_return fail(ErrorKind::Denied, "rule " + rule.id + " is for emergencies: a person asks for it with a break-glass credential");
  for (const auto& [id, other] : live) {
    const bool same = other.kind == RequestKind::Access && other.state == ApprovalState::Pending && other.requester == asked.who->person() &&
                      other.requester_agent == asked.who->agent && other.terms.front().first == rule.id && other.access.targets == asked.targets;
    if (same && !expired(other, now)) co_return fail(ErrorKind::Denied, "request " + id + " for the same is pending already");
  }
  if (auto why = full(); !why.empty()) co_return fail(ErrorKind::Overloaded, why);
  Approval approval;
  approval.id = random_name("apr_");
  approval.kind = RequestKind::Access;
  approval.request_id = asked.request_id;
  ask_as(approval, *asked.who);
  approval.asked_for = cut_reason(asked.reason);
  approval.about = renews;
  approval.access.targets = asked.targets;
  approval.access.duration_ns = asked.duration_ns;
  approval.access.start_wall_ns = asked.start_wall_ns;
  approval.access.for_agents = asked.for_agents;
  approval.access.break_glass = rule.break_glass.has_value();
  approval.summary = fmt::format("access {} to {} for {}", rule.id, fmt::join(asked.targets.words(), ", "), duration_words(asked.duration_ns));
  ApprovalTerms terms;
  terms.steps = rule.steps;
  terms.valid_ns = rule.valid_ns;
  approval.terms = {{rule.id, terms}};
  approval.digest = digest_of(approval);
  approval.created_wall_ns = now;
  approval.expires_wall_ns = now + rule.valid_ns;
  if (asked.start_wall_ns != 0) approval.expires_wall_ns = std::min(approval.expires_wall_ns, asked.start_wall_ns + asked.duration_ns);
  if (rule.break_glass) co_return co_await open_glass(std::move(approval), rule);
  CO_TRY_VOID(co_await record(Kind::ApprovalRequested, approval, nullptr, approval.asked_for));
  CO_TRY_VOID(insert_approvals(store.database(), {&approval}, now));
  keep(approval);
  tell("requested", approval);
  approval.fresh = true;
  co_return approval;
}

/// Granted at once, and loudly: its own entries, a line in the log, an event, and a review that stays open until somebody else closes it.
awaitable<Result<Approval>> State::open_glass(Approval approval, const AccessRule& rule) {
  const auto now = approval.created_wall_ns;
  Approval review = approval;
  review.id = random_name("apr_");
  review.kind = RequestKind::Review;
  review.about = approval.id;
  review.access = {};
  review.terms.front().second.steps = {{rule.break_glass->review}};
  review.summary = fmt::format("review of {}", approval.summary);
  review.expires_wall_ns = now + rule.break_glass->review_within_ns;
  review.digest = sha256(as_bytes("review\n" + review.id + "\n" + approval.id));
  CO_TRY_VOID(co_await record(Kind::ApprovalRequested, approval, nullptr, approval.asked_for));
  approval.state = ApprovalState::Granted;
  begin_access(approval, now, 0);
  CO_TRY_VOID(co_await record(Kind::ApprovalGranted, approval, nullptr, "granted at once; review " + review.id));
  CO_TRY_VOID(co_await record(Kind::ApprovalRequested, review, nullptr, approval.asked_for));
  CO_TRY_VOID(insert_approvals(store.database(), {&approval, &review}, now));
  keep(approval);
  keep(review);
  links.access->put(grant_of(approval));
  ++break_glass;
  fmt::print(stderr, "sallyport: ALARM: break-glass access under rule {} to {} by {}, until {}; review {} is due {}\n", rule.id,
             fmt::join(approval.access.targets.words(), ", "), approval.requester_display, utc_text(approval.access.ends_wall_ns), review.id, utc_text(review.expires_wall_ns));
  tell("break-glass", approval);
  tell("requested", review);
  approval.fresh = true;
  co_return approval;
}

awaitable<Result<Approval>> State::renew(std::string id, identity::PrincipalPtr who, std::int64_t duration_ns, std::string reason, std::string request_id) {
  const auto turn = co_await turns.take();
  CO_TRY(const auto old, find(id));
  if (old.kind != RequestKind::Access || old.requester != who->person() || old.requester_agent != who->agent) co_return fail(ErrorKind::Denied, "there is no access of yours with the id " + id);
  if (old.state != ApprovalState::Granted && old.state != ApprovalState::Ended) co_return fail(ErrorKind::Denied, "request " + id + " is " + to_string(old.state) + "; ask anew");
  AccessAsk asked;
  asked.who = std::move(who);
  asked.request_id = std::move(request_id);
  asked.rule = old.terms.front().first;
  asked.reason = std::move(reason);
  asked.targets = old.access.targets;
  asked.duration_ns = duration_ns == 0 ? old.access.duration_ns : duration_ns;
  asked.for_agents = old.access.for_agents;
  co_return co_await new_access(std::move(asked), old.id);
}

awaitable<Result<Approval>> State::revoke(std::string id, identity::PrincipalPtr who, bool administrator, std::string reason) {
  const auto turn = co_await turns.take();
  CO_TRY(auto approval, find(id));
  if (approval.kind == RequestKind::Review) co_return fail(ErrorKind::Denied, "a review is closed by a vote, not revoked");
  const bool own = approval.requester == who->person() && (who->agent.empty() || who->agent == approval.requester_agent);
  const bool granted = approval.kind == RequestKind::Access && approval.state == ApprovalState::Granted;
  if (!granted) {
    if (!own) co_return fail(ErrorKind::Denied, "request " + id + " is " + to_string(approval.state) + ": there is nothing to revoke");
    if (auto why = why_no_withdrawal(approval); !why.empty()) co_return fail(ErrorKind::Denied, why);
    approval.state = ApprovalState::Withdrawn;
    approval.reason = cut_reason(reason);
    co_return co_await step(std::move(approval), Kind::ApprovalDenied, nullptr, "withdrawn: " + reason, "withdrawn");
  }
  auto groups = groups_of(steps_of(approval));
  const auto setup = links.access->setup();
  if (const auto rule = setup->rules.find(approval.terms.front().first); rule != setup->rules.end()) {
    for (auto& group : groups_of(rule->second.steps)) groups.push_back(std::move(group));
    if (rule->second.break_glass) groups.push_back(rule->second.break_glass->review.group);
  }
  const bool approver = !who->is_agent() && std::ranges::any_of(groups, [&](const std::string& group) { return who->in_group(group); });
  if (!own && !approver && !administrator) co_return fail(ErrorKind::Denied, "access is revoked by who has it, who may approve it, or an administrator");
  const Vote by{who->person(), who->display(), who->email, cut_reason(reason), who->groups, false, clock.wall_ns()};
  co_return co_await end_grant(std::move(approval), ApprovalState::Revoked, cut_reason(reason.empty() ? "revoked" : reason), &by);
}

awaitable<Result<Approval>> State::end_grant(Approval approval, ApprovalState next, std::string reason, const Vote* by) {
  approval.state = next;
  approval.reason = reason;
  const bool in_time = next == ApprovalState::Ended;
  auto done = co_await step(std::move(approval), in_time ? Kind::ApprovalExpired : Kind::ApprovalDenied, by, (in_time ? "" : "revoked: ") + reason, to_string(next));
  if (done) links.access->remove(done->requester, done->id);
  co_return done;
}

void State::look_for_overdue(std::int64_t now) {
  for (const auto& [id, approval] : live) {
    if (approval.kind != RequestKind::Review || now < approval.expires_wall_ns || !told_overdue.insert(id).second) continue;
    fmt::print(stderr, "sallyport: the review {} of break-glass access {} is overdue\n", id, approval.about);
    tell("review-overdue", approval);
  }
}

ApprovalCounts State::count() const {
  ApprovalCounts out;
  const auto now = clock.wall_ns();
  for (const auto& [id, approval] : live) {
    const bool pending = approval.state == ApprovalState::Pending;
    out.commands += pending && approval.kind == RequestKind::Command;
    out.access += pending && approval.kind == RequestKind::Access;
    out.grants += !pending && approval.kind == RequestKind::Access;
    out.reviews += approval.kind == RequestKind::Review;
    out.reviews_overdue += approval.kind == RequestKind::Review && now >= approval.expires_wall_ns;
  }
  out.break_glass = break_glass;
  return out;
}

}  // namespace sallyport::enforce
