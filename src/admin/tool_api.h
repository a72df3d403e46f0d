#pragma once
// /api/mcp: what is pinned of targets' tools, what has changed since, and the review of it. A review that counts is an entry of its own;
// one that does not is recorded as refused. The admin worker's thread.
#include "admin/services.h"

namespace sallyport::admin {

Routes tool_routes(const AdminServices& services);

}  // namespace sallyport::admin
