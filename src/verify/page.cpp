#include "verify/page.h"

#include <algorithm>
#include <variant>

#include "verify/check.h"
#include "verify/pack.h"
#include "verify/receipt.h"
#include "verify/tree.h"

namespace sallyport::verify {
namespace {

constexpr std::size_t kMostReceiptText = (1u << 26) + 1;  // one byte more than read_receipts takes, so that it refuses

struct Keys {
  NoteKey log;
  std::vector<std::string> witnesses;  // not read yet: the file says whether it needs them
};

std::string list(const std::vector<std::string>& lines) {
  std::string out = "[";
  for (const auto& line : lines) out += (out.size() > 1 ? "," : "") + quote(line);
  return out + "]";
}
std::string envelope(const char* kind, const std::string& report, const std::vector<std::string>& said, const std::vector<std::string>& notes) {
  return std::string("{\"kind\":\"") + kind + "\",\"report\":" + report + ",\"said\":" + list(said) + ",\"notes\":" + list(notes) + "}";
}
std::string error(std::string_view what) { return "{\"error\":" + quote(what) + "}"; }

// A kind of file is a type with feed(View) and finish(), which gives the envelope, and a line in kind_of().

class ReceiptFile {
 public:
  explicit ReceiptFile(const Keys& keys) : keys_(keys) {}
  void feed(View bytes) {
    const auto some = bytes.first(std::min(bytes.size(), kMostReceiptText - text_.size()));
    text_.append(some.begin(), some.end());
  }
  std::string finish() {
    const auto report = check_receipts(text_, keys_.log);
    std::vector<std::string> notes;
    if (!keys_.witnesses.empty()) notes.emplace_back("the witness keys were not used: of a receipt only the log's own signature is checked");
    return envelope("receipt", to_json(report), report.proven, notes);
  }

 private:
  const Keys& keys_;
  std::string text_;
};

/// An evidence pack (docs/formats/pack.md): what a ZIP file must be here.
class PackFile {
 public:
  explicit PackFile(const Keys& keys) : checker_(settings_of(keys)) {}
  void feed(View bytes) { checker_.feed(bytes); }
  std::string finish() {
    const auto report = checker_.finish();
    std::vector<std::string> said;
    const auto text = to_text(report);
    for (std::size_t at = 0; at < text.size();) {
      const auto end = std::min(text.find('\n', at), text.size());
      said.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return envelope("pack", to_json(report), said, report.notes);
  }

 private:
  static PackSettings settings_of(const Keys& keys) {
    // A line that is no key counts as a witness that did not cosign: the verdict is then never more than was asked for.
    PackSettings out{keys.log, {}, keys.witnesses.size(), {}};
    for (const auto& line : keys.witnesses) {
      std::string why;
      if (const auto key = parse_witness_key(line, why)) out.witnesses.push_back(*key);
    }
    return out;
  }
  PackChecker checker_;
};

using AnyFile = std::variant<ReceiptFile, PackFile>;

AnyFile kind_of(View start, const Keys& keys) {
  constexpr std::string_view kZip = "PK";
  if (start.size() >= kZip.size() && std::equal(kZip.begin(), kZip.end(), start.begin())) return PackFile(keys);
  return ReceiptFile(keys);  // it says itself when it is none
}

/// What one instance holds.
struct Run {
  Blob room;
  std::optional<Keys> keys;
  std::string why_no_key = "no verifier key was given";
  std::optional<AnyFile> file;
  std::string report;
};
Run& run() {
  static Run kRun;
  return kRun;
}

std::optional<Keys> read_keys(std::string_view log, std::string_view witnesses, std::string& why) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto trimmed = [&](std::string_view text) {
    const auto first = text.find_first_not_of(kBlank);
    return first == std::string_view::npos ? std::string_view() : text.substr(first, text.find_last_not_of(kBlank) - first + 1);
  };
  const auto key = parse_key(trimmed(log), why);
  if (!key) return std::nullopt;
  Keys out{*key, {}};
  for (std::size_t at = 0; at <= witnesses.size();) {
    const auto end = std::min(witnesses.find('\n', at), witnesses.size());
    if (const auto line = trimmed(witnesses.substr(at, end - at)); !line.empty()) out.witnesses.emplace_back(line);
    at = end + 1;
  }
  return out;
}

}  // namespace
}  // namespace sallyport::verify

using namespace sallyport::verify;

std::uint8_t* page_room(std::size_t size) {
  run().room.resize(std::max(size, std::size_t{1}));
  return run().room.data();
}

void page_keys(std::size_t key, std::size_t witnesses) {
  auto& now = run();
  const std::string_view text(reinterpret_cast<const char*>(now.room.data()), now.room.size());
  now.file.reset();  // it refers to the keys
  now.keys.reset();
  if (key <= text.size() && witnesses <= text.size() - key) now.keys = read_keys(text.substr(0, key), text.substr(key, witnesses), now.why_no_key);
}

void page_feed(std::size_t size) {
  auto& now = run();
  if (!now.keys || size > now.room.size()) return;
  const auto bytes = View(now.room).first(size);
  if (!now.file) now.file.emplace(kind_of(bytes, *now.keys));
  std::visit([&](auto& file) { file.feed(bytes); }, *now.file);
}

std::size_t page_finish() {
  auto& now = run();
  if (!now.keys) {
    now.report = error("the verifier key: " + now.why_no_key);
  } else {
    if (!now.file) now.file.emplace(kind_of({}, *now.keys));  // an empty file
    now.report = std::visit([](auto& file) { return file.finish(); }, *now.file);
    now.file.reset();
  }
  return now.report.size();
}

const char* page_report() { return run().report.data(); }

std::uint32_t page_bench(std::uint32_t n, std::uint32_t size) {
  Tree tree;
  Blob entry(std::max(size, 4U));
  for (std::uint32_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < 4; ++k) entry[k] = static_cast<std::uint8_t>(i >> 8 * k);
    tree.add(leaf_hash(entry));
  }
  return static_cast<std::uint32_t>(little(tree.root(), 0, 4));
}
