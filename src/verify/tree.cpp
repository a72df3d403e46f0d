#include "verify/tree.h"

#include "verify/sha256_many.h"

namespace sallyport::verify {

/// Level by level: each two neighbours become one node, all of a level at once. What has no neighbour yet stays in the range.
void Tree::fold() const {
  if (waiting_.empty()) return;
  std::uint64_t before = size_ - waiting_.size();
  std::vector<Hash> alone;
  std::vector<Message> pairs;
  for (; !waiting_.empty(); before >>= 1) {
    if ((before & 1) != 0) {
      waiting_.insert(waiting_.begin(), range_.back());
      range_.pop_back();
    }
    if (waiting_.size() % 2 != 0) {
      alone.push_back(waiting_.back());
      waiting_.pop_back();
    }
    const std::size_t nodes = waiting_.size() / 2;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(waiting_.data());
    std::vector<Hash> above(nodes);
    pairs.clear();
    for (std::size_t i = 0; i < nodes; ++i) pairs.push_back({{bytes + 64 * i, 64}, &above[i], 1});
    hash_all(pairs);
    waiting_.swap(above);
  }
  range_.insert(range_.end(), alone.rbegin(), alone.rend());
}

void Tree::add_subtree(const Hash& root, unsigned level) {
  fold();
  Hash hash = root;
  for (std::uint64_t n = size_ >> level; n & 1; n >>= 1) {
    hash = node_hash(range_.back(), hash);
    range_.pop_back();
  }
  range_.push_back(hash);
  size_ += std::uint64_t{1} << level;
}

Hash Tree::root() const {
  fold();
  if (range_.empty()) return Sha256().done();
  Hash hash = range_.back();
  for (std::size_t i = range_.size() - 1; i-- > 0;) hash = node_hash(range_[i], hash);
  return hash;
}

}  // namespace sallyport::verify
