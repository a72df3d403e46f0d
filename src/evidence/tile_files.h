#pragma once
// The hashes of perfect subtrees of 256, 256², … entries, in files `tiles/1`, `tiles/2`, … of 32 bytes each: what tlog-tiles of
// level 1 and up are made of, and what makes a proof cost a few reads. 0.126 bytes an entry; level 0 is hashed anew from the entries,
// for it would cost as much as they do compressed. Derived from the log and rebuilt from it; never synced but at a seal.
#include "evidence/file_ops.h"
#include "evidence/merkle.h"

namespace sallyport::evidence {

class TileFiles {
 public:
  /// Makes `tiles` when missing. Errors: Unavailable.
  static Result<TileFiles> open(const std::string& directory);
  /// The file of each level holds at least what a tree of this size has there.
  bool covers(std::uint64_t size) const;
  Result<void> put(const TileHashes& hashes);
  Result<void> sync();

 private:
  explicit TileFiles(std::string folder) : folder_(std::move(folder)) {}
  Result<File*> file(unsigned level);
  std::string folder_;
  std::array<File, 8> files_;  // of level 8, 16, …, 64
};

/// Hashes first to first + count - 1 of tile level `tile_level` >= 1; nullopt when the files do not hold them all. Any thread.
std::optional<std::vector<Digest>> read_tile_hashes(const std::string& directory, unsigned tile_level, std::uint64_t first, std::size_t count);

}  // namespace sallyport::evidence
