#pragma once
// Approvals as rows of the embedded database (src/state/schema.cpp). The store's thread only. Errors: Unavailable.
#include <optional>
#include <vector>

#include "enforce/approval.h"

namespace sallyport::enforce {

/// All of them or none.
Result<void> insert_approvals(state::Database& database, const std::vector<const Approval*>& approvals, std::int64_t now);
/// State, reason, begin and end, and the votes, in one transaction.
Result<void> update_approval(state::Database& database, const Approval& approval, std::int64_t now);
Result<std::vector<Approval>> load_live(state::Database& database);
Result<std::vector<Approval>> load_matching(state::Database& database, const ApprovalFilter& filter);
Result<std::optional<Approval>> load_one(state::Database& database, const std::string& id);

}  // namespace sallyport::enforce
