#pragma once
// POST /api/evidence/erase, hold, release, prune and GET /api/evidence/holds (docs/admin-api.md): reads what is asked, has the
// keeping thread do it, and says what came of it. The admin worker's thread.
#include "admin/services.h"

namespace sallyport::admin {

Routes keeping_routes(const AdminServices& services);

}  // namespace sallyport::admin
