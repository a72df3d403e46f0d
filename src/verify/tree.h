#pragma once
// The Merkle tree of RFC 6962 §2.1, grown leaf by leaf as a compact range. Leaves wait until many nodes can be hashed at once, or until
// somebody asks for a root: what is seen from outside is as if each were added at once. Not for two threads, not even to read. Pure.
#include "verify/bytes.h"

namespace sallyport::verify {

class Tree {
 public:
  Tree() = default;
  /// Goes on from a compact range; the number of hashes must be that of the size's one bits.
  Tree(std::uint64_t size, std::vector<Hash> range) : range_(std::move(range)), size_(size) {}
  void add(const Hash& leaf) {
    waiting_.push_back(leaf);
    ++size_;
    if (waiting_.size() == kMostWaiting) fold();
  }
  /// A perfect subtree of 2^level leaves; the size must be a multiple of that.
  void add_subtree(const Hash& root, unsigned level);
  std::uint64_t size() const { return size_; }
  Hash root() const;
  /// Roots of the perfect subtrees of size's binary digits, largest first.
  const std::vector<Hash>& range() const { return fold(), range_; }

 private:
  static constexpr std::size_t kMostWaiting = 1024;
  void fold() const;
  mutable std::vector<Hash> range_, waiting_;  // the range is of the leaves that do not wait
  std::uint64_t size_ = 0;
};

}  // namespace sallyport::verify
