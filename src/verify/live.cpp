#include "verify/live.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

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

/// One document; `why` says what curl says when there is none.
std::optional<Blob> fetch(const LiveSettings& settings, const std::string& path, std::string& why) {
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
  std::string config = "silent\nshow-error\nfail\nmax-time = 60\nproto = \"=https,http\"\nurl = " + quoted(settings.url + path);
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
  Tree tree;
  static const std::string kPlace = "the log";
  Id incarnation{};
  while (tree.size() < head->size) {
    const auto number = tree.size() / kBundle;
    const auto width = std::min<std::uint64_t>(kBundle, head->size - number * kBundle);
    const auto bundle = fetch(live, "/tile/entries/" + spelled(number) + (width == kBundle ? "" : ".p/" + std::to_string(width)), why);
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
      else rules.entry(entry, kPlace, 0, incarnation = entry.incarnation);
      tree.add(leaf_hash(bytes));
    }
    if (at != bundle->size()) fault("entry-malformed", "something follows the last entry of a bundle", tree.size());
  }
  rules.finish();
  if (tree.root() != head->root) fault("head-root", "the entries are not the ones that were signed: they have another root than the signed head");
  else report.signed_entries = head->size;
  report.entries = tree.size();
  report.quorum = live.quorum;
  if (cosigned >= live.quorum && live.quorum != 0) report.witnessed_entries = head->size;
  report.notes.push_back("payloads are not served over HTTP: what is recorded of them was not judged");
  if (report.fault_count == 0) report.verdict = live.quorum != 0 && report.witnessed_entries < report.entries ? Report::Incomplete : Report::Valid;
  return report;
}

}  // namespace sallyport::verify
