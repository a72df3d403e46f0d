#include "oracle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "evidence/log.h"
#include "evidence/notary.h"
#include "evidence/note.h"

namespace sallyport::crash {
namespace {

using namespace evidence;

struct Leaf : ScanVisitor {
  std::vector<std::pair<std::uint64_t, Digest>> found;
  void entry(const EntryFacts& facts, ByteView leaf) override { found.emplace_back(facts.index, leaf_hash(leaf)); }
  void chunk(const Id16&, std::uint64_t, ByteView) override {}
};

/// Recovery writes what it keeps once more; the stage must not change by that, and needs no syncs.
struct Dry : FileOps {
  ssize_t write_at(int, const void*, std::size_t size, off_t) override { return static_cast<ssize_t>(size); }
  int sync(int) override { return 0; }
};

std::string segments_of(const std::string& folder) { return folder + "/segments"; }

}  // namespace

Oracle::Oracle(const Keys& keys, const std::vector<Step>& steps, const Inheritance& before) : keys_(keys) {
  std::string why;
  key_ = *verify::parse_key(keys.verifier, why);
  for (const auto& [index, hash] : before.told) told_[index] = {0, hash};
  for (const auto& [size, root] : before.heads) heads_.emplace_back(0, size, root);
  // What lies in the folder to begin with was written before.
  for (const auto& [name, image] : before.found.files)
    if (name.ends_with(".seg") && image->bytes().size() > kSegmentHeader) learn({image->bytes().begin() + kSegmentHeader, image->bytes().end()}, 0);
  counts_.push_back(told_.size() + heads_.size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto& step = steps[i];
    if (step.what == Step::Write && step.data.size() > kFrameHeader) {
      if (step.at >= kSegmentHeader) learn(step.data, i + 1);
      else if (step.data.size() > kSegmentHeader && step.at == 0) learn({step.data.begin() + kSegmentHeader, step.data.end()}, i + 1);
    }
    if (step.what == Step::Told) {
      if (step.at < written_.size() && !written_[step.at].empty()) told_[step.at] = {i + 1, written_[step.at].back().hash};
      else ADD_FAILURE() << "told of entry " << step.at << ", which no write had";
    }
    if (step.what == Step::Signed) heads_.emplace_back(i + 1, step.at, step.root);
    counts_.push_back(told_.size() + heads_.size());
  }
  std::ranges::sort(heads_, {}, [](const auto& head) { return std::get<1>(head); });
}

/// The entries of frames that lie back to back; whatever is no frame is passed over.
void Oracle::learn(const Bytes& frames, std::size_t step) {
  for (std::size_t at = 0; at + kFrameHeader <= frames.size();) {
    std::uint32_t type = 0, length = 0;
    std::uint64_t first = 0;
    std::memcpy(&type, &frames[at], 4);
    std::memcpy(&length, &frames[at + 4], 4);
    std::memcpy(&first, &frames[at + 8], 8);
    const auto whole = (kFrameHeader + length + 7) / 8 * 8;
    if (type < 1 || type > 2 || whole > frames.size() - at) return;
    SegmentHeader header;
    header.first_index = first;
    std::memcpy(header.salt.data(), &frames[at + 24], 16);
    Bytes file(kSegmentHeader);
    file.insert(file.end(), frames.begin() + static_cast<std::ptrdiff_t>(at), frames.begin() + static_cast<std::ptrdiff_t>(at + whole));
    Leaf leaf;
    scan_segment(file, header, leaf);
    for (const auto& [index, hash] : leaf.found) {
      if (written_.size() <= index) written_.resize(index + 1);
      written_[index].push_back({step, hash});
    }
    at += whole;
  }
}

const Oracle::Head& Oracle::remembered(const Found& found, const std::string& folder) const {
  const auto file = found.files.find("signer-head");
  const auto [at, fresh] = memory_.try_emplace(file == found.files.end() ? 0 : file->second->print());
  if (!fresh || file == found.files.end()) return at->second;
  const auto signer = ed25519_signer(kOrigin, keys_.signer, folder + "/signer-head");
  if (signer) {
    const auto tree = (*signer)->last().value();
    at->second.size = tree.size();
    at->second.root = tree.root();
  }
  else at->second.wrong = "the signer does not start: " + signer.error().what;
  return at->second;
}

const Oracle::Head& Oracle::published(const Found& found, const std::string&) const {
  const auto file = found.files.find("checkpoint");
  const auto [at, fresh] = notes_.try_emplace(file == found.files.end() ? 0 : file->second->print());
  if (!fresh || file == found.files.end()) return at->second;
  const auto text = open_note(as_text(file->second->bytes()), *parse_verifier_key(keys_.verifier));
  const auto head = text ? parse_checkpoint(*text) : Result<Checkpoint>(std::unexpected(text.error()));
  if (head) at->second = {head->size, head->root, ""};
  else at->second.wrong = "checkpoint is no signed head: " + head.error().what;
  return at->second;
}

/// The leaf hashes of what recovery found, by a walk of our own.
std::string Oracle::entries(std::size_t n, const Recovered& recovered, const std::string& folder, Leaves& out) const {
  std::vector<std::string> files;
  if (recovered.any)
    for (const auto& item : std::filesystem::directory_iterator(segments_of(folder)))
      if (const auto name = item.path().filename().string(); name.ends_with(".seg") && name <= segment_name(recovered.link.number)) files.push_back(item.path().string());
  std::ranges::sort(files);
  Leaf leaf;
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto bytes = *read_file(files[i]);
    const auto header = decode_header(bytes);
    if (!header) return files[i] + ": " + header.error().what;
    const auto length = i + 1 < files.size() ? decode_header(*read_file(files[i + 1]))->previous_length : recovered.link.length;
    bytes.resize(length);
    scan_segment(bytes, *header, leaf);
  }
  CompactRange tree;
  for (const auto& [index, hash] : leaf.found) {
    if (index != out.size()) return "entry " + std::to_string(index) + " stands at " + std::to_string(out.size());
    const bool known = index < written_.size() && std::ranges::any_of(written_[index], [&](const Promise& p) { return p.step <= n && p.hash == hash; });
    if (!known) return "entry " + std::to_string(index) + " was never written";
    out.push_back(hash);
    tree.append(hash);
  }
  if (tree.size() != recovered.tree.size() || (tree.size() > 0 && tree.root() != recovered.tree.root())) return "recovery has another tree than its entries";
  return "";
}

std::string Oracle::promised(std::size_t n, const Leaves& leaves) const {
  for (const auto& [index, promise] : told_) {
    if (promise.step > n) continue;
    if (index >= leaves.size()) return "entry " + std::to_string(index) + " was acknowledged and is lost";
    if (leaves[index] != promise.hash) return "entry " + std::to_string(index) + " was acknowledged and is another";
  }
  CompactRange tree;
  auto head = heads_.begin();
  for (std::size_t i = 0; i <= leaves.size(); ++i) {
    for (; head != heads_.end() && std::get<1>(*head) == i; ++head)
      if (std::get<0>(*head) <= n && std::get<2>(*head) != tree.root()) return "the first " + std::to_string(i) + " entries were signed with another root";
    if (i < leaves.size()) tree.append(leaves[i]);
  }
  for (; head != heads_.end(); ++head)
    if (std::get<0>(*head) <= n) return "a head over " + std::to_string(std::get<1>(*head)) + " entries was signed, there are " + std::to_string(leaves.size());
  return "";
}

std::string Oracle::verified(const std::string& folder, bool whole) const {
  verify::Settings settings;
  settings.directory = folder;
  settings.key = key_;
  if (whole) settings.keys_directory = folder + "/keys";
  const auto report = verify::check(settings);
  if (whole ? report.verdict == verify::Report::Valid : report.verdict != verify::Report::Invalid) return "";
  return "the verifier says: " + verify::to_text(report);
}

std::string Oracle::judge(std::size_t n, const Found& found, const std::string& folder) const {
  const auto& memory = remembered(found, folder);
  if (!memory.wrong.empty()) return memory.wrong;
  const auto& note = published(found, folder);
  if (!note.wrong.empty()) return note.wrong;
  if (note.size > memory.size || (note.size != 0 && note.size == memory.size && note.root != memory.root)) return "checkpoint is over " + std::to_string(note.size) + " entries, the signer remembers " + std::to_string(memory.size);
  Leaves leaves;
  if (found.folders.contains("segments")) {
    Dry dry;
    const auto recovered = recover(segments_of(folder), kOrigin, memory.size, memory.root, std::nullopt, dry);
    if (!recovered) return "recovery refuses: " + recovered.error().what;
    if (auto wrong = entries(n, *recovered, folder, leaves); !wrong.empty()) return wrong;
  }
  if (auto wrong = promised(n, leaves); !wrong.empty()) return wrong;
  // Before there is anything there is nothing to verify.
  return found.folders.contains("segments") ? verified(folder, false) : "";
}

std::string Oracle::reopen(std::size_t n, const std::string& folder) const {
  auto signer = ed25519_signer(kOrigin, keys_.signer, folder + "/signer-head");
  if (!signer) return "the signer does not start: " + signer.error().what;
  const auto tree = (*signer)->last().value();
  Options options;
  options.directory = folder;
  options.origin = kOrigin;
  options.segment_bytes = 64U << 10;
  options.version = "crash";
  auto log = Log::open(options, std::move(*signer));
  if (!log) return "the log does not start: " + log.error().what;
  (*log)->stop();
  if (auto wrong = verified(folder, true); !wrong.empty()) return "after a start and a stop " + wrong;
  Dry dry;
  const auto recovered = recover(segments_of(folder), kOrigin, tree.size(), tree.root(), std::nullopt, dry);
  if (!recovered) return "after a start and a stop recovery refuses: " + recovered.error().what;
  Leaf leaf;
  std::vector<std::string> files;
  for (const auto& item : std::filesystem::directory_iterator(segments_of(folder)))
    if (item.path().extension() == ".seg") files.push_back(item.path().string());
  std::ranges::sort(files);
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto bytes = *read_file(files[i]);
    if (i + 1 < files.size()) bytes.resize(decode_header(*read_file(files[i + 1]))->previous_length);
    scan_segment(bytes, *decode_header(bytes), leaf);
  }
  Leaves leaves;
  for (const auto& [index, hash] : leaf.found) leaves.push_back(hash);
  if (auto wrong = promised(n, leaves); !wrong.empty()) return "after a start and a stop " + wrong;
  return "";
}

Inheritance Oracle::inherit(std::size_t n, Found found) const {
  Inheritance out;
  out.found = std::move(found);
  for (const auto& [index, promise] : told_)
    if (promise.step <= n) out.told[index] = promise.hash;
  for (const auto& [step, size, root] : heads_)
    if (step <= n) out.heads[size] = root;
  return out;
}

}  // namespace sallyport::crash
