#pragma once
// Writes a planned pack, member by member, with one more pass over the log; payloads are read chunk by chunk from where they lie.
// Errors: those of PackFile and Reader; Malformed for a payload that is not what its entry commits to. Main thread.
#include <functional>

#include "cli/pack_file.h"
#include "cli/pack_plan.h"

namespace sallyport::cli {

/// Where a pack goes, and how.
struct PackTask {
  std::string out, tool;
  std::shared_ptr<evidence::FileOps> files;
  /// Called before the first byte is written; what it gives is told how many there are.
  std::function<std::function<void(std::uint64_t)>(const PackPlan&, bool resumed)> begun;
};

/// Makes the pack that answers the question, under the log's newest head; what an export of the same question left off it goes on
/// with, under the head of that time.
Result<std::unique_ptr<PackPlan>> make_pack(const evidence::Reader& reader, PackQuestion question, const PackTask& task);

}  // namespace sallyport::cli
