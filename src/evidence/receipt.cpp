#include "evidence/receipt.h"

#include <algorithm>
#include <bit>

#include "evidence/file_ops.h"
#include "evidence/note.h"

namespace sallyport::evidence {

ProofBuilder::ProofBuilder(std::uint64_t index, std::uint64_t size) {
  std::uint64_t begin = 0, end = size;
  while (end - begin > 1) {
    const auto middle = begin + std::bit_floor(end - begin - 1);
    const bool left = index < middle;
    subtrees_.push_back({left ? middle : begin, left ? end : middle, 0, {}});
    (left ? end : begin) = middle;
  }
  for (std::size_t i = 0; i < subtrees_.size(); ++i) subtrees_[i].level = subtrees_.size() - 1 - i;
  std::ranges::sort(subtrees_, {}, &Subtree::begin);
}

void ProofBuilder::leaf(std::uint64_t index, const Digest& hash) {
  while (at_ < subtrees_.size() && subtrees_[at_].end <= index) ++at_;
  if (at_ < subtrees_.size() && subtrees_[at_].begin <= index) subtrees_[at_].range.append(hash);
}

std::vector<Digest> ProofBuilder::proof() const {
  std::vector<Digest> out(subtrees_.size());
  for (const auto& one : subtrees_) out[one.level] = one.range.root();
  return out;
}

Result<std::vector<std::string>> receipts(const Reader& reader, const std::function<bool(const StoredEntry&)>& wanted) {
  TRY(const auto head_bytes, read_file(reader.directory() + "/checkpoint"));
  const std::string note(head_bytes.begin(), head_bytes.end());
  const auto split = note.find("\n\n");
  if (split == std::string::npos) return fail(ErrorKind::Malformed, reader.directory() + "/checkpoint is no signed head");
  TRY(const auto head, parse_checkpoint(note.substr(0, split + 1)));

  struct One {
    std::uint64_t index;
    Bytes leaf;
    ProofBuilder builder;
  };
  std::vector<One> found;
  std::optional<std::uint64_t> beyond;
  TRY_VOID(reader.each([&](const StoredEntry& entry) {
    if (!wanted(entry)) return true;
    if (entry.index < head.size) found.push_back({entry.index, {}, ProofBuilder(entry.index, head.size)});
    else beyond = entry.index;
    return true;
  }));
  if (beyond) return fail(ErrorKind::Unavailable, fmt::format("entry {} is not under a signed head yet (the newest covers {}); that takes 100 ms: try again", *beyond, head.size));
  std::uint64_t next = 0;
  TRY_VOID(reader.leaves([&](ByteView leaf) {
    const auto index = next++;
    if (index >= head.size) return false;
    const auto hash = leaf_hash(leaf);
    for (auto& one : found) {
      if (one.index == index) one.leaf.assign(leaf.begin(), leaf.end());
      one.builder.leaf(index, hash);
    }
    return true;
  }));
  if (next < head.size) return fail(ErrorKind::Malformed, fmt::format("the log has {} entries, its newest signed head {}: run sallyport-verify", next, head.size));
  std::vector<std::string> out;
  for (const auto& one : found) {
    auto& text = out.emplace_back(fmt::format("c2sp.org/tlog-proof@v1\nextra {}\nindex {}\n", base64(one.leaf), one.index));
    for (const auto& hash : one.builder.proof()) text += base64(hash) + "\n";
    text += "\n" + note;
  }
  return out;
}

}  // namespace sallyport::evidence
