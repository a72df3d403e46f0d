#pragma once
// Random access to a log, also one that is being written: entries by index, tiles (C2SP tlog-tiles), proofs and receipts under the
// newest signed head. It reads a few KiB for each, never the log. One thread at a time. Errors: Unavailable (files, or beyond the newest
// head), Malformed (what is stored does not lead to the signed head: run sallyport-verify), Denied (the entries were pruned).
#include <functional>
#include <map>

#include "evidence/file_ops.h"
#include "evidence/merkle.h"
#include "evidence/names.h"
#include "evidence/note.h"
#include "evidence/pruned.h"

namespace sallyport::evidence {

struct SignedHead {
  std::string note;
  Checkpoint checkpoint;
};
/// The newest head of a directory, or of a file with one note. Its signatures are not judged.
Result<SignedHead> read_head(const std::string& path);

/// True when every entry in these receipts that names a subject names this one, and one does.
bool receipt_is_of(std::string_view receipts, std::string_view subject, const NameTable& names);

class LogView {
 public:
  explicit LogView(std::string directory) : directory_(std::move(directory)) {}
  const std::string& directory() const { return directory_; }

  /// The newest head; the newest that has its witnesses' quorum when that covers `index`.
  Result<SignedHead> head(std::uint64_t index = UINT64_MAX) const;
  /// Calls `visit` for the entries first to first + count - 1, in order. Errors also: Malformed when one is missing.
  Result<void> entries(std::uint64_t first, std::uint64_t count, const std::function<void(std::uint64_t index, ByteView leaf)>& visit);
  /// Calls `visit` with the first entry and the number of entries of each segment under the newest head, the last first, until it
  /// returns false or an error.
  Result<void> each_segment_backwards(const std::function<Result<bool>(std::uint64_t first, std::uint64_t count)>& visit);
  /// The first kept entry.
  Result<std::uint64_t> first();
  /// The perfect subtrees of the stored tree.
  NodeSource nodes();
  /// tile/<level>/<number> with `width` hashes, or with the entries: tile/entries/<number>.
  Result<Bytes> tile(unsigned level, std::uint64_t number, std::size_t width);
  Result<Bytes> bundle(std::uint64_t number, std::size_t width);
  /// docs/formats/receipt.md. Errors also: Unavailable, "entry N is not …", when no signed head covers it yet.
  Result<std::string> receipt(std::uint64_t index);

 private:
  struct Segment {
    std::string path;
    std::map<std::uint64_t, std::uint64_t> places;  // of some frames: first index to offset
  };
  Result<void> list();
  Result<void> look_for_pruned();
  Result<void> read_frames(Segment& segment, std::uint64_t bound, std::uint64_t& next, std::uint64_t end,
                           const std::function<void(std::uint64_t, ByteView)>& visit);

  std::string directory_;
  std::map<std::uint64_t, Segment> segments_;
  CompactRange before_;                 // the tree before the first kept entry
  std::array<std::uint64_t, 3> pruned_{};  // the state of the file it was read from
  std::uint64_t cached_ = UINT64_MAX;   // the bundle whose leaf hashes, from the first kept one on, are in leaves_
  std::vector<Digest> leaves_;
};

}  // namespace sallyport::evidence
