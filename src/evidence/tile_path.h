#pragma once
// What a path below a log's address asks for (C2SP tlog-tiles): checkpoint, tile/L/N[.p/W], tile/entries/N[.p/W]. Each page has one
// path. Pure.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::evidence {

struct LogPage {
  enum What { Checkpoint, Tile, Entries } what = Checkpoint;
  unsigned level = 0;
  std::uint64_t number = 0;
  std::size_t width = 256;   // less in a partial tile
};
/// nullopt for what tlog-tiles does not name: other levels than 0 to 63, numbers not in groups of three digits or over 64 bits, widths
/// not 1 to 255.
std::optional<LogPage> parse_log_path(std::string_view path);
/// The page's path.
std::string log_path(const LogPage& page);

}  // namespace sallyport::evidence
