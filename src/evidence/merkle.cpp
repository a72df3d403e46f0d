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

CompactRange::CompactRange(std::uint64_t size, std::span<const Digest> hashes) : count_(hashes.size()), end_(size) {
  std::ranges::copy(hashes, hashes_.begin());
  std::size_t i = 0;
  for (unsigned level = 64; level-- > 0;)
    if ((size >> level & 1) != 0) levels_[i++] = static_cast<std::uint8_t>(level);
}

std::optional<CompactRange> CompactRange::of(std::uint64_t begin, std::uint64_t end, std::span<const Digest> hashes) {
  CompactRange out(begin);
  for (const auto& hash : hashes) {
    const auto at = out.end_;
    if (at >= end || out.count_ == out.hashes_.size()) return std::nullopt;
    const auto room = static_cast<unsigned>(std::bit_width(end - at) - 1);
    const auto level = at == 0 ? room : std::min(room, static_cast<unsigned>(std::countr_zero(at)));
    out.levels_[out.count_] = static_cast<std::uint8_t>(level);
    out.hashes_[out.count_++] = hash;
    out.end_ += std::uint64_t{1} << level;
  }
  if (out.end_ != end) return std::nullopt;
  return out;
}

void CompactRange::push(Digest hash, unsigned level, TileHashes* made) {
  auto number = end_ >> level;
  end_ += std::uint64_t{1} << level;
  // An odd one's sibling is the last node, unless it lies before the range.
  while ((number & 1) != 0 && count_ > 0 && levels_[count_ - 1] == level) {
    hash = node_hash(hashes_[--count_], hash);
    number >>= 1;
    ++level;
    if (level % 8 == 0 && made != nullptr) made->push_back({level, number, hash});
  }
  levels_[count_] = static_cast<std::uint8_t>(level);
  hashes_[count_++] = hash;
}

void CompactRange::append(const CompactRange& next, TileHashes* made) {
  for (std::size_t i = 0; i < next.count_; ++i) push(next.hashes_[i], next.levels_[i], made);
}

Digest CompactRange::root() const {
  if (count_ == 0) return sha256({});
  Digest hash = hashes_[count_ - 1];
  for (auto i = count_ - 1; i-- > 0;) hash = node_hash(hashes_[i], hash);
  return hash;
}

Result<Digest> hash_of(std::uint64_t begin, std::uint64_t end, const NodeSource& source) {
  const auto width = end - begin;
  if (std::has_single_bit(width)) {
    const auto level = static_cast<unsigned>(std::countr_zero(width));
    TRY(auto found, source(level, begin >> level));
    if (found) return *found;
    if (width == 1) return fail(ErrorKind::Malformed, fmt::format("the hash of entry {} is missing", begin));
  }
  const auto middle = begin + split(width);
  TRY(const auto left, hash_of(begin, middle, source));
  TRY(const auto right, hash_of(middle, end, source));
  return node_hash(left, right);
}

Result<std::vector<Digest>> inclusion_proof(std::uint64_t index, std::uint64_t size, const NodeSource& source) {
  std::vector<Digest> out;
  std::uint64_t begin = 0, end = size;
  while (end - begin > 1) {
    const auto middle = begin + split(end - begin);
    const bool left = index < middle;
    TRY(const auto sibling, hash_of(left ? middle : begin, left ? end : middle, source));
    out.push_back(sibling);
    (left ? end : begin) = middle;
  }
  std::ranges::reverse(out);
  return out;
}

Result<std::vector<Digest>> consistency_proof(std::uint64_t old_size, std::uint64_t size, const NodeSource& source) {
  std::vector<Digest> out;
  std::uint64_t begin = 0, end = size;
  while (end != old_size) {
    const auto middle = begin + split(end - begin);
    const bool left = old_size <= middle;
    TRY(const auto sibling, hash_of(left ? middle : begin, left ? end : middle, source));
    out.push_back(sibling);
    (left ? end : begin) = middle;
  }
  // The old tree itself is known to whoever asks; a part of it is not.
  if (begin != 0) {
    TRY(const auto part, hash_of(begin, end, source));
    out.push_back(part);
  }
  std::ranges::reverse(out);
  return out;
}

NodeSource source_of(std::vector<const CompactRange*> ranges) {
  return [ranges = std::move(ranges)](unsigned level, std::uint64_t number) -> Result<std::optional<Digest>> {
    for (const auto* range : ranges) {
      auto at = range->begin();
      for (std::size_t i = 0; i < range->hashes().size(); at += std::uint64_t{1} << range->level(i++))
        if (range->level(i) == level && at >> level == number) return range->hashes()[i];
    }
    return std::nullopt;
  };
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
