#pragma once
// The Merkle tree of RFC 6962 §2.1, grown leaf by leaf as a compact range. Pure.
#include "verify/bytes.h"

namespace sallyport::verify {

class Tree {
 public:
  void add(const Hash& leaf);
  std::uint64_t size() const { return size_; }
  Hash root() const;
  /// Roots of the perfect subtrees of size's binary digits, largest first.
  const std::vector<Hash>& range() const { return range_; }

 private:
  std::vector<Hash> range_;
  std::uint64_t size_ = 0;
};

}  // namespace sallyport::verify
