#include "verify/tree.h"

namespace sallyport::verify {

void Tree::add_subtree(const Hash& root, unsigned level) {
  Hash hash = root;
  for (std::uint64_t n = size_ >> level; n & 1; n >>= 1) {
    hash = node_hash(range_.back(), hash);
    range_.pop_back();
  }
  range_.push_back(hash);
  size_ += std::uint64_t{1} << level;
}

Hash Tree::root() const {
  if (range_.empty()) return Sha256().done();
  Hash hash = range_.back();
  for (std::size_t i = range_.size() - 1; i-- > 0;) hash = node_hash(range_[i], hash);
  return hash;
}

}  // namespace sallyport::verify
