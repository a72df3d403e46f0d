#pragma once
// GET /livez, /readyz and /metrics, without sign-in: for the supervisor, the balancer and the collector. The admin worker's thread.
#include "admin/services.h"

namespace sallyport::admin {

Routes health_routes(const AdminServices& services);

}  // namespace sallyport::admin
