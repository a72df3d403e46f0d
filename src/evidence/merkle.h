#pragma once
// The RFC 6962 SHA-256 tree: growing it by a compact range, its root, and proofs. Pure, any thread.
#include <span>

#include "base/bytes.h"

namespace sallyport::evidence {

Digest leaf_hash(ByteView entry);
Digest node_hash(const Digest& left, const Digest& right);

/// The roots of the perfect subtrees of a growing tree, largest first: all that appending and the root need.
class CompactRange {
 public:
  CompactRange() = default;
  /// As stored in a footer; the number of hashes must be that of the size's one bits.
  CompactRange(std::uint64_t size, std::span<const Digest> hashes);
  void append(const Digest& leaf);
  std::uint64_t size() const { return size_; }
  std::span<const Digest> hashes() const { return {hashes_.data(), count_}; }
  Digest root() const;

 private:
  std::array<Digest, 64> hashes_;
  std::size_t count_ = 0;
  std::uint64_t size_ = 0;
};

/// RFC 6962 §2.1.1 and §2.1.2 over all leaf hashes; index < leaves.size(), 0 < old_size <= leaves.size().
std::vector<Digest> inclusion_proof(std::span<const Digest> leaves, std::uint64_t index);
std::vector<Digest> consistency_proof(std::span<const Digest> leaves, std::uint64_t old_size);
Digest root_of(std::span<const Digest> leaves);
bool verify_inclusion(const Digest& leaf, std::uint64_t index, std::uint64_t size, std::span<const Digest> proof,
                      const Digest& root);
bool verify_consistency(std::uint64_t old_size, std::uint64_t size, const Digest& old_root, const Digest& root,
                        std::span<const Digest> proof);

}  // namespace sallyport::evidence
