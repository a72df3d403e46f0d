#include "verify/receipt.h"

#include <algorithm>
#include <charconv>

#include "verify/check.h"
#include "verify/veil.h"

namespace sallyport::verify {
namespace {

constexpr std::string_view kMagic = "c2sp.org/tlog-proof@v1";
constexpr std::size_t kMostProof = 64, kMostReceipts = 1000, kMostText = 1u << 26;

class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  bool end() const { return rest_.empty(); }
  std::size_t number() const { return number_; }
  std::string_view peek() const { return rest_.substr(0, rest_.find('\n')); }
  /// nullopt at the end, and for a last line without its line feed.
  std::optional<std::string_view> next() {
    const auto end = rest_.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const auto out = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    ++number_;
    return out;
  }

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

std::optional<std::uint64_t> decimal(std::string_view text) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  return out;
}

/// "" and a filled receipt, or what was expected.
std::string read_one(Lines& lines, Receipt& out) {
  if (lines.next() != kMagic) return "the line " + std::string(kMagic);
  auto line = lines.next();
  if (!line || !line->starts_with("extra ")) return "\"extra\" with the entry";
  auto entry = unbase64(line->substr(6));
  if (!entry || entry->empty()) return "an entry in base64";
  out.entry = std::move(*entry);
  line = lines.next();
  const auto index = line && line->starts_with("index ") ? decimal(line->substr(6)) : std::nullopt;
  if (!index) return "\"index\" with a number";
  out.index = *index;
  for (line = lines.next(); line && !line->empty(); line = lines.next()) {
    const auto raw = unbase64(*line);
    if (!raw || raw->size() != 32 || out.proof.size() == kMostProof) return "a SHA-256 hash in base64, 64 of them at most";
    out.proof.push_back(fixed<32>(*raw, 0));
  }
  if (!line) return "an empty line behind the hashes";
  // The note: its text, an empty line, its signatures; the next proof, if any, follows behind one more empty line.
  bool signatures = false;
  while (!lines.end() && !(signatures && lines.peek().empty())) {
    line = lines.next();
    if (!line) return "a line feed at the end";
    signatures = signatures || line->empty();
    out.note.append(*line).append(1, '\n');
  }
  if (!signatures) return "a signed head";
  if (!lines.end()) lines.next();
  return "";
}

}  // namespace

std::optional<std::vector<Receipt>> read_receipts(std::string_view text, std::string& why) {
  std::vector<Receipt> out;
  why = "it is no receipt";
  if (text.empty() || text.size() > kMostText) return std::nullopt;
  Lines lines(text);
  while (!lines.end()) {
    const auto wrong = out.size() == kMostReceipts ? "fewer receipts" : read_one(lines, out.emplace_back());
    if (wrong.empty()) continue;
    why = "line " + std::to_string(lines.number()) + ": expected " + wrong;
    return std::nullopt;
  }
  why.clear();
  return out;
}

bool is_included(const Hash& leaf, std::uint64_t index, std::uint64_t size, const std::vector<Hash>& proof, const Hash& root) {
  if (index >= size) return false;
  std::uint64_t node = index, last = size - 1;
  Hash hash = leaf;
  for (const auto& sibling : proof) {
    if (last == 0) return false;
    if ((node & 1) != 0 || node == last) {
      hash = node_hash(sibling, hash);
      for (; (node & 1) == 0 && node != 0; node >>= 1) last >>= 1;
    } else {
      hash = node_hash(hash, sibling);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && hash == root;
}

bool is_consistent(std::uint64_t old_size, std::uint64_t size, const Hash& old_root, const Hash& root, const std::vector<Hash>& proof) {
  if (old_size == 0 || old_size > size) return false;
  if (old_size == size) return proof.empty() && old_root == root;
  std::uint64_t node = old_size - 1, last = size - 1;
  for (; (node & 1) != 0; node >>= 1) last >>= 1;
  // The older tree is one perfect subtree when its size is a power of two, and then its root is where the path begins.
  const bool perfect = node == 0;
  if (!perfect && proof.empty()) return false;
  Hash older = perfect ? old_root : proof.front(), newer = older;
  for (std::size_t i = perfect ? 0 : 1; i < proof.size(); ++i) {
    if (last == 0) return false;
    if ((node & 1) != 0 || node == last) {
      older = node_hash(proof[i], older);
      newer = node_hash(proof[i], newer);
      for (; (node & 1) == 0 && node != 0; node >>= 1) last >>= 1;
    } else {
      newer = node_hash(newer, proof[i]);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && older == old_root && newer == root;
}

std::optional<Receipted> check_receipt(const Receipt& receipt, const NoteKey& key, std::string& code, std::string& why) {
  code = "receipt-head";
  auto head = open_note(receipt.note, key, why);
  if (!head) return std::nullopt;
  code = "receipt-proof";
  why = "the entry is not at place " + std::to_string(receipt.index) + " of the tree of " + std::to_string(head->size) + " entries that was signed";
  if (!is_included(leaf_hash(receipt.entry), receipt.index, head->size, receipt.proof, head->root)) return std::nullopt;
  code = "receipt-entry";
  Receipted out;
  why = read_entry(receipt.entry, out.entry);
  if (!why.empty()) return std::nullopt;
  if (out.entry.index != receipt.index) return why = "the entry says that it is number " + std::to_string(out.entry.index), std::nullopt;
  out.head = std::move(*head);
  code.clear();
  return out;
}

ReceiptsReport check_receipts(std::string_view text, const NoteKey& key) {
  ReceiptsReport out;
  out.code = "receipt-form";
  const auto receipts = read_receipts(text, out.what);
  if (!receipts) return out;
  out.receipts = receipts->size();
  std::vector<std::string> proven;
  for (const auto& receipt : *receipts) {
    const auto good = check_receipt(receipt, key, out.code, out.what);
    if (!good) return out;
    const auto hidden = good->entry.hidden == 0 ? "" : ", its " + names_of(good->entry.hidden) + " hidden";
    proven.push_back(describe(good->entry) + hidden + ", in the log " + printable(good->head.origin) + " of " + std::to_string(good->head.size) + " entries");
  }
  out.valid = true;
  out.proven = std::move(proven);
  out.code.clear();
  out.what.clear();
  return out;
}

std::string to_json(const ReceiptsReport& report) {
  return std::string("{\"verdict\":\"") + (report.valid ? "valid" : "invalid") + "\",\"receipts\":" + std::to_string(report.receipts) + ",\"code\":" + quote(report.code) +
         ",\"what\":" + quote(report.what) + "}";
}

}  // namespace sallyport::verify
