#include "enforce/approval_machine.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace sallyport::enforce {
namespace {

/// The groups of a vote that still count.
std::vector<std::string> counted_groups(const Vote& vote, const PresentPeople& present) {
  const auto now = present ? present(vote.person) : std::nullopt;
  if (!now) return vote.groups;
  if (!*now) return {};
  auto groups = vote.groups;
  std::erase_if(groups, [&](const std::string& group) { return !(*now)->in_group(group); });
  return groups;
}

std::vector<std::vector<std::string>> voters_of(const Approval& approval, std::size_t step, const PresentPeople& present) {
  std::vector<std::vector<std::string>> out;
  for (const auto& vote : approval.votes)
    if (vote.approve && vote.step == step) out.push_back(counted_groups(vote, present));
  return out;
}

bool has_say(const ApprovalStep& step, const identity::Principal& voter) {
  return std::ranges::any_of(step, [&](const ApproverNeed& need) { return voter.in_group(need.group); });
}

std::string own(const Approval& approval, const identity::Principal& voter, const identity::SamePerson& links) {
  const identity::Account requester{approval.requester, approval.requester_email};
  if (!identity::same_human(requester, identity::account_of(voter), links)) return "";
  if (voter.person() == approval.requester) return "nobody may vote on a request of their own";
  return "nobody may vote on a request of their own, and this account and the requester's are one person";
}

}  // namespace

const char* to_string(RequestKind kind) {
  switch (kind) {
    case RequestKind::Command: return "command";
    case RequestKind::Access: return "access";
    case RequestKind::Review: return "review";
  }
  return "unknown";
}

const char* to_string(ApprovalState state) {
  switch (state) {
    case ApprovalState::Pending: return "pending";
    case ApprovalState::Granted: return "granted";
    case ApprovalState::Denied: return "denied";
    case ApprovalState::Expired: return "expired";
    case ApprovalState::Used: return "used";
    case ApprovalState::Withdrawn: return "withdrawn";
    case ApprovalState::Ended: return "ended";
    case ApprovalState::Revoked: return "revoked";
    case ApprovalState::Reviewed: return "reviewed";
  }
  return "unknown";
}

ApprovalSteps steps_of(const Approval& approval) {
  ApprovalSteps out;
  for (const auto& [rule, terms] : approval.terms) {
    if (out.size() < terms.steps.size()) out.resize(terms.steps.size());
    for (std::size_t i = 0; i < terms.steps.size(); ++i) {
      for (const auto& need : terms.steps[i]) {
        const auto same = std::ranges::find(out[i], need.group, &ApproverNeed::group);
        if (same == out[i].end()) out[i].push_back(need);
        else same->count = std::max(same->count, need.count);
      }
    }
  }
  return out;
}

std::string Approval::approvers() const { return words_of(steps_of(*this)); }

std::vector<Filled> filled(const Approval& approval, const PresentPeople& present) {
  const auto steps = steps_of(approval);
  std::vector<Filled> out;
  for (std::size_t i = 0; i < steps.size(); ++i) out.push_back(match(steps[i], voters_of(approval, i, present)));
  return out;
}

std::size_t current_step(const std::vector<Filled>& steps) {
  return static_cast<std::size_t>(std::ranges::find(steps, false, &Filled::complete) - steps.begin());
}

std::int64_t missing(const Approval& approval, const PresentPeople& present) {
  auto out = places(steps_of(approval));
  for (const auto& step : filled(approval, present)) out -= step.total;
  return out;
}

bool expired(const Approval& approval, std::int64_t wall_ns) {
  if (approval.kind == RequestKind::Review) return false;
  if (approval.kind == RequestKind::Access && approval.state == ApprovalState::Granted) return wall_ns >= approval.access.ends_wall_ns;
  return wall_ns >= approval.expires_wall_ns;
}

std::string why_no_vote(const Approval& approval, const identity::Principal& who, bool approve, const Judging& judging) {
  if (approval.state != ApprovalState::Pending) return "request " + approval.id + " is " + to_string(approval.state) + " already";
  if (expired(approval, judging.wall_ns)) return "request " + approval.id + " has expired";
  auto voter = who;
  voter.groups = counted_groups(Vote{.person = who.person(), .groups = who.groups}, judging.present);
  if (voter.is_agent()) return "agents and services may not vote; sign in as yourself";
  if (auto why = own(approval, voter, judging.same_person); !why.empty()) return why;
  const auto steps = steps_of(approval);
  if (std::ranges::none_of(steps, [&](const ApprovalStep& step) { return has_say(step, voter); })) {
    const auto groups = groups_of(steps);
    return fmt::format("this request is for group {} to decide", fmt::join(groups.begin(), groups.end(), " or "));
  }
  // Whoever has a say in any step may refuse, at any time, also after having agreed.
  if (!approve) return "";
  for (const auto& vote : approval.votes) {
    if (vote.person == voter.person()) return "you have voted on request " + approval.id + " already";
    if (identity::same_human({vote.person, vote.email}, identity::account_of(voter), judging.same_person))
      return "you have voted on request " + approval.id + " already, under another account";
  }
  const auto done = filled(approval, judging.present);
  const auto at = current_step(done);
  if (at == steps.size()) return "request " + approval.id + " has all its votes";
  if (!has_say(steps[at], voter)) {
    const bool later = std::any_of(steps.begin() + static_cast<std::ptrdiff_t>(at) + 1, steps.end(), [&](const auto& step) { return has_say(step, voter); });
    return later ? fmt::format("step {} comes first: {}; yours is a later one", at + 1, words_of({steps[at]}))
                 : "your groups have voted on request " + approval.id + " already; it waits for others";
  }
  auto voters = voters_of(approval, at, judging.present);
  voters.push_back(voter.groups);
  if (match(steps[at], voters).total == done[at].total) return "your groups have all their votes in this step of request " + approval.id + "; it waits for others";
  return "";
}

ApprovalState cast(Approval& approval, Vote vote, const Judging& judging) {
  const bool approve = vote.approve;
  const auto steps = steps_of(approval);
  vote.step = std::min(current_step(filled(approval, judging.present)), steps.empty() ? 0 : steps.size() - 1);
  std::erase_if(approval.votes, [&](const Vote& earlier) { return earlier.person == vote.person; });  // agreed, and refuses now
  approval.votes.push_back(std::move(vote));
  if (!approve) return ApprovalState::Denied;
  const auto done = filled(approval, judging.present);
  // A request without steps is a bug upstream of here; it is never granted.
  if (done.empty() || current_step(done) != done.size()) return ApprovalState::Pending;
  return approval.kind == RequestKind::Review ? ApprovalState::Reviewed : ApprovalState::Granted;
}

std::string why_no_use(const Approval& approval, const Digest& digest, std::int64_t wall_ns) {
  if (approval.kind != RequestKind::Command) return "request " + approval.id + " is not for a command";
  if (approval.state != ApprovalState::Granted) return "request " + approval.id + " is " + to_string(approval.state) + ", not granted";
  if (expired(approval, wall_ns)) return "request " + approval.id + " has expired";
  if (approval.digest != digest) return "request " + approval.id + " was approved for another command";
  return "";
}

std::string why_lapsed(const Approval& approval, const PresentPeople& present) {
  const auto done = filled(approval, present);
  if (!done.empty() && current_step(done) == done.size()) return "";
  return "who approved request " + approval.id + " has lost the group for it since; ask again";
}

std::string why_no_withdrawal(const Approval& approval) {
  const bool unused = approval.state == ApprovalState::Granted && approval.kind == RequestKind::Command;
  if (approval.kind != RequestKind::Review && (approval.state == ApprovalState::Pending || unused)) return "";
  if (approval.kind == RequestKind::Review) return "a review cannot be taken back";
  return "request " + approval.id + " is " + to_string(approval.state) + " already";
}

void begin_access(Approval& approval, std::int64_t wall_ns, std::int64_t after_ns) {
  auto& access = approval.access;
  access.begins_wall_ns = std::max({wall_ns, access.start_wall_ns, after_ns});
  // A start that was named fixes the end too: who decides late shortens it.
  const auto from = access.start_wall_ns != 0 && after_ns == 0 ? access.start_wall_ns : access.begins_wall_ns;
  access.ends_wall_ns = from + access.duration_ns;
}

}  // namespace sallyport::enforce
