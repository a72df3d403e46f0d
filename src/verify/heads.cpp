#include "verify/heads.h"

#include <algorithm>
#include <filesystem>

#include "verify/rules.h"
#include "verify/segment.h"

namespace sallyport::verify {
namespace {

std::string_view text_of(const File& file) { return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}; }

bool is_base64(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'; }

/// `text` without `due`; "" when it ends within it. False when it is something else.
bool eat(std::string_view& text, std::string_view due) {
  const auto n = std::min(text.size(), due.size());
  if (text.substr(0, n) != due.substr(0, n)) return false;
  text.remove_prefix(n);
  return true;
}

bool eat_base64(std::string_view& text, std::size_t size, std::size_t padding) {
  for (std::size_t i = 0; i < size && !text.empty(); ++i, text.remove_prefix(1))
    if (i >= size - padding ? text.front() != '=' : !is_base64(text.front())) return false;
  return true;
}

}  // namespace

bool is_torn_note(std::string_view text, const NoteKey& key) {
  if (all_zero(view(text))) return true;  // the file was longer before its bytes were on the disk
  if (!eat(text, key.name + "\n")) return false;
  std::size_t digits = 0;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1)) ++digits;
  if (text.empty()) return digits <= 20;
  if (digits == 0 || digits > 20 || !eat(text, "\n") || !eat_base64(text, 44, 1) || !eat(text, "\n\n")) return false;
  if (!eat(text, "\xE2\x80\x94 " + key.name + " ") || !eat_base64(text, 92, 1)) return false;
  return text.empty();
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
  while (!rest.empty()) {
    const auto body = rest.find("\n\n");
    const auto end = body == std::string_view::npos ? body : rest.find("\n\n", body + 2);
    if (end != std::string_view::npos) {
      take(rest.substr(0, end + 1), file);
      rest.remove_prefix(end + 2);
      continue;
    }
    if (is_torn_note(rest, settings_.key)) report_.notes.push_back("the last head in checkpoints is incomplete, as a crash leaves it");
    else if (body != std::string_view::npos && rest.ends_with('\n')) take(rest, file);  // whole but for the empty line
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
