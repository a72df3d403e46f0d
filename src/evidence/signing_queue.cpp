#include "evidence/signing_queue.h"

#include <algorithm>

namespace sallyport::evidence {

SigningQueue::SigningQueue(const CompactRange& unsigned_range) : signed_size_(unsigned_range.begin()) {
  if (!unsigned_range.empty()) pending_.push_back({unsigned_range, {}});
}

void SigningQueue::add(const Added& added) {
  if (added.range.empty()) return;
  const bool closed = pending_.empty() || !pending_.back().announcement.empty() || (asked_ && pending_.size() == 1);
  if (closed || !added.announcement.empty()) pending_.push_back(added);
  else pending_.back().range.append(added.range);
}

bool SigningQueue::announces() const {
  return std::ranges::any_of(pending_, [](const Added& one) { return !one.announcement.empty(); });
}

const Added& SigningQueue::ask() {
  asked_ = true;
  return pending_.front();
}

void SigningQueue::answered() {
  signed_size_ = pending_.front().range.size();
  pending_.pop_front();
  asked_ = false;
}

Result<Signed> sign_added(Signer& signer, const Added& added, bool again) {
  const auto with = [](Result<std::string> note, bool begun) -> Result<Signed> {
    if (!note) return std::unexpected(note.error());
    return Signed{std::move(*note), begun};
  };
  // After a failure the signer may have signed it, and only its answer was lost.
  if (again) {
    TRY(const auto last, signer.last());
    if (last.size() == added.range.size()) return with(signer.sign(CompactRange(last.size())), false);
  }
  if (added.announcement.empty()) return with(signer.sign(added.range), false);
  auto begun = signer.begin_epoch(added.announcement);
  // Not its next key any more: an entry as any other.
  if (!begun && begun.error().kind == ErrorKind::Denied) return with(signer.sign(added.range), false);
  return with(std::move(begun), true);
}

}  // namespace sallyport::evidence
