#include "verify/live.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cstdio>
#include <functional>

#include "verify/pack_rules.h"
#include "verify/rules.h"
#include "verify/tree.h"

extern char** environ;

namespace sallyport::verify {
namespace {

constexpr std::size_t kBundle = 256, kMostBundle = kBundle * (2 + 65535);

/// Quoted for curl's configuration language.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c != '\n' && c != '\r') out += c;
  }
  return out + "\"\n";
}

/// One document; `why` says what curl says when there is none. `absent`: where it may be that the server has none (404), and that it
/// said so; curl says nothing then.
std::optional<Blob> fetch(const LiveSettings& settings, const std::string& path, std::string& why, bool* absent = nullptr) {
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) return why = "cannot make a pipe", std::nullopt;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  char name[] = "curl", flag[] = "-K", from[] = "-";
  char* argv[] = {name, flag, from, nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, "curl", &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  std::string config = std::string("silent\nfail\nwrite-out = \"%{http_code}\"\n") + (absent == nullptr ? "show-error\n" : "") + "max-time = 60\nproto = \"=https,http\"\nurl = " + quoted(settings.url + path);
  if (!settings.token.empty()) config += "header = " + quoted("Authorization: Bearer " + settings.token);
  if (!settings.ca_file.empty()) config += "cacert = " + quoted(settings.ca_file);
  Blob answer;
  const bool written = error == 0 && ::write(in[1], config.data(), config.size()) == static_cast<ssize_t>(config.size());
  ::close(in[1]);
  std::uint8_t piece[65536];
  for (ssize_t n = 0; error == 0 && (n = ::read(out[0], piece, sizeof piece)) > 0 && answer.size() <= kMostBundle;) answer.insert(answer.end(), piece, piece + n);
  ::close(out[0]);
  int status = 1;
  if (error == 0) ::waitpid(pid, &status, 0);
  // Behind the document stands the answer's code, three digits.
  const std::string code = answer.size() < 3 ? "" : std::string(answer.end() - 3, answer.end());
  answer.resize(answer.size() - code.size());
  if (absent != nullptr) *absent = code == "404";
  why = error != 0 ? "the program curl is not there, and a log over HTTP needs it" : "cannot fetch " + settings.url + path + " (curl says why above)";
  if (!written || status != 0 || answer.size() > kMostBundle) return std::nullopt;
  return answer;
}

/// Index of a tile as tlog-tiles spells it: x001/x234/067.
std::string spelled(std::uint64_t number) {
  char part[8];
  std::snprintf(part, sizeof part, "%03u", static_cast<unsigned>(number % 1000));
  std::string out = part;
  for (number /= 1000; number > 0; number /= 1000) {
    std::snprintf(part, sizeof part, "x%03u/", static_cast<unsigned>(number % 1000));
    out = part + out;
  }
  return out;
}

/// A tile's or a bundle's place below /tile/L or /tile/entries.
std::string place_of(std::uint64_t number, std::uint64_t width) { return spelled(number) + (width == kBundle ? "" : ".p/" + std::to_string(width)); }

std::uint64_t width_of(std::uint64_t number, std::uint64_t size) { return std::min<std::uint64_t>(kBundle, size - number * kBundle); }

/// The first entry that is served: those before were pruned, and the rest of their bundle went with them. nullopt: none can be fetched.
std::optional<std::uint64_t> first_served(const LiveSettings& live, std::uint64_t size, std::string& why) {
  const auto served = [&](std::uint64_t number, bool& absent) { return fetch(live, "/tile/entries/" + place_of(number, width_of(number, size)), why, &absent).has_value(); };
  bool absent = false;
  if (size == 0 || served(0, absent)) return 0;
  if (!absent) return std::nullopt;
  std::uint64_t low = 0, high = (size - 1) / kBundle;  // low is not served, high is
  if (high == 0 || !served(high, absent)) return why = absent ? "of its entries none is served: it was pruned not long ago" : why, std::nullopt;
  while (high - low > 1) {
    const auto middle = low + (high - low) / 2;
    if (served(middle, absent)) high = middle;
    else if (absent) low = middle;
    else return std::nullopt;
  }
  return high * kBundle;
}

/// The tree of the first `size` entries, a multiple of 256, from the levels above the lowest. The signed root says whether it is.
std::optional<Tree> tree_before(const LiveSettings& live, std::uint64_t size, std::string& why) {
  std::vector<Hash> range;
  std::uint64_t from = 0;
  for (int bit = 63; bit >= 8; --bit) {
    if ((size >> bit & 1) == 0) continue;
    const unsigned level = static_cast<unsigned>(bit) / 8;
    const std::uint64_t index = from >> (8 * level), count = std::uint64_t{1} << (bit % 8), end = index % kBundle + count;
    const auto tile = fetch(live, "/tile/" + std::to_string(level) + "/" + place_of(index / kBundle, end), why);
    if (!tile) return std::nullopt;
    if (tile->size() != 32 * end) return why = "a tile has another size than it should", std::nullopt;
    Tree perfect;
    for (auto i = end - count; i < end; ++i) perfect.add(fixed<32>(*tile, 32 * i));
    range.push_back(perfect.root());
    from += std::uint64_t{1} << bit;
  }
  return Tree(size, std::move(range));
}

/// What a log that begins in the middle lets be judged is what a pack does; and a prune must tell why it does.
class Rest {
 public:
  Rest(std::uint64_t first, const Hash& root, Report& report, PackRules::Say say) : first_(first), root_(root), report_(report), say_(say), rules_(first, say) {}
  void entry(const Entry& entry) {
    rules_.entry(entry);
    report_.commands += entry.kind == Kind::Command;
    report_.outcomes += entry.kind == Kind::Outcome;
    report_.interrupted += entry.kind == Kind::Outcome && entry.result == 5;
    report_.payloads += entry.payload.has_value();
    report_.veiled_fields += static_cast<unsigned>(std::popcount(entry.veiled));
    report_.sessions += entry.kind == Kind::SessionOpen;
    if (entry.kind != Kind::Prune || !entry.first || (*entry.first + kBundle - 1) / kBundle * kBundle != first_) return;
    if (*entry.first == first_ && entry.root != root_) return say_({"pruned", describe(entry) + ": it names another root than that of the first " + std::to_string(first_) + " entries", "", {}, entry.index});
    told_ = true;
    report_.notes.push_back("entries 0 to " + std::to_string(*entry.first - 1) + " were pruned, as " + describe(entry) + " tells" +
                            (*entry.first == first_ ? "" : "; those from there to " + std::to_string(first_ - 1) + " are kept and not served"));
  }
  /// True when an entry tells of the prune.
  bool finish() {
    rules_.finish(true);
    note_veils(report_);
    if (!told_) report_.notes.push_back("no entry from " + std::to_string(first_) + " on tells that those before it were pruned: it is not served, or there is none; the directory says which");
    report_.notes.push_back("of sessions that began in what is not served only the rest was judged");
    return told_;
  }

 private:
  std::uint64_t first_;
  Hash root_;
  Report& report_;
  PackRules::Say say_;
  PackRules rules_;
  bool told_ = false;
};

}  // namespace

std::optional<Report> check_live(const LiveSettings& live, std::string& why) {
  ::signal(SIGPIPE, SIG_IGN);
  Report report;
  Settings settings;
  settings.key = live.key;
  settings.without_payloads = true;
  Rules rules(report, settings);
  const auto fault = [&](std::string code, std::string what, std::optional<std::uint64_t> index = {}) { rules.fault({std::move(code), std::move(what), live.url, {}, index}); };
  const auto note = fetch(live, "/checkpoint", why);
  if (!note) return std::nullopt;
  std::string wrong;
  const auto head = open_note({reinterpret_cast<const char*>(note->data()), note->size()}, live.key, wrong);
  report.heads = 1;
  report.verdict = Report::Invalid;
  if (!head || head->origin != live.key.name) return fault("head-signature", head ? "the signed head is of the log " + head->origin : "the signed head does not count: " + wrong), report;
  std::size_t cosigned = 0;
  for (const auto& witness : live.witnesses)
    for (const auto& other : head->others) {
      if (other.name != witness.name || other.id != witness.id) continue;
      if (cosigned_at(head->text, witness, other)) ++cosigned;
      else fault("witness", "the cosignature of " + witness.name + " is wrong");
      break;
    }
  const auto first = first_served(live, head->size, why);
  if (!first) return std::nullopt;
  auto begun = tree_before(live, *first, why);
  if (!begun) return std::nullopt;
  auto& tree = *begun;
  std::optional<Rest> rest;
  if (*first != 0) rest.emplace(*first, tree.root(), report, [&](Fault one) { one.file = live.url, rules.fault(std::move(one)); });
  report.first_entry = *first;
  static const std::string kPlace = "the log";
  Id incarnation{};
  while (tree.size() < head->size) {
    const auto number = tree.size() / kBundle;
    const auto width = width_of(number, head->size);
    const auto bundle = fetch(live, "/tile/entries/" + place_of(number, width), why);
    if (!bundle) return std::nullopt;
    std::size_t at = 0;
    for (std::uint64_t i = 0; i < width; ++i) {
      const std::size_t size = bundle->size() - at < 2 ? 0 : std::size_t{(*bundle)[at]} << 8 | (*bundle)[at + 1];
      if (size == 0 || size > bundle->size() - at - 2) return fault("entry-malformed", "the bundle with entry " + std::to_string(tree.size()) + " is cut off", tree.size()), report;
      const auto bytes = View(*bundle).subspan(at + 2, size);
      at += 2 + size;
      Entry entry;
      if (const auto bad = read_entry(bytes, entry); !bad.empty()) fault("entry-malformed", "entry " + std::to_string(tree.size()) + ": " + bad, tree.size());
      else if (entry.index != tree.size()) fault("entry-index", describe(entry) + " stands where entry " + std::to_string(tree.size()) + " is due", tree.size());
      else if (rest) rest->entry(entry);
      else rules.entry(entry, kPlace, 0, incarnation = entry.incarnation);
      tree.add(leaf_hash(bytes));
    }
    if (at != bundle->size()) fault("entry-malformed", "something follows the last entry of a bundle", tree.size());
  }
  const bool whole = rest ? rest->finish() : (rules.finish(), true);
  if (tree.root() != head->root) fault("head-root", "the entries are not the ones that were signed: they have another root than the signed head");
  else report.signed_entries = head->size;
  report.entries = tree.size();
  report.quorum = live.quorum;
  if (cosigned >= live.quorum && live.quorum != 0) report.witnessed_entries = head->size;
  report.notes.push_back("payloads are not served over HTTP: what is recorded of them was not judged");
  if (report.fault_count == 0) report.verdict = !whole || (live.quorum != 0 && report.witnessed_entries < report.entries) ? Report::Incomplete : Report::Valid;
  return report;
}

}  // namespace sallyport::verify
