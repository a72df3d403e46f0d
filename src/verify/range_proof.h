#pragma once
// Where a range of leaves lies in a tree, and the hashes that lead from it to the root (docs/formats/pack.md,
// checkpoint-proof). Pure.
#include "verify/tree.h"

namespace sallyport::verify {

struct RangeProof {
  std::uint64_t a = 0, b = 0, size = 0;  // leaves [a, b) of a tree of `size`
  std::vector<Hash> left, right;
};
/// Levels of the perfect subtrees that cover [from, size), from the left.
std::vector<unsigned> cover(std::uint64_t from, std::uint64_t size);

std::optional<RangeProof> read_range_proof(View bytes);
Blob write_range_proof(const RangeProof& proof);

}  // namespace sallyport::verify
