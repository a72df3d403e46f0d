#pragma once
// /api/sessions: sessions, their entries and what was sent and answered in them, for auditors. Read from the log's files on a thread of
// its own; that somebody reads is an entry first. The admin worker's thread.
#include "admin/services.h"

namespace sallyport::admin {

Routes session_routes(const AdminServices& services);

}  // namespace sallyport::admin
