#pragma once
// The log as C2SP tlog-tiles (c2sp.org/tlog-tiles), read-only: /log/checkpoint, /log/tile/L/N[.p/W], /log/tile/entries/N[.p/W]. Any tool
// for such logs can follow, prove and copy it. Admin's worker; the disk is read on the log's reading thread.
#include <boost/asio/awaitable.hpp>

#include "admin/services.h"

namespace sallyport::admin {

/// What a path below /log asks for.
struct LogPage {
  enum What { Checkpoint, Tile, Entries } what = Checkpoint;
  unsigned level = 0;
  std::uint64_t number = 0;
  std::size_t width = 256;   // less in a partial tile
};
/// nullopt for what tlog-tiles does not name: other levels than 0 to 63, numbers not in groups of three digits, widths not 1 to 255.
std::optional<LogPage> parse_log_path(std::string_view path);

Routes log_routes(const AdminServices& services);

}  // namespace sallyport::admin
