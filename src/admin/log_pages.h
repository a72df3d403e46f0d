#pragma once
// The log as C2SP tlog-tiles (c2sp.org/tlog-tiles), read-only: /log/checkpoint, /log/tile/L/N[.p/W], /log/tile/entries/N[.p/W]. Any tool
// for such logs can follow, prove and copy it. Admin's worker; the disk is read on the log's reading thread.
#include <boost/asio/awaitable.hpp>

#include "admin/services.h"
#include "evidence/tile_path.h"

namespace sallyport::admin {

Routes log_routes(const AdminServices& services);

}  // namespace sallyport::admin
