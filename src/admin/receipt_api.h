#pragma once
// GET /api/receipts/{id}: the receipts of a command by its request id, for who asked for the command and for readers of the log. The
// admin worker's thread.
#include "admin/services.h"

namespace sallyport::admin {

Routes receipt_routes(const AdminServices& services);

}  // namespace sallyport::admin
