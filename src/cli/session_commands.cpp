// `sallyport sessions ls|show|play`: what happened, from the evidence directory or from a running gateway. What is proven is
// sallyport-verify's business; this is for reading.
#include <ctime>
#include <thread>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/evidence_place.h"
#include "cli/result_table.h"
#include "cli/session_source.h"

namespace sallyport::cli {
namespace {

constexpr std::size_t kRowsShown = 20;  // of a result, where the whole payload was not asked for

struct Options {
  ClientOptions client;
  std::string directory, config, id, user, target, since;
  std::uint64_t limit = 0;
  double speed = 0;
  bool json = false;
};

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

/// The directory that is named, by itself or by a configuration; without either a gateway. nullptr after saying what is wrong.
std::unique_ptr<SessionSource> source_of(const Options& options) {
  if (options.directory.empty() && options.config.empty()) return gateway_source(options.client);
  if (!options.client.url.empty()) {
    fmt::print(stderr, "sallyport: --url or a directory, not both\n");
    return nullptr;
  }
  const auto directory = evidence_directory(options.directory, options.config);
  return directory ? directory_source(*directory) : nullptr;
}

int list_sessions(const Options& options) {
  const auto since = begin_of(options.since);
  if (!since) {
    fmt::print(stderr, "sallyport: --since takes a span such as 30m, 2h or 7d, or a time such as 2026-11-20 or 2026-11-20T10:00:00Z\n");
    return exit_code::kUsage;
  }
  const auto source = source_of(options);
  if (!source) return exit_code::kUsage;
  if (!options.json) fmt::print("{:<34}{:<26}{:>8}  {:<24}{:<16}{:>9}{:>9}{:>6}{:>8}  {}\n", "SESSION", "BEGUN", "LASTED", "WHO", "TARGET", "COMMANDS", "BLOCKED", "HELD", "MASKED", "STATE");
  evidence::SessionFilter filter;
  filter.user = options.user;
  filter.target = options.target;
  filter.from = *since;
  if (options.limit != 0) filter.limit = options.limit;
  return source->list(filter, [&](const json::Value& one) {
    if (options.json) return fmt::print("{}\n", one.raw());
    const auto text = [&](const char* key) { return printable(one[key].as_string()); };
    const auto who = text("agent").empty() ? text("user") : text("agent") + " for " + text("user");
    const auto begun = evidence::utc_from_milliseconds(one["begun"].as_string()), last = evidence::utc_from_milliseconds(one["last"].as_string());
    fmt::print("{:<34}{:<26}{:>8}  {:<24}{:<16}{:>9}{:>9}{:>6}{:>8}  {}\n", text("session"), text("begun"), lasted(last - begun), who, text("target"), one["commands"].as_int(), one["blocked"].as_int(),
               one["held"].as_int(), one["masked"].as_int(), text("state"));
  });
}

void print_indented(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    fmt::print("    {}\n", printable(rest.substr(0, end)));
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  }
}

/// A list's items, or an object's members with their counts.
std::string joined(const json::Value& values) {
  std::string out;
  for (const auto one : values) out += fmt::format("{}{}", out.empty() ? "" : ", ", values.is_object() ? fmt::format("{} x{}", one.key(), one.as_int()) : std::string(one.as_string()));
  return out;
}

std::string open_line(const json::Value& entry) {
  const auto agent = entry["agent"].as_string();
  const auto about = entry["about"].as_string();
  return fmt::format("session of {}{} on {} from {}, {}{}", entry["subject"].as_string(), agent.empty() ? "" : fmt::format(" by agent {}", agent), entry["target"].as_string(), entry["peer"].as_string(),
                     entry["software"].as_string(), about.empty() ? "" : fmt::format(", for request {}", about));
}

std::string command_line(const json::Value& entry) {
  const auto decision = entry["decision"].as_string();
  auto line = fmt::format("{} {}: {}", entry["action"].as_string(), entry["object"].as_string(), decision == "blocked" ? "BLOCKED" : decision == "held" ? "HELD" : decision);
  if (const auto rules = joined(entry["rules"]); !rules.empty()) line += ", rule " + rules;
  if (const auto approval = entry["approval"].as_string(); !approval.empty()) line += fmt::format(", approval {}", approval);
  if (const auto reason = entry["reason"].as_string(); !reason.empty()) line += fmt::format(" ({})", reason);
  return line;
}

std::string outcome_line(const json::Value& entry) {
  auto line = fmt::format("  {} in {:.1f} ms, {} bytes", entry["result"].as_string(), static_cast<double>(entry["duration_ns"].as_int()) / 1e6, entry["bytes"].as_int());
  if (const auto items = entry["items"].as_int(); items != 0) line += fmt::format(", {} items", items);
  if (const auto masked = joined(entry["masked"]); !masked.empty()) line += ", masked " + masked;
  if (const auto error = entry["error"].as_string(); !error.empty()) line += fmt::format(": {}", error);
  return line;
}

std::string approval_line(const json::Value& entry) {
  const auto kind = entry["kind"].as_string();
  auto line = fmt::format("  {} {}", kind, entry["approval"].as_string());
  if (const auto approver = entry["approver"].as_string(); !approver.empty()) line += fmt::format(" by {}", approver);
  if (const auto quorum = entry["quorum"].as_int(); quorum != 0 && kind == "approval.requested") line += fmt::format(", {} needed", quorum);
  if (const auto reason = entry["reason"].as_string(); !reason.empty()) line += fmt::format(": {}", reason);
  return line;
}

/// One entry of a session in a line or two.
void print_step(const json::Value& entry) {
  const auto kind = entry["kind"].as_string();
  const auto line = kind == "session.open"            ? open_line(entry)
                    : kind == "command"               ? command_line(entry)
                    : kind == "outcome"               ? outcome_line(entry)
                    : kind == "session.close"         ? fmt::format("session closed: {}", entry["reason"].as_string())
                    : kind.starts_with("approval.")   ? approval_line(entry)
                                                      : std::string(kind);
  fmt::print("{:>8}  {}  {}\n", entry["index"].as_int(), evidence::utc_milliseconds(entry["wall_ns"].as_int()), printable(line));
}

int session_steps(const Options& options, bool with_payload) {
  const auto source = source_of(options);
  if (!source) return exit_code::kUsage;
  // Statements and results are what a database session is about: they are shown also where the whole payload is not.
  bool sql = false;
  int code = exit_code::kDone;
  std::int64_t before = 0;
  const int read = source->entries(options.id, [&](const json::Value& entry) {
    if (entry["kind"].as_string() == "session.open") sql = entry["protocol"].as_string() == "postgresql";
    std::string text;
    if ((with_payload || sql) && entry["payload"].valid() && entry["session"].valid()) {
      auto payload = source->payload(entry);
      if (!payload) code = exit_code::kError;
      text = payload ? *payload : "[" + payload.error().what + "]";
      if (payload && sql) text = entry["kind"].as_string() == "command" ? statement_text(*payload) : result_tables(*payload, with_payload ? 0 : kRowsShown);
    }
    const auto wall = entry["wall_ns"].as_int();
    if (options.speed > 0 && before != 0) {
      std::fflush(stdout);
      std::this_thread::sleep_for(std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(std::max<std::int64_t>(wall - before, 0)) / options.speed)));
    }
    before = wall;
    if (options.json) {
      std::string line(entry.raw());
      if (!text.empty()) line.insert(line.size() - 1, ",\"text\":" + json::quote(text));
      fmt::print("{}\n", line);
    } else {
      print_step(entry);
      print_indented(text);
    }
    return true;
  });
  return read == exit_code::kDone ? code : read;
}

}  // namespace

void add_session_commands(CLI::App& app, int& exit) {
  const auto options = std::make_shared<Options>();
  const auto common = [&](CLI::App* command) {
    command->add_option("-d,--dir", options->directory, "Evidence directory");
    command->add_option("-c,--config", options->config, "Configuration file that names it");
    command->add_option("--url", options->client.url, "Admin address of the gateway, without a directory (else SALLYPORT_URL)");
    command->add_option("--ca", options->client.ca, "PEM file to trust (else SALLYPORT_CA)");
    command->add_option("--token-file", options->client.token_file, "File that holds the token (else SALLYPORT_TOKEN, SALLYPORT_TOKEN_FILE)");
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
}

}  // namespace sallyport::cli
