#pragma once
// Which log a gateway writes: its origin, and what a log that was begun anew says of the one before. docs/formats/directory.md.
#include "base/result.h"
#include "cli/config.h"
#include "evidence/log.h"

namespace sallyport::cli {

/// 1, or what `evidence incarnation` made of it. Errors: Unavailable, Malformed.
Result<std::uint64_t> incarnation_of(const std::string& state_directory);
/// "<gateway name>/evidence", or "…/evidence-N" from the second on.
Result<std::string> evidence_origin(const Config& config);
/// Writes the `gap` entry about the log before, once. Main thread, at start.
Result<void> record_predecessor(const std::string& directory, evidence::Log& log);

}  // namespace sallyport::cli
