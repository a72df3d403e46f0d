#pragma once
// POST /api/tokens (a local user's password becomes a token; no sign-in) and GET /api/whoami. The admin worker's thread.
#include "admin/services.h"

namespace sallyport::admin {

Routes token_routes(const AdminServices& services);

}  // namespace sallyport::admin
