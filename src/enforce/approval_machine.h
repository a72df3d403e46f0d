#pragma once
// The rules of approvals, without I/O: which step is allowed from a state, and which state follows. Pure, any thread;
// approval.cpp makes each step durable. tests/unit/enforce/approval_machine_test.cpp holds its properties.
#include <string>

#include "enforce/approval.h"
#include "enforce/approval_matching.h"

namespace sallyport::enforce {

/// What a judgement depends on besides the request.
struct Judging {
  std::int64_t wall_ns = 0;
  const identity::SamePerson& same_person;
  const PresentPeople& present;      // may be empty
};

/// Of all rules together: the first steps of all are the first step, and so on. A group that several rules name in one step has
/// to agree once, with the largest of their numbers; every group has to be met by other people.
ApprovalSteps steps_of(const Approval& approval);

/// What the votes fill, step by step. A vote whose voter has lost the group since does not count.
std::vector<Filled> filled(const Approval& approval, const PresentPeople& present);
/// The first step that is not complete; the number of steps when all are.
std::size_t current_step(const std::vector<Filled>& steps);
/// Votes that are still needed, in all steps.
std::int64_t missing(const Approval& approval, const PresentPeople& present);

/// Its time is over: absolute, nothing prolongs it. A review never is; a grant is at its end.
bool expired(const Approval& approval, std::int64_t wall_ns);

/// "" when this person may vote so now, else the reason why not.
std::string why_no_vote(const Approval& approval, const identity::Principal& who, bool approve, const Judging& judging);

/// Adds the vote (why_no_vote was ""), which fills the current step, and returns the state that follows: one refusal is enough,
/// and every place of every step is needed.
ApprovalState cast(Approval& approval, Vote vote, const Judging& judging);

/// "" when the granted approval of a command may be used for that digest now.
std::string why_no_use(const Approval& approval, const Digest& digest, std::int64_t wall_ns);
/// "" while enough voters of a granted approval are still in their groups.
std::string why_lapsed(const Approval& approval, const PresentPeople& present);

/// "" when the requester may still take it back.
std::string why_no_withdrawal(const Approval& approval);

/// Sets begin and end of access that is granted now; `after_ns` is the end of the grant that this one renews, or 0.
void begin_access(Approval& approval, std::int64_t wall_ns, std::int64_t after_ns);

}  // namespace sallyport::enforce
