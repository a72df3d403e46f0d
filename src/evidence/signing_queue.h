#pragma once
// What was added to the log and is under no signed head yet, in the ranges that are put to the signer one after the other, and how
// one is put to it when the answer to an earlier try may have been lost. No thread, clock or file; HeadSigning drives it.
#include <deque>

#include "evidence/signer.h"

namespace sallyport::evidence {

/// What a batch added to the tree: a run of leaves, or the one leaf that announces an epoch's key, with its bytes.
struct Added {
  CompactRange range;
  Bytes announcement;
};

class SigningQueue {
 public:
  /// `unsigned_range`: what the log holds beyond the signer's last head.
  explicit SigningQueue(const CompactRange& unsigned_range);

  /// Goes on where the last one ended.
  void add(const Added& added);
  bool empty() const { return pending_.empty(); }
  /// An announcement of an epoch's key waits.
  bool announces() const;
  /// The range to be signed next. Nothing is joined to it from now on: the signer may have signed it, whatever becomes of its answer.
  const Added& ask();
  /// What ask() gave is signed.
  void answered();
  std::uint64_t signed_size() const { return signed_size_; }

 private:
  std::deque<Added> pending_;   // dense from signed_size_
  bool asked_ = false;
  std::uint64_t signed_size_ = 0;
};

struct Signed {
  std::string note;
  bool begun = false;   // the epoch whose key was announced; else it may not have been, and is to be announced again
};
/// The note over what was added. `again`: an earlier try failed, and may have been signed all the same. Errors: of the signer.
Result<Signed> sign_added(Signer& signer, const Added& added, bool again);

}  // namespace sallyport::evidence
