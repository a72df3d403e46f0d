#pragma once
// Approvals as rows of the embedded database (src/state/schema.cpp). The store's thread only. Errors: Unavailable.
#include <optional>
#include <vector>

#include "enforce/approval.h"

namespace sallyport::enforce {

Result<void> insert_approval(state::Database& database, const Approval& approval, const ApprovalRequest& request, std::int64_t now);
/// State, reason and any votes that are not there yet, in one transaction.
Result<void> update_approval(state::Database& database, const Approval& approval, std::int64_t now);
Result<std::vector<Approval>> load_live(state::Database& database);
Result<std::vector<Approval>> load_recent(state::Database& database, bool pending_only, std::size_t limit);
Result<std::optional<Approval>> load_one(state::Database& database, const std::string& id);

}  // namespace sallyport::enforce
