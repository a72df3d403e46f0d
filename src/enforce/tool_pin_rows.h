#pragma once
// Pins as rows of the embedded state. The store's thread. Errors: Unavailable.
#include "enforce/tool_pin.h"
#include "state/store.h"

namespace sallyport::enforce {

struct StoredCatalogue {
  std::string target;
  PinKind kind = PinKind::Tool;
  std::int64_t first_seen_wall_ns = 0;
  bool complete = false;
};

Result<std::vector<StoredCatalogue>> load_catalogues(state::Database& database);
/// Target and pin, without what is made when it is loaded.
Result<std::vector<std::pair<std::string, Pin>>> load_pins(state::Database& database);
/// All or nothing.
Result<void> save_pins(state::Database& database, const std::string& target, const std::vector<PinPtr>& pins, const StoredCatalogue* catalogue);

}  // namespace sallyport::enforce
