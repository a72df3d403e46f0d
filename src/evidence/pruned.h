#pragma once
// What stands for the beginning of a log that was pruned: the tree before the first kept entry, the sessions that were open there, how
// the last pruned segment ended. File `pruned` (docs/formats/directory.md); the prune entry in the log names its digest. Written by the
// keeping thread, read by any. Errors: Unavailable (files), Malformed (not of its format).
#include "evidence/segment.h"

namespace sallyport::evidence {

struct Pruned {
  Footer footer;                         // of the last pruned segment: its size is the first kept entry
  Id16 incarnation{};                    // of its last entry, and
  Kind kind = Kind::NodeStart;
  std::uint64_t mono = 0;
  std::uint64_t segment = 0, length = 0; // its name, and what of it counted
  Digest digest{};                       // of its last frame
  Bytes epoch;                           // the newest announcement of an epoch key in what was pruned; empty: none

  std::uint64_t first() const { return footer.size; }
  CompactRange tree() const { return CompactRange(footer.size, footer.range); }
};

Bytes encode_pruned(const Pruned& pruned);
Result<Pruned> decode_pruned(ByteView bytes);
/// nullopt: nothing was pruned.
Result<std::optional<Pruned>> read_pruned(const std::string& directory);
/// Removes the segments before the first kept entry: also what a crash left of an earlier removal.
Result<void> remove_pruned_segments(const std::string& directory, std::uint64_t first);

}  // namespace sallyport::evidence
