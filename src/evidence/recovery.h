#pragma once
// What a log on disk holds, found when it is opened: the tree, the open sessions, where the next segment goes on.
// The rules are those of docs/formats/directory.md. Runs before any thread of the log.
#include <map>

#include "evidence/pruned.h"
#include "evidence/session.h"
#include "evidence/file_ops.h"

namespace sallyport::evidence {

std::string segment_name(std::uint64_t number);  // "%020d.seg"

/// What the next segment's header says of the one before.
struct SegmentLink {
  std::uint64_t number = kNoSegment, length = 0;
  Digest digest{};
};

struct Recovered {
  bool any = false;    // there was a log
  bool clean = false;  // its last entry is node.stop
  Id16 incarnation{};  // the last one
  CompactRange tree;
  TileHashes tiles;              // completed since the footer it was read from
  std::uint64_t read_from = 0;   // that footer's size
  CompactRange unsigned_range;  // what was added to the signed head
  std::map<Id16, SessionPtr> open;
  SegmentLink link;
  std::uint64_t discarded = 0;
  Digest discarded_digest{};
};

/// `pruned`: what stands for the log's beginning. Errors: Malformed (the log contradicts itself or the signed head; nothing was
/// changed), Unavailable (files).
Result<Recovered> recover(const std::string& segments, const std::string& origin, std::uint64_t signed_size,
                          const Digest& signed_root, const std::optional<Pruned>& pruned, FileOps& ops);

}  // namespace sallyport::evidence
