#include "verify/heads.h"

#include <algorithm>
#include <filesystem>

#include "verify/rules.h"
#include "verify/segment.h"

namespace sallyport::verify {
namespace {

std::string_view text_of(const File& file) { return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}; }

bool is_base64(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'; }

constexpr std::size_t kSector = 512;

/// A note of the key, byte for byte: what it is, or D for a digit and B for one of base64.
std::string pattern_of(const NoteKey& key, std::size_t digits) {
  const auto mark = [](std::size_t n, char what) { return std::string(n, what); };
  return mark(key.name.size(), ' ') + " " + mark(digits, 'D') + " " + mark(43, 'B') + "   " + mark(5 + key.name.size(), ' ') + mark(91, 'B') + "  ";
}
std::string text_of(const NoteKey& key, std::size_t digits) {
  return key.name + "\n" + std::string(digits, '0') + "\n" + std::string(43, 'A') + "=\n\n\xE2\x80\x94 " + key.name + " " + std::string(91, 'A') + "=\n";
}

}  // namespace

bool is_torn_note(std::string_view text, const NoteKey& key, std::size_t offset) {
  if (all_zero(view(text))) return true;  // the file was longer before its bytes were on the disk
  const auto lost = [&](std::size_t i) {  // its sector was not written, and those around it were
    const auto sector = (offset + i) / kSector * kSector;
    const auto from = sector > offset ? sector - offset : 0, to = std::min(sector + kSector - offset, text.size());
    return all_zero(view(text.substr(from, to - from)));
  };
  for (std::size_t digits = 1; digits <= 20; ++digits) {
    const auto due = text_of(key, digits);
    const auto what = pattern_of(key, digits);
    if (text.size() > due.size() + 1) continue;
    bool fits = true, holes = false;
    for (std::size_t i = 0; i < text.size() && fits; ++i) {
      const char c = text[i];
      if (c == '\0') fits = holes = lost(i);
      else if (i >= due.size()) fits = c == '\n';  // the empty line behind it
      else if (what[i] == 'D') fits = c >= '0' && c <= '9';
      else if (what[i] == 'B') fits = is_base64(c);
      else fits = c == due[i];
    }
    if (fits && (holes || text.size() < due.size())) return true;
  }
  return false;
}

void Heads::fault(std::string code, std::string what, const std::string& file, std::optional<std::uint64_t> index) {
  rules_.fault({std::move(code), std::move(what), file, {}, index});
}

void Heads::read() {
  std::string why;
  std::error_code error;
  const auto archive = settings_.directory + "/checkpoints", newest = settings_.directory + "/checkpoint";
  if (auto file = File::open(archive, why)) read_archive(text_of(*file), archive);
  else if (std::filesystem::exists(archive, error)) fault("head-unreadable", why, archive);
  const bool archived = !heads_.empty();
  if (std::filesystem::exists(newest, error)) read_one(newest);
  else if (archived) report_.notes.push_back("checkpoint, the newest signed head, is missing; those in checkpoints are judged");
  else report_.notes.push_back("there is no checkpoint: nothing is signed yet");
  for (const auto& kept : settings_.kept_heads) read_one(kept);
  std::ranges::sort(heads_, {}, [](const Known& one) { return one.head.size; });
}

/// A note ends with a line of a signature; the empty line after it parts it from the next.
void Heads::read_archive(std::string_view rest, const std::string& file) {
  const auto size = rest.size();
  while (!rest.empty()) {
    if (is_torn_note(rest, settings_.key, size - rest.size())) {
      report_.notes.push_back("the last head in checkpoints is incomplete, as a crash leaves it");
      return;
    }
    const auto body = rest.find("\n\n");
    const auto end = body == std::string_view::npos ? body : rest.find("\n\n", body + 2);
    if (end != std::string_view::npos) {
      take(rest.substr(0, end + 1), file);
      rest.remove_prefix(end + 2);
      continue;
    }
    if (body != std::string_view::npos && rest.ends_with('\n')) take(rest, file);  // whole but for the empty line
    else fault("head-signature", "what checkpoints ends with is no signed head and no beginning of one", file);
    return;
  }
}

void Heads::read_one(const std::string& path) {
  std::string why;
  if (auto file = File::open(path, why)) take(text_of(*file), path);
  else fault("head-unreadable", why, path);
}

void Heads::take(std::string_view note, const std::string& file) {
  std::string why;
  auto head = open_note(note, settings_.key, why);
  ++report_.heads;
  if (!head) return fault("head-signature", "a signed head does not count: " + why, file);
  if (head->origin != settings_.key.name) return fault("head-origin", "a signed head is of the log " + head->origin + ", the key is of " + settings_.key.name, file);
  if (!heads_.empty() && heads_.back().file == file && head->size < heads_.back().head.size)
    fault("head-order", "the heads fall from size " + std::to_string(heads_.back().head.size) + " to " + std::to_string(head->size), file);
  heads_.push_back({std::move(*head), file, std::nullopt});
}

void Heads::judge(std::uint64_t entries) {
  std::uint64_t good = 0;
  for (const auto& [head, file, computed] : heads_) {
    if (head.size > entries) {
      const auto last = head.size - 1;
      fault("log-truncated", "a head for " + std::to_string(head.size) + " entries was signed, and the log holds " + std::to_string(entries) + ": " +
                                 (last == entries ? "entry " + std::to_string(last) + " is" : "entries " + std::to_string(entries) + " to " + std::to_string(last) + " are") + " missing",
            file, entries);
      break;
    }
    if (!computed || *computed != head.root) {
      const auto last = head.size == 0 ? 0 : head.size - 1;
      fault("head-root", "the entries are not the ones that were signed: the first " + std::to_string(head.size) + " have another root than the signed head. " +
                             (last == good ? "It is entry " + std::to_string(good) + " that is another"
                                           : "The first that is another is one of entries " + std::to_string(good) + " to " + std::to_string(last)),
            file, good);
      break;
    }
    good = head.size;
  }
  report_.signed_entries = good;
}

}  // namespace sallyport::verify
