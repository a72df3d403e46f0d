#pragma once
// The Merkle tree of RFC 6962 §2.1, grown leaf by leaf as a compact range. Pure.
#include "verify/bytes.h"

namespace sallyport::verify {

class Tree {
 public:
  Tree() = default;
  /// Goes on from a compact range; the number of hashes must be that of the size's one bits.
  Tree(std::uint64_t size, std::vector<Hash> range) : range_(std::move(range)), size_(size) {}
  void add(const Hash& leaf) { add_subtree(leaf, 0); }
  /// A perfect subtree of 2^level leaves; the size must be a multiple of that.
  void add_subtree(const Hash& root, unsigned level);
  std::uint64_t size() const { return size_; }
  Hash root() const;
  /// Roots of the perfect subtrees of size's binary digits, largest first.
  const std::vector<Hash>& range() const { return range_; }

 private:
  std::vector<Hash> range_;
  std::uint64_t size_ = 0;
};

}  // namespace sallyport::verify
