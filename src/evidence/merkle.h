#pragma once
// The RFC 6962 SHA-256 tree: growing it by a compact range, its root, and proofs. Pure, any thread.
#include <functional>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace sallyport::evidence {

Digest leaf_hash(ByteView entry);
Digest node_hash(const Digest& left, const Digest& right);

/// A hash that a growing tree completes above its leaves: at levels 8, 16, … , the ones that tlog-tiles stores.
struct TileHash {
  unsigned level = 0;         // 8k: it covers 2^level leaves
  std::uint64_t number = 0;   // it begins at leaf number << level
  Digest hash{};
};
using TileHashes = std::vector<TileHash>;

/// The leaves [begin, end) as the roots of their perfect subtrees, in order: all that growing the tree and its root need. With
/// begin = 0 it is the tree itself; else what was added to a tree of that size, which is also the proof that only that was.
class CompactRange {
 public:
  CompactRange() = default;
  explicit CompactRange(std::uint64_t begin) : begin_(begin), end_(begin) {}
  /// As stored in a footer, from leaf 0; the number of hashes must be that of the size's one bits.
  CompactRange(std::uint64_t size, std::span<const Digest> hashes);
  /// From a list without levels. nullopt when it has not as many hashes as [begin, end) has perfect subtrees.
  static std::optional<CompactRange> of(std::uint64_t begin, std::uint64_t end, std::span<const Digest> hashes);

  void append(const Digest& leaf, TileHashes* made = nullptr) { push(leaf, 0, made); }
  /// `next` must begin where this ends.
  void append(const CompactRange& next, TileHashes* made = nullptr);
  std::uint64_t begin() const { return begin_; }
  std::uint64_t size() const { return end_; }  // where it ends: the size of the tree
  bool empty() const { return begin_ == end_; }
  std::span<const Digest> hashes() const { return {hashes_.data(), count_}; }
  unsigned level(std::size_t i) const { return levels_[i]; }
  Digest root() const;  // of a tree: begin() is 0

 private:
  void push(Digest hash, unsigned level, TileHashes* made);
  std::array<Digest, 128> hashes_;
  std::array<std::uint8_t, 128> levels_;
  std::size_t count_ = 0;
  std::uint64_t begin_ = 0, end_ = 0;
};

/// The root of the perfect subtree of 2^level leaves that begins at leaf number << level; nullopt when the source does not have it
/// (it is then asked for the halves), an error when it cannot be read.
using NodeSource = std::function<Result<std::optional<Digest>>(unsigned level, std::uint64_t number)>;
/// RFC 6962 §2.1.1 and §2.1.2, from the leaf's sibling upwards. index < size; 0 < old_size <= size. Errors: those of the source,
/// Malformed when it has not even the leaf.
Result<Digest> hash_of(std::uint64_t begin, std::uint64_t end, const NodeSource& source);
Result<std::vector<Digest>> inclusion_proof(std::uint64_t index, std::uint64_t size, const NodeSource& source);
Result<std::vector<Digest>> consistency_proof(std::uint64_t old_size, std::uint64_t size, const NodeSource& source);
/// The nodes of these ranges, which must live as long.
NodeSource source_of(std::vector<const CompactRange*> ranges);
bool verify_inclusion(const Digest& leaf, std::uint64_t index, std::uint64_t size, std::span<const Digest> proof,
                      const Digest& root);
bool verify_consistency(std::uint64_t old_size, std::uint64_t size, const Digest& old_root, const Digest& root,
                        std::span<const Digest> proof);

}  // namespace sallyport::evidence
