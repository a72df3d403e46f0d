#include "verify/range_proof.h"

#include <algorithm>

namespace sallyport::verify {
namespace {

constexpr std::string_view kMagic = "SPRANGE1";
constexpr std::size_t kFixed = 32;

std::size_t ones(std::uint64_t n) {
  std::size_t out = 0;
  for (; n != 0; n &= n - 1) ++out;
  return out;
}

}  // namespace

std::vector<unsigned> cover(std::uint64_t from, std::uint64_t size) {
  std::vector<unsigned> out;
  while (from < size) {
    unsigned level = 0;
    while (level < 63 && (from >> level & 1) == 0 && (std::uint64_t{2} << level) <= size - from) ++level;
    out.push_back(level);
    from += std::uint64_t{1} << level;
  }
  return out;
}

std::optional<RangeProof> read_range_proof(View bytes) {
  if (bytes.size() < kFixed || !std::equal(kMagic.begin(), kMagic.end(), bytes.begin())) return std::nullopt;
  RangeProof out;
  out.a = little(bytes, 8, 8);
  out.b = little(bytes, 16, 8);
  out.size = little(bytes, 24, 8);
  if (out.a > out.b || out.b > out.size || out.size >> 62 != 0) return std::nullopt;
  const std::size_t left = ones(out.a), right = cover(out.b, out.size).size();
  if (bytes.size() != kFixed + 32 * (left + right)) return std::nullopt;
  for (std::size_t i = 0; i < left + right; ++i) (i < left ? out.left : out.right).push_back(fixed<32>(bytes, kFixed + 32 * i));
  return out;
}

Blob write_range_proof(const RangeProof& proof) {
  Blob out(kMagic.begin(), kMagic.end());
  for (const auto n : {proof.a, proof.b, proof.size})
    for (int i = 0; i < 8; ++i) out.push_back(static_cast<std::uint8_t>(n >> (8 * i)));
  for (const auto* part : {&proof.left, &proof.right})
    for (const auto& hash : *part) out.insert(out.end(), hash.begin(), hash.end());
  return out;
}

}  // namespace sallyport::verify
