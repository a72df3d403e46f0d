#include "evidence/merkle.h"

// SHA256_* is deprecated but costs half of EVP for a small entry, and hashing is most of what an entry costs.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <bit>

namespace sallyport::evidence {
namespace {

std::uint64_t split(std::uint64_t n) { return std::bit_floor(n - 1); }  // the largest power of two below n

}  // namespace

Digest leaf_hash(ByteView entry) {
  SHA256_CTX context;
  const std::uint8_t zero = 0;
  Digest out;
  SHA256_Init(&context);
  SHA256_Update(&context, &zero, 1);
  SHA256_Update(&context, entry.data(), entry.size());
  SHA256_Final(out.data(), &context);
  return out;
}

Digest node_hash(const Digest& left, const Digest& right) {
  std::array<std::uint8_t, 65> both;
  both[0] = 1;
  std::ranges::copy(left, both.begin() + 1);
  std::ranges::copy(right, both.begin() + 33);
  Digest out;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, both.data(), both.size());
  SHA256_Final(out.data(), &context);
  return out;
}

CompactRange::CompactRange(std::uint64_t size, std::span<const Digest> hashes) : count_(hashes.size()), size_(size) {
  std::ranges::copy(hashes, hashes_.begin());
}

void CompactRange::append(const Digest& leaf) {
  Digest hash = leaf;
  for (auto n = size_; (n & 1) != 0; n >>= 1) hash = node_hash(hashes_[--count_], hash);
  hashes_[count_++] = hash;
  ++size_;
}

Digest CompactRange::root() const {
  if (count_ == 0) return sha256({});
  Digest hash = hashes_[count_ - 1];
  for (auto i = count_ - 1; i-- > 0;) hash = node_hash(hashes_[i], hash);
  return hash;
}

Digest root_of(std::span<const Digest> leaves) {
  CompactRange range;
  for (const auto& leaf : leaves) range.append(leaf);
  return range.root();
}

std::vector<Digest> inclusion_proof(std::span<const Digest> leaves, std::uint64_t index) {
  if (leaves.size() <= 1) return {};
  const auto k = split(leaves.size());
  auto proof = index < k ? inclusion_proof(leaves.first(k), index) : inclusion_proof(leaves.subspan(k), index - k);
  proof.push_back(root_of(index < k ? leaves.subspan(k) : leaves.first(k)));
  return proof;
}

namespace {

std::vector<Digest> subproof(std::span<const Digest> leaves, std::uint64_t m, bool whole) {
  if (m == leaves.size()) return whole ? std::vector<Digest>{} : std::vector<Digest>{root_of(leaves)};
  const auto k = split(leaves.size());
  auto proof = m <= k ? subproof(leaves.first(k), m, whole) : subproof(leaves.subspan(k), m - k, false);
  proof.push_back(root_of(m <= k ? leaves.subspan(k) : leaves.first(k)));
  return proof;
}

}  // namespace

std::vector<Digest> consistency_proof(std::span<const Digest> leaves, std::uint64_t old_size) {
  return subproof(leaves, old_size, true);
}

bool verify_inclusion(const Digest& leaf, std::uint64_t index, std::uint64_t size, std::span<const Digest> proof,
                      const Digest& root) {
  if (index >= size) return false;
  auto fn = index, sn = size - 1;
  Digest hash = leaf;
  for (const auto& sibling : proof) {
    if (sn == 0) return false;
    if ((fn & 1) != 0 || fn == sn) {
      hash = node_hash(sibling, hash);
      while ((fn & 1) == 0 && fn != 0) fn >>= 1, sn >>= 1;
    } else {
      hash = node_hash(hash, sibling);
    }
    fn >>= 1, sn >>= 1;
  }
  return sn == 0 && hash == root;
}

bool verify_consistency(std::uint64_t old_size, std::uint64_t size, const Digest& old_root, const Digest& root,
                        std::span<const Digest> proof) {
  if (old_size > size || old_size == 0) return false;
  if (old_size == size) return proof.empty() && old_root == root;
  std::vector<Digest> path(proof.begin(), proof.end());
  if (std::has_single_bit(old_size)) path.insert(path.begin(), old_root);
  if (path.empty()) return false;
  auto fn = old_size - 1, sn = size - 1;
  while ((fn & 1) != 0) fn >>= 1, sn >>= 1;
  Digest fr = path[0], sr = path[0];
  for (std::size_t i = 1; i < path.size(); ++i) {
    if (sn == 0) return false;
    if ((fn & 1) != 0 || fn == sn) {
      fr = node_hash(path[i], fr);
      sr = node_hash(path[i], sr);
      while ((fn & 1) == 0 && fn != 0) fn >>= 1, sn >>= 1;
    } else {
      sr = node_hash(sr, path[i]);
    }
    fn >>= 1, sn >>= 1;
  }
  return sn == 0 && fr == old_root && sr == root;
}

}  // namespace sallyport::evidence
