#pragma once
// /api/requests: what waits for a human's decision, and the decision. Everybody sees the requests that are theirs and those they may
// decide; others are as if they were not there. A vote that does not count is recorded too. The admin worker's thread.
#include "admin/services.h"

namespace sallyport::admin {

Routes request_routes(const AdminServices& services);

/// One request as JSON, without its requester's history.
std::string approval_json(const enforce::Approval& approval);

}  // namespace sallyport::admin
