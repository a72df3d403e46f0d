#pragma once
// Tokens: a local user's password becomes one (no sign-in), a sign-in is turned into one for a protocol or an agent, a person sees their own
// and takes them back. And GET /api/whoami. The admin worker's thread.
#include "admin/services.h"

namespace sallyport::admin {

Routes token_routes(const AdminServices& services);

}  // namespace sallyport::admin
