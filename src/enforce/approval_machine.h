#pragma once
// The rules of approvals, without I/O: which step is allowed from a state, and which state follows. Pure, any thread;
// approval.cpp makes each step durable. tests/unit/enforce/approval_machine_test.cpp holds its properties.
#include <string>

#include "enforce/approval.h"

namespace sallyport::enforce {

/// Absolute: nothing prolongs it.
bool expired(const Approval& approval, std::int64_t wall_ns);

/// "" when this person may vote now, else the reason why not.
std::string why_no_vote(const Approval& approval, const identity::Principal& voter, std::int64_t wall_ns);

/// Adds the vote (why_no_vote was "") and returns the state that follows: one refusal is enough, and every rule's quorum
/// of distinct humans of its group is needed.
ApprovalState cast(Approval& approval, Vote vote);

/// How many more votes `terms` needs.
std::int64_t missing(const Approval& approval, const ApprovalTerms& terms);

/// "" when the granted approval may be used for that digest now.
std::string why_no_use(const Approval& approval, const Digest& digest, std::int64_t wall_ns);

/// "" when the requester may still take it back.
std::string why_no_withdrawal(const Approval& approval);

}  // namespace sallyport::enforce
