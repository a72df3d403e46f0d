// `sallyport evidence export`: a pack of evidence that an auditor verifies offline (docs/formats/pack.md). It reads files, as the other
// evidence commands do, and leaves no trace in the log. An export that was cut off goes on when it is asked for again.
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/evidence_place.h"
#include "cli/pack_writer.h"
#include "verify/veil.h"

namespace sallyport::cli {
namespace {

constexpr const char* kTool = "sallyport 0.1.0";

struct Options {
  std::string directory, config, out, user, target, kind, from, to, from_index, to_index, payloads = "sealed";
  std::vector<std::string> sessions;
  std::vector<std::uint64_t> disclose;
  std::vector<std::string> withhold;
  bool names = true;
};

/// A UTC day or second. A span before now would be another question each time.
std::optional<std::int64_t> time_of(const std::string& text) {
  for (const char* form : {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"}) {
    std::tm parts{};
    const char* end = ::strptime(text.c_str(), form, &parts);
    if (end != nullptr && *end == '\0') return std::int64_t{::timegm(&parts)} * 1'000'000'000;
  }
  return std::nullopt;
}

int misused(const std::string& why) {
  fmt::print(stderr, "sallyport: {}\n", why);
  return exit_code::kUsage;
}

bool is_kind(const std::string& name) {
  for (int kind = 1; kind < 256; ++kind)
    if (name == evidence::to_string(static_cast<evidence::Kind>(kind))) return name != "unknown";
  return false;
}

/// "" or what is wrong with the question as it was asked.
std::string read_question(const Options& options, PackQuestion& out) {
  auto& q = out.query;
  q.from = options.from, q.to = options.to, q.kind = options.kind, q.target = options.target, q.user = options.user, q.payloads = options.payloads;
  q.from_index = options.from_index, q.to_index = options.to_index;
  q.disclose = options.disclose;
  out.names = options.names;
  const auto withheld = [&](std::string_view name) { return std::ranges::find(options.withhold, name) != options.withhold.end(); };
  for (const auto& name : options.withhold)
    if (!verify::place_of(name)) return "--withhold takes target, peer, software, action, object, facts, error and reason";
  for (std::size_t i = 0; i < verify::kVeilable.size(); ++i)
    if (withheld(verify::field_name(i))) q.withhold.emplace_back(verify::field_name(i));
  if (!q.target.empty() && withheld("target")) return "--target is in the pack as part of the question: it cannot be withheld as well";
  std::ranges::sort(q.disclose);
  const auto repeated = std::ranges::unique(q.disclose);
  q.disclose.erase(repeated.begin(), repeated.end());
  if (q.payloads != "opened" && q.payloads != "sealed" && q.payloads != "none") return "--payloads is opened, sealed or none";
  if (!q.disclose.empty() && q.payloads == "opened") return "--disclose opens single payloads; with --payloads opened all of them are";
  if (!q.kind.empty() && !is_kind(q.kind)) return "there is no kind of entry " + q.kind + "; sallyport evidence ls shows kinds";
  for (const auto& [text, into, name] : {std::tuple{&options.from, &out.from_ns, "--from"}, std::tuple{&options.to, &out.to_ns, "--to"}}) {
    if (text->empty()) continue;
    *into = time_of(*text);
    if (!*into) return std::string(name) + " takes a time in UTC such as 2026-11-20 or 2026-11-20T10:00:00Z";
  }
  for (const auto& [text, into, name] : {std::tuple{&q.from_index, &out.from_index, "--from-index"}, std::tuple{&q.to_index, &out.to_index, "--to-index"}}) {
    if (text->empty()) continue;
    if (text->find_first_not_of("0123456789") != std::string::npos || text->size() > 18 || (text->size() > 1 && (*text)[0] == '0')) return std::string(name) + " takes the index of an entry";
    *into = std::stoull(*text);
  }
  if (out.from_index && out.to_index && *out.to_index < *out.from_index) return "--to-index is before --from-index";
  return "";
}

/// Full ids of sessions that were named by their beginnings. Errors: Denied.
Result<std::vector<std::string>> sessions_of(const evidence::Reader& reader, const std::vector<std::string>& prefixes) {
  std::vector<std::set<std::string>> found(prefixes.size());
  if (prefixes.empty()) return std::vector<std::string>{};
  TRY_VOID(reader.leaves([&](ByteView leaf) {
    verify::Entry entry;
    if (!verify::read_entry(leaf, entry).empty() || !entry.session || (entry.sequence != 0 && reader.first() == 0)) return true;
    const auto id = hex(*entry.session);
    for (std::size_t i = 0; i < prefixes.size(); ++i)
      if (id.starts_with(prefixes[i]) && found[i].size() < 2) found[i].insert(id);
    return true;
  }));
  std::set<std::string> out;
  for (std::size_t i = 0; i < prefixes.size(); ++i) {
    if (found[i].empty() || prefixes[i].empty()) return fail(ErrorKind::Denied, "there is no session " + prefixes[i] + "; sallyport sessions ls lists them");
    if (found[i].size() > 1) return fail(ErrorKind::Denied, "several sessions begin with " + prefixes[i] + "; give more of the id");
    out.insert(*found[i].begin());
  }
  return std::vector<std::string>(out.begin(), out.end());
}

/// On a terminal only, ten times a second at most.
class Progress {
 public:
  Progress() : shown_(::isatty(STDERR_FILENO) == 1) {}
  ~Progress() { clear(); }
  void say(const std::string& text) {
    const auto now = system_clock().mono_ns();
    if (!shown_ || now - last_ < 100'000'000) return;
    last_ = now;
    fmt::print(stderr, "\r\x1b[K{}", text);
    dirty_ = true;
  }
  void clear() {
    if (std::exchange(dirty_, false)) fmt::print(stderr, "\r\x1b[K");
  }

 private:
  bool shown_, dirty_ = false;
  std::int64_t last_ = 0;
};

std::string bar(std::uint64_t done, std::uint64_t all) {
  const auto tenths = all == 0 ? 10 : std::min<std::uint64_t>(10, done * 10 / all);
  return fmt::format("[{}{}] {:.1f} of about {:.1f} MB", std::string(tenths, '#'), std::string(10 - tenths, '.'), static_cast<double>(done) / 1e6, static_cast<double>(all) / 1e6);
}

/// About how large the pack gets: sealed payloads are mostly smaller than what is in them.
std::uint64_t estimate(const PackPlan& plan) {
  std::uint64_t out = 100'000;
  for (const auto size : plan.part_sizes) out += size;
  if (plan.manifest.opened + plan.manifest.sealed > 0)
    for (const auto& one : plan.story.payloads()) out += one.bytes;
  return out;
}

Result<void> export_pack(const evidence::Reader& reader, PackQuestion question, const std::string& out) {
  Progress progress;
  progress.say("reading the log");
  TRY(const auto plan, make_pack(reader, std::move(question), {out, kTool, std::make_shared<evidence::FileOps>(), [&](const PackPlan& plan, bool resumed) {
    if (resumed) fmt::print(stderr, "sallyport: going on with {}.part\n", out);
    return [&progress, all = estimate(plan)](std::uint64_t done) { progress.say(bar(done, all)); };
  }}));
  progress.clear();
  const auto& m = plan->manifest;
  fmt::print(stderr, "sallyport: {}: entries {} to {} of {}, {} disclosed, {} withheld, {} sessions; payloads: {} opened, {} sealed, {} erased, {} not included\n", out, m.a, m.b == m.a ? "none" : std::to_string(m.b - 1), m.size,
             m.disclosed, m.withheld, m.sessions.size(), m.opened, m.sealed, m.erased, m.none);
  if (m.format == verify::kPackFormatVeiled)
    fmt::print(stderr, "sallyport: single fields: {} opened, {} withheld, {} erased\n", m.fields_opened, m.fields_withheld, m.fields_erased);
  if ((verify::withheld_of(m.query) & verify::kTargetField) != 0) fmt::print(stderr, "sallyport: the texts of policies name targets, and were left out\n");
  else for (const auto& one : m.missing_policies) fmt::print(stderr, "sallyport: the text of policy {} is not kept here\n", hex(one));
  return {};
}

int run_export(const Options& options) {
  PackQuestion question;
  if (const auto wrong = read_question(options, question); !wrong.empty()) return misused(wrong);
  const auto directory = evidence_directory(options.directory, options.config);
  if (!directory) return exit_code::kUsage;
  const auto reader = evidence::Reader::open(*directory);
  if (!reader) return failed(reader.error());
  auto sessions = sessions_of(*reader, options.sessions);
  if (!sessions) {
    const auto code = failed(sessions.error());
    return sessions.error().kind == ErrorKind::Denied ? exit_code::kNotFound : code;
  }
  question.query.sessions = std::move(*sessions);
  const auto done = export_pack(*reader, std::move(question), options.out);
  if (done) return exit_code::kDone;
  const auto code = failed(done.error());
  return done.error().kind == ErrorKind::Denied ? exit_code::kNotFound : code;
}

}  // namespace

void add_export_command(CLI::App& evidence, int& exit) {
  const auto options = std::make_shared<Options>();
  auto* command = evidence.add_subcommand("export", "A pack of evidence for an auditor: sallyport-verify pack checks it");
  command->add_option("-d,--dir", options->directory, "Evidence directory");
  command->add_option("-c,--config", options->config, "Configuration file that names it");
  command->add_option("-o,--output", options->out, "File to write (pack.zip); an export that was cut off goes on")->required();
  command->add_option("--session", options->sessions, "Only this session, by id or its beginning; may be repeated");
  command->add_option("--user", options->user, "Only what this user did");
  command->add_option("--target", options->target, "Only what was done on this target");
  command->add_option("--kind", options->kind, "Only entries of this kind");
  auto* from = command->add_option("--from", options->from, "From this time on: 2026-11-20 or 2026-11-20T10:00:00Z");
  auto* to = command->add_option("--to", options->to, "Up to this time, and not that");
  command->add_option("--from-index", options->from_index, "From this entry on")->excludes(from);
  command->add_option("--to-index", options->to_index, "Up to this entry, and not that")->excludes(to);
  command->add_flag("!--no-names", options->names, "People stay under their pseudonyms");
  command->add_option("--payloads", options->payloads, "opened: decrypted; sealed: as they are (default); none");
  command->add_option("--disclose", options->disclose, "Opens the payloads of these entries only: INDEX[,INDEX]")->delimiter(',');
  command->add_option("--withhold", options->withhold, "Fields that stay hidden in what is disclosed: FIELD[,FIELD]; those that evidence.veil named")->delimiter(',');
  command->callback([options, &exit] { exit = run_export(*options); });
}

}  // namespace sallyport::cli
