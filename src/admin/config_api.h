#pragma once
// /api/config and /api/users: the running configuration without its secrets, applied policies by digest, the local users, and the
// reload. The admin worker's thread; files are read on the log's reading thread.
#include "admin/services.h"

namespace sallyport::admin {

Routes config_routes(const AdminServices& services);

}  // namespace sallyport::admin
