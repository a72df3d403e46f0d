#pragma once
// Receipts: one entry, the proof that it is in the log, and the signed head that proves it, as a C2SP tlog-proof
// (c2sp.org/tlog-proof; docs/formats/receipt.md). Made from an evidence directory, also one that a gateway is writing.
// Read-only, any one thread; two passes over the log, memory of a few KiB.
#include <functional>

#include "evidence/merkle.h"
#include "evidence/reader.h"

namespace sallyport::evidence {

/// One text for each entry that `wanted` takes, in the order of the log. The head's signature is not judged here.
/// Errors: Unavailable (no signed head yet, or an entry beyond the newest one: it is signed within 100 ms), Malformed, and
/// those of Reader.
Result<std::vector<std::string>> receipts(const Reader& reader, const std::function<bool(const StoredEntry&)>& wanted);

/// The parts of one proof: which hashes RFC 6962 §2.1.1 asks for, made while the leaves pass by.
class ProofBuilder {
 public:
  ProofBuilder(std::uint64_t index, std::uint64_t size);
  /// The leaves in order, from 0 to size - 1.
  void leaf(std::uint64_t index, const Digest& hash);
  /// From the leaf's sibling upwards.
  std::vector<Digest> proof() const;

 private:
  struct Subtree {
    std::uint64_t begin, end;
    std::size_t level;        // its place in the proof
    CompactRange range;
  };
  std::vector<Subtree> subtrees_;  // ascending, disjoint; together with the leaf they are the tree
  std::size_t at_ = 0;
};

}  // namespace sallyport::evidence
