// `sallyport sessions ls|show|play` and `sallyport evidence ls|show|key`: what happened, read from the evidence directory by
// whoever may read its files. What is proven is sallyport-verify's business; this is for reading.
#include <fcntl.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/config.h"
#include "cli/evidence_place.h"
#include "cli/result_table.h"
#include "evidence/notary.h"
#include "evidence/reader.h"

namespace sallyport::cli {
namespace {

using evidence::Field;
using evidence::Kind;
using evidence::StoredEntry;

struct Options {
  std::string directory, config, id, user, target, kind, since;
  std::uint64_t index = 0, limit = 0;
  double speed = 0;
  bool json = false;
};

struct SessionSummary {
  Id16 id{};
  std::string user, agent, target, peer, software, state = "open";
  std::int64_t begun = 0, ended = 0;
  std::uint64_t commands = 0, blocked = 0, held = 0, masked = 0;
};

std::string when(std::int64_t wall_ns) {
  const std::time_t seconds = wall_ns / 1'000'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", text, wall_ns / 1'000'000 % 1000);
}

/// "2h" before now, or a UTC day or second: "2026-11-20", "2026-11-20T10:00:00Z".
std::optional<std::int64_t> begin_of(const std::string& since) {
  if (since.empty()) return 0;
  std::tm parts{};
  for (const char* form : {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"}) {
    parts = {};
    const char* end = ::strptime(since.c_str(), form, &parts);
    if (end != nullptr && *end == '\0') return std::int64_t{::timegm(&parts)} * 1'000'000'000;
  }
  const std::size_t unit = since.find_first_not_of("0123456789");
  const auto scale = std::map<std::string, std::int64_t>{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
  const auto at = unit == std::string::npos ? scale.end() : scale.find(since.substr(unit));
  if (unit == 0 || unit > 6 || at == scale.end()) return std::nullopt;
  return system_clock().wall_ns() - std::stoll(since.substr(0, unit)) * at->second * 1'000'000'000;
}

std::string lasted(std::int64_t ns) {
  const auto seconds = ns / 1'000'000'000;
  if (seconds < 60) return fmt::format("{:.1f}s", static_cast<double>(ns) / 1e9);
  return seconds < 3600 ? fmt::format("{}m{:02}s", seconds / 60, seconds % 60) : fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
}

std::optional<std::string> directory_of(const Options& options) { return evidence_directory(options.directory, options.config); }

std::uint64_t sum(const StoredEntry& entry) {
  const auto at = entry.fields.find(Field::Masked);
  std::uint64_t total = 0;
  if (at != entry.fields.end())
    for (const auto& [key, count] : std::get<std::map<std::string, std::uint64_t>>(at->second)) total += count;
  return total;
}

std::string joined(const StoredEntry& entry, Field field) {
  std::string out;
  const auto at = entry.fields.find(field);
  if (at == entry.fields.end()) return out;
  if (const auto* list = std::get_if<std::vector<std::string>>(&at->second)) {
    for (const auto& one : *list) out += (out.empty() ? "" : ", ") + one;
  } else if (const auto* counts = std::get_if<std::map<std::string, std::uint64_t>>(&at->second)) {
    for (const auto& [key, count] : *counts) out += fmt::format("{}{} x{}", out.empty() ? "" : ", ", key, count);
  }
  return out;
}

Result<std::vector<SessionSummary>> summaries(const evidence::Reader& reader) {
  std::vector<SessionSummary> out;
  std::map<Id16, std::size_t> at;
  const auto read = reader.each([&](const StoredEntry& entry) {
    if (!entry.session) return true;
    const auto [found, fresh] = at.try_emplace(*entry.session, out.size());
    if (fresh) {
      out.emplace_back();
      out.back().id = *entry.session;
      out.back().begun = entry.wall_ns;
    }
    auto& session = out[found->second];
    session.ended = entry.wall_ns;
    session.masked += sum(entry);
    switch (entry.kind) {
      case Kind::SessionOpen:
        session.user = entry.text(Field::Subject);
        session.agent = entry.text(Field::Agent);
        session.target = entry.text(Field::Target);
        session.peer = entry.text(Field::Peer);
        session.software = entry.text(Field::Software);
        break;
      case Kind::Command:
        ++session.commands;
        if (entry.uint(Field::Decision) == static_cast<std::uint64_t>(evidence::Decision::Blocked)) ++session.blocked;
        if (entry.uint(Field::Decision) == static_cast<std::uint64_t>(evidence::Decision::Held)) ++session.held;
        break;
      case Kind::SessionClose: session.state = entry.text(Field::Reason).empty() ? "closed" : entry.text(Field::Reason); break;
      default: break;
    }
    return true;
  });
  if (!read) return std::unexpected(read.error());
  return out;
}

int list_sessions(const Options& options) {
  const auto directory = directory_of(options);
  if (!directory) return exit_code::kUsage;
  const auto since = begin_of(options.since);
  if (!since) {
    fmt::print(stderr, "sallyport: --since takes a span such as 30m, 2h or 7d, or a time such as 2026-11-20 or 2026-11-20T10:00:00Z\n");
    return exit_code::kUsage;
  }
  const auto reader = evidence::Reader::open(*directory);
  if (!reader) return failed(reader.error());
  auto sessions = summaries(*reader);
  if (!sessions) return failed(sessions.error());
  std::erase_if(*sessions, [&](const SessionSummary& one) {
    return one.ended < *since || (!options.user.empty() && one.user != options.user) || (!options.target.empty() && one.target != options.target);
  });
  if (options.limit != 0 && sessions->size() > options.limit) sessions->erase(sessions->begin(), sessions->end() - static_cast<std::ptrdiff_t>(options.limit));
  if (!options.json) fmt::print("{:<34}{:<26}{:>8}  {:<24}{:<16}{:>9}{:>9}{:>6}{:>8}  {}\n", "SESSION", "BEGUN", "LASTED", "WHO", "TARGET", "COMMANDS", "BLOCKED", "HELD", "MASKED", "STATE");
  for (const auto& one : *sessions) {
    const std::string who = one.agent.empty() ? one.user : one.agent + " for " + one.user;
    if (options.json) {
      fmt::print(R"({{"session":"{}","begun":"{}","last":"{}","user":{},"agent":{},"target":{},"peer":{},"software":{},"commands":{},"blocked":{},"held":{},"masked":{},"state":{}}})" "\n",
                 hex(one.id), when(one.begun), when(one.ended), json::quote(one.user), json::quote(one.agent), json::quote(one.target), json::quote(one.peer),
                 json::quote(one.software), one.commands, one.blocked, one.held, one.masked, json::quote(one.state));
    } else {
      fmt::print("{:<34}{:<26}{:>8}  {:<24}{:<16}{:>9}{:>9}{:>6}{:>8}  {}\n", hex(one.id), when(one.begun), lasted(one.ended - one.begun), printable(who), printable(one.target), one.commands, one.blocked,
                 one.held, one.masked, printable(one.state));
    }
  }
  return exit_code::kDone;
}

/// The one session whose id begins with what was given.
Result<Id16> find_session(const evidence::Reader& reader, const std::string& prefix) {
  std::optional<Id16> found;
  bool several = false;
  TRY_VOID(reader.each([&](const StoredEntry& entry) {
    if (!entry.session || (found && *found == *entry.session) || !hex(*entry.session).starts_with(prefix)) return true;
    several = found.has_value();
    found = entry.session;
    return !several;
  }));
  if (several) return fail(ErrorKind::Denied, "several sessions begin with " + prefix + "; give more of the id");
  if (!found || prefix.empty()) return fail(ErrorKind::Denied, "there is no session " + prefix + "; sallyport sessions ls lists them");
  return *found;
}

void print_indented(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    fmt::print("    {}\n", printable(rest.substr(0, end)));
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  }
}

/// The approvals a session's commands waited for or ran on: their entries belong to no session, and to its story.
Result<std::set<std::string>> approvals_of(const evidence::Reader& reader, const Id16& session) {
  std::set<std::string> out;
  TRY_VOID(reader.each([&](const StoredEntry& entry) {
    if (entry.kind == Kind::Command && entry.session == session && !entry.text(Field::Approval).empty()) out.insert(entry.text(Field::Approval));
    return true;
  }));
  return out;
}

bool is_approval(Kind kind) { return kind >= Kind::ApprovalRequested && kind <= Kind::ApprovalUsed; }

/// One entry of a session in a line or two.
void print_step(const StoredEntry& entry) {
  static constexpr const char* kDecision[] = {"?", "allowed", "BLOCKED", "HELD"};
  static constexpr const char* kResult[] = {"?", "ok", "error", "denied", "cancelled", "interrupted", "failed"};
  std::string line;
  switch (entry.kind) {
    case Kind::SessionOpen:
      line = fmt::format("session of {}{} on {} from {}, {}", entry.text(Field::Subject), entry.text(Field::Agent).empty() ? "" : " by agent " + entry.text(Field::Agent),
                         entry.text(Field::Target), entry.text(Field::Peer), entry.text(Field::Software));
      break;
    case Kind::Command: {
      line = fmt::format("{} {}: {}", entry.text(Field::Action), entry.text(Field::Object), kDecision[std::min<std::uint64_t>(entry.uint(Field::Decision), 3)]);
      if (const auto rules = joined(entry, Field::Rules); !rules.empty()) line += ", rule " + rules;
      if (const auto approval = entry.text(Field::Approval); !approval.empty()) line += ", approval " + approval;
      if (const auto reason = entry.text(Field::Reason); !reason.empty()) line += " (" + reason + ")";
      break;
    }
    case Kind::Outcome: {
      line = fmt::format("  {} in {:.1f} ms, {} bytes", kResult[std::min<std::uint64_t>(entry.uint(Field::Result), 6)], static_cast<double>(entry.uint(Field::DurationNs)) / 1e6, entry.uint(Field::Bytes));
      if (const auto items = entry.uint(Field::Items); items != 0) line += fmt::format(", {} items", items);
      if (const auto masked = joined(entry, Field::Masked); !masked.empty()) line += ", masked " + masked;
      if (const auto error = entry.text(Field::Error); !error.empty()) line += ": " + error;
      break;
    }
    case Kind::SessionClose: line = "session closed: " + entry.text(Field::Reason); break;
    case Kind::ApprovalRequested:
    case Kind::ApprovalGranted:
    case Kind::ApprovalDenied:
    case Kind::ApprovalExpired:
    case Kind::ApprovalUsed: {
      line = fmt::format("  {} {}", to_string(entry.kind), entry.text(Field::Approval));
      if (const auto approver = entry.text(Field::Approver); !approver.empty()) line += " by " + approver;
      if (const auto quorum = entry.uint(Field::Quorum); quorum != 0 && entry.kind == Kind::ApprovalRequested) line += fmt::format(", {} needed", quorum);
      if (const auto reason = entry.text(Field::Reason); !reason.empty()) line += ": " + reason;
      break;
    }
    default: line = std::string(to_string(entry.kind)); break;
  }
  fmt::print("{:>8}  {}  {}\n", entry.index, when(entry.wall_ns), printable(line));
}

int session_steps(const Options& options, bool with_payload) {
  const auto directory = directory_of(options);
  if (!directory) return exit_code::kUsage;
  const auto reader = evidence::Reader::open(*directory);
  if (!reader) return failed(reader.error());
  const auto id = find_session(*reader, options.id);
  if (!id) {
    fmt::print(stderr, "sallyport: {}\n", printable(id.error().what));
    return id.error().kind == ErrorKind::Denied ? exit_code::kNotFound : exit_code::kError;
  }
  const auto approvals = approvals_of(*reader, *id);
  if (!approvals) return failed(approvals.error());
  // Statements and results are what a database session is about: they are shown also where the whole payload is not.
  constexpr std::size_t kRowsShown = 20;
  bool sql = false;
  const auto found_open = reader->each([&](const StoredEntry& entry) {
    if (entry.session != *id) return true;
    sql = entry.text(Field::Protocol) == "postgresql";
    return false;
  });
  if (!found_open) return failed(found_open.error());
  evidence::Reader::Chunks chunks;
  if (with_payload || sql) {
    auto loaded = reader->chunks(*id);
    if (!loaded) return failed(loaded.error());
    chunks = std::move(*loaded);
  }
  int code = exit_code::kDone;
  std::int64_t before = 0;
  const auto read = reader->each([&](const StoredEntry& entry) {
    const bool own = entry.session && *entry.session == *id;
    if (!own && !(is_approval(entry.kind) && approvals->contains(entry.text(Field::Approval)))) return true;
    std::string text;
    if (own && (with_payload || sql) && entry.payload() != nullptr) {
      auto payload = reader->payload(*id, *entry.payload(), chunks);
      if (!payload) code = exit_code::kError;
      text = payload ? *payload : "[" + payload.error().what + "]";
      if (payload && sql) text = entry.kind == Kind::Command ? statement_text(*payload) : result_tables(*payload, with_payload ? 0 : kRowsShown);
    }
    if (options.speed > 0 && before != 0) {
      std::fflush(stdout);
      std::this_thread::sleep_for(std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(std::max<std::int64_t>(entry.wall_ns - before, 0)) / options.speed)));
    }
    before = entry.wall_ns;
    if (options.json) {
      auto line = evidence::to_json(entry);
      if (!text.empty()) line.insert(line.size() - 1, ",\"text\":" + json::quote(text));
      fmt::print("{}\n", line);
    } else {
      print_step(entry);
      print_indented(text);
    }
    return true;
  });
  return read ? code : failed(read.error());
}

int list_entries(const Options& options) {
  const auto directory = directory_of(options);
  if (!directory) return exit_code::kUsage;
  const auto reader = evidence::Reader::open(*directory);
  if (!reader) return failed(reader.error());
  std::vector<std::string> lines;
  const auto read = reader->each([&](const StoredEntry& entry) {
    if (!options.kind.empty() && options.kind != to_string(entry.kind)) return true;
    if (options.limit != 0 && lines.size() >= options.limit) lines.erase(lines.begin());
    if (options.json) lines.push_back(evidence::to_json(entry));
    else
      lines.push_back(fmt::format("{:>8}  {}  {:<20} {:<10} {}", entry.index, when(entry.wall_ns), to_string(entry.kind), entry.session ? hex(*entry.session).substr(0, 8) : "-",
                                  printable(entry.text(Field::Subject) + " " + entry.text(Field::Action) + " " + entry.text(Field::Object) + " " + entry.text(Field::Reason))));
    return true;
  });
  for (const auto& line : lines) fmt::print("{}\n", line);
  return read ? exit_code::kDone : failed(read.error());
}

int show_entry(const Options& options) {
  const auto directory = directory_of(options);
  if (!directory) return exit_code::kUsage;
  const auto reader = evidence::Reader::open(*directory);
  if (!reader) return failed(reader.error());
  std::optional<StoredEntry> found;
  const auto read = reader->each([&](const StoredEntry& entry) {
    if (entry.index == options.index) found = entry;
    return entry.index < options.index;
  });
  if (!read) return failed(read.error());
  if (!found) {
    fmt::print(stderr, "sallyport: {}\n", options.index < reader->first() ? fmt::format("entry {} was pruned; the log keeps entries from {} on", options.index, reader->first()) : fmt::format("there is no entry {}", options.index));
    return exit_code::kNotFound;
  }
  const auto text = evidence::to_json(*found);
  if (options.json) {
    fmt::print("{}\n", text);
    return exit_code::kDone;
  }
  const auto document = json::Document::parse(text);
  if (!document) return failed(document.error());
  for (const auto member : document->root())
    fmt::print("{:<22} {}\n", member.key(), member.is_string() ? printable(member.as_string()) : printable(member.raw()));
  fmt::print("{:<22} {}\n", "time", when(found->wall_ns));
  return exit_code::kDone;
}

/// The public half of the signing key, as sallyport-verify --key takes it. An auditor gets it by another road than the log.
int print_key(const Options& options) {
  if (options.config.empty()) {
    fmt::print(stderr, "sallyport: which gateway? -c CONFIG\n");
    return exit_code::kUsage;
  }
  const auto loaded = load_config(options.config);
  if (!loaded.config) {
    fmt::print(stderr, "{}", loaded.problems);
    return exit_code::kUsage;
  }
  const auto path = loaded.config->gateway.state_directory + "/evidence.pub";
  std::ifstream in(path);
  const std::string key(std::istreambuf_iterator<char>(in), {});
  if (key.empty()) {
    fmt::print(stderr, "sallyport: cannot read {}; the gateway writes it at its first start\n", path);
    return exit_code::kNotFound;
  }
  fmt::print("{}", key);
  return exit_code::kDone;
}

/// A signing key for a notary of its own: the gateway makes its own at its first start.
int new_key(const std::string& origin, const std::string& out) {
  if (!evidence::is_key_name(origin)) {
    fmt::print(stderr, "sallyport: an origin has no white space and no '+': NAME/evidence\n");
    return exit_code::kUsage;
  }
  const auto [secret, verifier] = evidence::generate_note_key(origin);
  const int file = ::open(out.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const auto text = secret + "\n";
  const bool done = file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  if (file >= 0) ::close(file);
  if (!done) return failed(Error(ErrorKind::Unavailable, "cannot write " + out + ": " + std::strerror(errno)));
  fmt::print("{}\n", verifier);
  return exit_code::kDone;
}

}  // namespace

void add_evidence_commands(CLI::App& app, int& exit) {
  const auto options = std::make_shared<Options>();
  const auto common = [&](CLI::App* command) {
    command->add_option("-d,--dir", options->directory, "Evidence directory");
    command->add_option("-c,--config", options->config, "Configuration file that names it");
    command->add_flag("--json", options->json, "JSON, one object a line");
  };
  auto* sessions = app.add_subcommand("sessions", "Sessions, from the evidence");
  sessions->require_subcommand(1);
  auto* ls = sessions->add_subcommand("ls", "All sessions, oldest first");
  common(ls);
  ls->add_option("--user", options->user, "Only of this user");
  ls->add_option("--target", options->target, "Only on this target");
  ls->add_option("--since", options->since, "Only those with something since then: 2h, 7d, 2026-11-20");
  ls->add_option("--limit", options->limit, "Only the last N");
  ls->callback([options, &exit] { exit = list_sessions(*options); });
  for (const bool play : {false, true}) {
    auto* one = sessions->add_subcommand(play ? "play" : "show", play ? "A session with what was sent and answered" : "What a session did, step by step");
    one->add_option("id", options->id, "Session id or its beginning")->required();
    common(one);
    if (play) one->add_option("--speed", options->speed, "Waits as long as the session did, this many times faster (1: in real time)")->check(CLI::PositiveNumber);
    one->callback([options, play, &exit] { exit = session_steps(*options, play); });
  }
  auto* log = app.add_subcommand("evidence", "The evidence log");
  log->require_subcommand(1);
  auto* entries = log->add_subcommand("ls", "Entries in order");
  common(entries);
  entries->add_option("--kind", options->kind, "Only this kind, such as command or auth.failed");
  entries->add_option("--limit", options->limit, "Only the last N");
  entries->callback([options, &exit] { exit = list_entries(*options); });
  auto* shown = log->add_subcommand("show", "One entry, every field");
  shown->add_option("index", options->index, "Index of the entry")->required();
  common(shown);
  shown->callback([options, &exit] { exit = show_entry(*options); });
  add_export_command(*log, exit);
  add_keeping_commands(*log, exit);
  auto* key = log->add_subcommand("key", "The verifier key for sallyport-verify --key");
  key->add_option("-c,--config", options->config, "Configuration file")->required();
  key->callback([options, &exit] { exit = print_key(*options); });
  add_incarnation_command(*log, exit);
  auto* keygen = log->add_subcommand("keygen", "A signing key for a notary or a witness of its own; prints its verifier key");
  keygen->add_option("name", options->id, "Name of the key: the log's origin (NAME/evidence), or the witness's name")->required();
  keygen->add_option("-o,--output", options->directory, "File to write; must not exist")->required();
  keygen->callback([options, &exit] { exit = new_key(options->id, options->directory); });
}

}  // namespace sallyport::cli
