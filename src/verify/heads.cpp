#include "verify/heads.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "verify/crypto.h"
#include "verify/rules.h"
#include "verify/segment.h"
#include "verify/timestamps.h"

namespace sallyport::verify {
namespace {

constexpr std::size_t kTornMost = 16u << 10;  // more than one note is

std::string_view text_of(const File& file) { return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}; }

}  // namespace

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
  const auto witnessed = settings_.directory + "/checkpoint.witnessed", all_witnessed = settings_.directory + "/checkpoints.witnessed";
  if (std::filesystem::exists(witnessed, error)) read_one(witnessed);
  if (std::filesystem::exists(all_witnessed, error)) {
    if (auto file = File::open(all_witnessed, why)) read_archive(text_of(*file), all_witnessed);
    else fault("head-unreadable", why, all_witnessed);
  }
  for (const auto& kept : settings_.kept_heads) read_one(kept);
  if (!settings_.timestamp_ca.empty()) read_timestamps();
  std::ranges::sort(heads_, {}, [](const Known& one) { return one.head.size; });
}

void Heads::begin_at(std::uint64_t size) {
  next_ = begin_ = static_cast<std::size_t>(std::ranges::lower_bound(heads_, size, {}, [](const Known& one) { return one.head.size; }) - heads_.begin());
  // When they were seen by others still says how old what follows them can be at most.
  for (const auto& known : std::span(heads_).first(begin_)) pass_time(known);
  if (begin_ > 0) report_.notes.push_back(std::to_string(begin_) + " signed heads are over fewer entries than were pruned: their signatures hold, what they were signed over is gone");
}

/// A note ends with a line of a signature; the empty line after it parts it from the next.
void Heads::read_archive(std::string_view rest, const std::string& file) {
  const auto size = rest.size();
  while (!rest.empty()) {
    if (rest.size() < kTornMost && is_torn_note(rest, settings_.key, size - rest.size())) {
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
    fault("head-signature", "what checkpoints ends with is no signed head and no beginning of one", file);
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
  Known known{std::move(*head), file, std::nullopt, 0, {}, {}, 0};
  take_others(known);
  heads_.push_back(std::move(known));
}

/// What besides the log's key signed a head, in as few bytes as an archive of years can bear.
void Heads::take_others(Known& known) {
  const auto prefix = settings_.key.name + "/epoch-";
  for (const auto& other : known.head.others) {
    if (other.name.starts_with(prefix)) {
      const auto* end = other.name.data() + other.name.size();
      const auto [at, error] = std::from_chars(other.name.data() + prefix.size(), end, known.epoch);
      const bool good = error == std::errc() && at == end && known.epoch != 0 && other.bytes.size() == known.epoch_signature.size() &&
                        all_zero(known.epoch_signature);
      if (!good) fault("epoch", "a head over " + std::to_string(known.head.size) + " entries bears a mangled signature of an epoch", known.file);
      else std::copy(other.bytes.begin(), other.bytes.end(), known.epoch_signature.begin());
    }
    for (const auto& witness : settings_.witnesses) {
      if (other.name != witness.name || other.id != witness.id) continue;
      const auto when = cosigned_at(known.head.text, witness, other);
      if (when) known.cosigned.push_back(*when);
      else fault("witness", "a cosignature of " + witness.name + " under a head over " + std::to_string(known.head.size) + " entries is wrong", known.file);
    }
  }
  known.head.others = {};
  known.head.text = {};
}

void Heads::read_timestamps() {
  std::error_code error;
  std::vector<std::string> stems;
  for (const auto& file : std::filesystem::directory_iterator(settings_.directory + "/timestamps", error))
    if (file.path().extension() == ".tsr") stems.push_back(file.path().string().substr(0, file.path().string().size() - 4));
  std::ranges::sort(stems);
  for (const auto& stem : stems) {
    std::string why;
    const auto note = File::read(stem + ".note", why);
    const auto answer = note ? File::read(stem + ".tsr", why) : std::nullopt;
    const auto time = answer ? stamped_at(note->bytes(), answer->bytes(), settings_.timestamp_ca, why) : std::nullopt;
    ++report_.timestamps;
    if (!time) {
      fault("timestamp", "a time stamp does not count: " + why, stem + ".tsr");
      continue;
    }
    const auto before = heads_.size();
    take(text_of(*note), stem + ".note");
    if (heads_.size() > before) heads_.back().stamped = *time;
  }
}

/// Between two heads whose times others vouch for, nothing can have been written earlier than the first or later than the second.
void Heads::pass_time(const Known& known) {
  constexpr std::uint64_t kSecond = 1'000'000'000, kTolerance = 300;
  auto time = known.stamped;
  for (const auto one : known.cosigned) time = time == 0 ? one : std::min(time, one);
  if (time == 0) return;
  const auto words = [](std::uint64_t ns) { return std::to_string(ns / kSecond); };
  if (known_time_ > kTolerance && earliest_ < (known_time_ - kTolerance) * kSecond)
    fault("back-dated", "entry " + std::to_string(earliest_index_) + " says it was written at second " + words(earliest_) + " (since 1970), and follows a head that others saw at second " + std::to_string(known_time_), known.file, earliest_index_);
  if (latest_ > (time + kTolerance) * kSecond)
    fault("back-dated", "entry " + std::to_string(latest_index_) + " says it was written at second " + words(latest_) + " (since 1970), and a head over it was seen by others at second " + std::to_string(time), known.file, latest_index_);
  known_time_ = time;
  earliest_ = UINT64_MAX;
  latest_ = 0;
}

/// An epoch's key signs the heads from its announcement to that of the next one, and no others: whoever steals today's key cannot
/// sign yesterday's heads, for yesterday's key is erased.
void Heads::judge_epoch(const Known& known) {
  const auto& epochs = rules_.epochs();
  const auto size = known.head.size;
  const auto say = [&](const std::string& what) { fault("epoch", "the head over " + std::to_string(size) + " entries " + what, known.file); };
  const auto next = epochs.find(known.epoch + 1);
  if (next != epochs.end() && size > next->second.last + 1) {
    return say(known.epoch == 0 ? "is not signed by an epoch's key, and entry " + std::to_string(next->second.last) + " announced the first"
                                : "is signed by the key of epoch " + std::to_string(known.epoch) + ", whose time ended with entry " + std::to_string(next->second.last));
  }
  if (known.epoch == 0) return;
  const auto at = epochs.find(known.epoch);
  // The one before the first that is known: its announcement was pruned, and its time is not over.
  if (at == epochs.end() && next != epochs.end() && rules_.pruned()) return;
  if (at == epochs.end() || at->second.first >= size) return say("is signed by the key of epoch " + std::to_string(known.epoch) + ", which its entries do not announce");
  const auto text = known.head.origin + "\n" + std::to_string(size) + "\n" + base64(known.head.root) + "\n";
  if (!ed25519_fits(at->second.key, view(text), known.epoch_signature)) say("has a wrong signature of epoch " + std::to_string(known.epoch));
}

/// A head that somebody else holds: the log cannot have been damaged into contradicting it.
bool Heads::seen_elsewhere(const std::string& file) const {
  const bool kept = std::find(settings_.kept_heads.begin(), settings_.kept_heads.end(), file) != settings_.kept_heads.end();
  return kept || file.ends_with(".witnessed") || file.ends_with(".note");
}

void Heads::judge(std::uint64_t entries) {
  std::uint64_t good = 0;
  std::uint64_t witnessed = 0;
  for (const auto& known : std::span(heads_).subspan(begin_)) {
    const auto& [head, file, computed, epoch, signature, cosigned, stamped] = known;
    if (head.size > entries) {
      const auto last = head.size - 1;
      fault(seen_elsewhere(file) ? "rolled-back" : "log-truncated", "a head for " + std::to_string(head.size) + " entries was signed, and the log holds " + std::to_string(entries) + ": " +
                                 (last == entries ? "entry " + std::to_string(last) + " is" : "entries " + std::to_string(entries) + " to " + std::to_string(last) + " are") + " missing",
            file, entries);
      break;
    }
    if (!computed || *computed != head.root) {
      const auto last = head.size == 0 ? 0 : head.size - 1;
      fault(seen_elsewhere(file) ? "forked" : "head-root", "the entries are not the ones that were signed: the first " + std::to_string(head.size) + " have another root than the signed head. " +
                             (last == good ? "It is entry " + std::to_string(good) + " that is another"
                                           : "The first that is another is one of entries " + std::to_string(good) + " to " + std::to_string(last)),
            file, good);
      break;
    }
    good = head.size;
    judge_epoch(known);
    if (stamped != 0) report_.stamped_entries = head.size, report_.stamped_at = stamped;
    if (settings_.quorum == 0 || cosigned.size() < settings_.quorum) continue;
    witnessed = head.size;
    report_.witnessed_at = *std::ranges::min_element(cosigned);
  }
  report_.signed_entries = good;
  report_.quorum = settings_.quorum;
  report_.witnessed_entries = witnessed;
  if (settings_.quorum != 0 && witnessed == 0)
    report_.notes.push_back("no head bears " + std::to_string(settings_.quorum) + " cosignatures of the witnesses that were named");
}

}  // namespace sallyport::verify
