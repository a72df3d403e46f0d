#include "enforce/approval_machine.h"

#include <algorithm>
#include <set>

namespace sallyport::enforce {

const char* to_string(ApprovalState state) {
  switch (state) {
    case ApprovalState::Pending: return "pending";
    case ApprovalState::Granted: return "granted";
    case ApprovalState::Denied: return "denied";
    case ApprovalState::Expired: return "expired";
    case ApprovalState::Used: return "used";
    case ApprovalState::Withdrawn: return "withdrawn";
  }
  return "unknown";
}

bool expired(const Approval& approval, std::int64_t wall_ns) { return wall_ns >= approval.expires_wall_ns; }

std::string why_no_vote(const Approval& approval, const identity::Principal& voter, std::int64_t wall_ns) {
  if (approval.state != ApprovalState::Pending) return "request " + approval.id + " is " + to_string(approval.state) + " already";
  if (expired(approval, wall_ns)) return "request " + approval.id + " has expired";
  if (voter.is_agent()) return "agents and services may not vote; sign in as yourself";
  if (voter.person() == approval.requester) return "nobody may vote on a request of their own";
  const bool eligible = std::ranges::any_of(approval.terms, [&](const auto& term) { return voter.in_group(term.second.by_group); });
  if (!eligible) return "this request is for group " + (approval.terms.empty() ? std::string("none") : approval.terms.front().second.by_group) + " to decide";
  const bool voted = std::ranges::any_of(approval.votes, [&](const Vote& vote) { return vote.person == voter.person(); });
  if (voted) return "you have voted on request " + approval.id + " already";
  return "";
}

std::int64_t missing(const Approval& approval, const ApprovalTerms& terms) {
  std::set<std::string> people;
  for (const auto& vote : approval.votes)
    if (vote.approve && std::ranges::find(vote.groups, terms.by_group) != vote.groups.end()) people.insert(vote.person);
  return std::max<std::int64_t>(0, terms.quorum - static_cast<std::int64_t>(people.size()));
}

ApprovalState cast(Approval& approval, Vote vote) {
  const bool approve = vote.approve;
  approval.votes.push_back(std::move(vote));
  if (!approve) return ApprovalState::Denied;
  // An approval without terms is a bug upstream of here; it is never granted.
  const bool all = !approval.terms.empty() && std::ranges::all_of(approval.terms, [&](const auto& term) { return missing(approval, term.second) == 0; });
  return all ? ApprovalState::Granted : ApprovalState::Pending;
}

std::string why_no_use(const Approval& approval, const Digest& digest, std::int64_t wall_ns) {
  if (approval.state != ApprovalState::Granted) return "request " + approval.id + " is " + to_string(approval.state) + ", not granted";
  if (expired(approval, wall_ns)) return "request " + approval.id + " has expired";
  if (approval.digest != digest) return "request " + approval.id + " was approved for another command";
  return "";
}

std::string why_no_withdrawal(const Approval& approval) {
  if (approval.state == ApprovalState::Pending || approval.state == ApprovalState::Granted) return "";
  return "request " + approval.id + " is " + to_string(approval.state) + " already";
}

}  // namespace sallyport::enforce
