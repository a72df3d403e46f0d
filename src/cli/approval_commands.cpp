// `sallyport requests`, `request`, `approve`, `deny`, `revoke`, `renew`, `review`: what waits for humans, asking for access, and the
// answers to both.
#include <charconv>

#include "cli/client.h"
#include "cli/command.h"

namespace sallyport::cli {
namespace {

constexpr int kMostListed = 1000;

struct Options {
  ClientOptions client;
  std::string id, reason, state, kind, duration, start, rule;
  std::vector<std::string> targets, labels;
  bool watch = false, all = false, json = false, mine = false, agents = false, unjustified = false;
};
using OptionsPtr = std::shared_ptr<Options>;

/// An id goes into a path: nothing but what ids are made of.
bool is_id(const std::string& id) {
  return !id.empty() && id.size() <= 64 && id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}
bool is_word(const std::string& text) { return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos; }

int usage(const std::string& what) {
  fmt::print(stderr, "sallyport: {}\n", printable(what));
  return exit_code::kUsage;
}
int bad_id(const std::string& id) { return usage("\"" + id + "\" is no request id; sallyport requests lists them"); }

/// "90m", "8h", "2d" in seconds; 0 when it is none.
std::int64_t seconds_of(const std::string& text) {
  std::int64_t count = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const std::int64_t of = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : unit == "d" ? 86'400 : 0;
  return failed == std::errc() && count > 0 && count <= 366 * 86'400 ? count * of : 0;
}

std::string needs(const json::Value& request) {
  std::string out;
  for (const auto term : request["terms"])
    if (term["missing"].as_int() > 0) out += fmt::format("{}{} of {}", out.empty() ? "" : ", ", term["missing"].as_int(), printable(term["group"].as_string()));
  return out.empty() ? "-" : out;
}

std::string target_of(const json::Value& request) {
  std::string out(request["target"].as_string());
  for (const auto name : request["access"]["targets"]) out += (out.empty() ? "" : ",") + std::string(name.as_string());
  for (const auto label : request["access"]["labels"]) out += (out.empty() ? "" : ",") + std::string(label.key()) + "=" + std::string(label.as_string());
  return printable(out);
}

std::string ends_of(const json::Value& request) {
  const auto ends = request["access"]["ends"];
  return printable(ends.is_string() ? ends.as_string() : request["expires"].as_string()) + (request["overdue"].as_bool() ? " OVERDUE" : "");
}

constexpr auto kRow = "{:<26} {:<9} {:<20} {:<28} {:<14} {:<16} {}\n";

void print_row(const json::Value& request) {
  auto command = printable(request["command"].as_string());
  if (command.size() > 100) command = command.substr(0, 97) + "...";
  fmt::print(kRow, printable(request["id"].as_string()), printable(request["state"].as_string()), ends_of(request), printable(request["requester"].as_string()), target_of(request),
             needs(request), command);
}

std::string filter(const Options& options) {
  std::string out = "state=" + (options.all ? "all" : options.state.empty() ? "pending" : options.state) + fmt::format("&limit={}", kMostListed);
  if (!options.kind.empty()) out += "&kind=" + options.kind;
  return out + (options.mine ? "&mine=true" : "");
}

int list(const Options& options) {
  if (!is_word(options.state) || !is_word(options.kind)) return usage("--state and --kind are words");
  Client client(options.client);
  auto reply = client.request("GET", "/api/requests?" + filter(options), "", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  const auto root = reply->body.root();
  if (const auto overdue = root["overdue_reviews"].as_int(); overdue > 0) fmt::print(stderr, "{} reviews of break-glass access are overdue\n", overdue);
  if (options.json) {
    fmt::print("{}\n", root["requests"].raw());
    return exit_code::kDone;
  }
  if (root["requests"].size() == 0) {
    fmt::print(stderr, "nothing waits for you\n");
    return exit_code::kDone;
  }
  fmt::print(kRow, "ID", "STATE", "EXPIRES", "WHO", "TARGET", "NEEDS", "WHAT");
  for (const auto request : root["requests"]) print_row(request);
  return exit_code::kDone;
}

/// Each request once when it appears and once more when its state changes, until interrupted or the gateway goes away.
int watch(const Options& options) {
  if (!is_word(options.state) || !is_word(options.kind)) return usage("--state and --kind are words");
  Client client(options.client);
  std::map<std::string, std::string> known;
  std::int64_t version = 0;
  for (;;) {
    auto reply = client.request("GET", fmt::format("/api/requests/watch?{}&after={}&seconds=50", filter(options), version), "", true, 70);
    if (const int code = explain(reply); code != exit_code::kDone) return code;
    const auto root = reply->body.root();
    version = root["version"].as_int();
    for (const auto request : root["requests"]) {
      const std::string id(request["id"].as_string()), state = std::string(request["state"].as_string()) + needs(request);
      if (std::exchange(known[id], state) == state) continue;
      if (options.json) fmt::print("{}\n", request.raw());
      else print_row(request);
      std::fflush(stdout);
    }
  }
}

int state_code(std::string_view state) {
  if (state == "pending") return exit_code::kPending;
  return state == "granted" || state == "used" || state == "reviewed" ? exit_code::kDone : exit_code::kApprovalDenied;
}

void print_whole(const json::Value& root) {
  for (const auto* key : {"id", "kind", "state", "requester", "agent", "target", "session", "command", "asked_for", "created", "expires", "reason", "request_id", "about"})
    if (!root[key].as_string().empty()) fmt::print("{:<11} {}\n", key, printable(root[key].as_string()));
  if (root["effect"].is_object()) fmt::print("{:<11} {}\n", "effect", printable(root["effect"].raw()));
  if (const auto access = root["access"]; access.is_object()) {
    fmt::print("{:<11} {} for {} s{}{}\n", "access", target_of(root), access["seconds"].as_int(), access["agents"].as_bool() ? ", agents as well" : "",
               access["break_glass"].as_bool() ? ", BREAK-GLASS" : "");
    for (const auto* key : {"start", "begins", "ends"})
      if (access[key].is_string()) fmt::print("{:<11} {}\n", key, printable(access[key].as_string()));
  }
  for (const auto rule : root["rules"]) fmt::print("{:<11} {}\n", "rule", printable(rule.as_string()));
  for (const auto term : root["terms"])
    fmt::print("{:<11} step {}: {} of group {}, {} missing\n", "needs", term["step"].as_int(), term["quorum"].as_int(), printable(term["group"].as_string()), term["missing"].as_int());
  for (const auto vote : root["votes"])
    fmt::print("{:<11} {} {} at {} {}\n", "vote", printable(vote["by"].as_string()), vote["approve"].as_bool() ? "approved" : "denied", printable(vote["at"].as_string()), printable(vote["reason"].as_string()));
  for (const auto one : root["history"])
    fmt::print("{:<11} {} {} {} {}\n", "earlier", printable(one["created"].as_string()), printable(one["id"].as_string()), printable(one["state"].as_string()), printable(one["command"].as_string()));
}

int show(const Options& options) {
  if (!is_id(options.id)) return bad_id(options.id);
  auto reply = Client(options.client).request("GET", "/api/requests/" + options.id, "", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  const auto root = reply->body.root();
  if (options.json) fmt::print("{}\n", root.raw());
  else print_whole(root);
  return state_code(root["state"].as_string());
}

/// What became of it, in a line.
void told(const Options& options, const json::Value& root) {
  if (options.json) return fmt::print("{}\n", root.raw());
  const auto ends = root["access"]["ends"];
  fmt::print("{} is {}{}{}\n", printable(root["id"].as_string()), printable(root["state"].as_string()), needs(root) == "-" ? "" : "; it needs " + needs(root) + " more",
             ends.is_string() && root["state"].as_string() == "granted" ? " until " + printable(ends.as_string()) : "");
}

int post(const Options& options, const std::string& verb, const std::string& more = "") {
  if (!is_id(options.id)) return bad_id(options.id);
  const std::string body = R"({"reason":)" + json::quote(options.reason) + more + "}";
  auto reply = Client(options.client).request("POST", "/api/requests/" + options.id + "/" + verb, body, true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  told(options, reply->body.root());
  return verb == "renew" ? state_code(reply->body.root()["state"].as_string()) : exit_code::kDone;
}

int renew(const Options& options) {
  if (options.duration.empty()) return post(options, "renew");
  const auto seconds = seconds_of(options.duration);
  return seconds == 0 ? usage("--for is a duration such as 30m, 8h or 2d") : post(options, "renew", fmt::format(R"(,"seconds":{})", seconds));
}

int ask(const Options& options) {
  const auto seconds = seconds_of(options.duration);
  if (seconds == 0) return usage("--for is a duration such as 30m, 8h or 2d");
  std::string targets, labels;
  for (const auto& target : options.targets) targets += (targets.empty() ? "" : ",") + json::quote(target);
  for (const auto& label : options.labels) {
    const auto equals = label.find('=');
    if (equals == std::string::npos) return usage("--label is NAME=VALUE");
    labels += fmt::format("{}{}:{}", labels.empty() ? "" : ",", json::quote(label.substr(0, equals)), json::quote(label.substr(equals + 1)));
  }
  if (targets.empty() && labels.empty()) return usage("name what it is for: --target NAME or --label NAME=VALUE");
  const std::string body = fmt::format(R"({{"rule":{},"targets":[{}],"labels":{{{}}},"seconds":{},"start":{},"reason":{},"agents":{}}})", json::quote(options.rule), targets, labels, seconds,
                                       options.start.empty() ? "null" : json::quote(options.start), json::quote(options.reason), options.agents);
  auto reply = Client(options.client).request("POST", "/api/requests", body, true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  told(options, reply->body.root());
  return state_code(reply->body.root()["state"].as_string());
}

void common(CLI::App* command, const OptionsPtr& options) {
  command->add_option("--url", options->client.url, "Admin address of the gateway (else SALLYPORT_URL)");
  command->add_option("--ca", options->client.ca, "PEM file to trust (else SALLYPORT_CA)");
  command->add_option("--token-file", options->client.token_file, "File that holds the token (else SALLYPORT_TOKEN, SALLYPORT_TOKEN_FILE)");
  command->add_flag("--json", options->json, "JSON");
}

CLI::App* on_one(CLI::App& app, const OptionsPtr& options, const char* name, const char* about, const char* reason, bool needed) {
  auto* command = app.add_subcommand(name, about);
  command->add_option("id", options->id, "Request id")->required();
  auto* option = command->add_option("--reason", options->reason, reason);
  if (needed) option->required();
  common(command, options);
  return command;
}

void add_list(CLI::App& app, const OptionsPtr& options, int& exit) {
  auto* requests = app.add_subcommand("requests", "What waits for a human: commands, access, reviews");
  common(requests, options);
  requests->add_flag("--watch", options->watch, "Go on and print what changes");
  requests->add_flag("--all", options->all, "Decided ones too");
  requests->add_flag("--mine", options->mine, "Only those that I made");
  requests->add_option("--state", options->state, "pending, granted, denied, expired, used, withdrawn, ended, revoked or reviewed");
  requests->add_option("--kind", options->kind, "command, access or review");
  auto* shown = requests->add_subcommand("show", "One request; exit 0 granted, used or reviewed, 6 pending, 7 denied, expired, withdrawn, ended or revoked");
  shown->add_option("id", options->id, "Request id")->required();
  common(shown, options);
  shown->callback([options, &exit] { exit = show(*options); });
  requests->callback([options, requests, &exit] {
    if (requests->get_subcommands().empty()) exit = options->watch ? watch(*options) : list(*options);
  });
}

void add_ask(CLI::App& app, const OptionsPtr& options, int& exit) {
  auto* request = app.add_subcommand("request", "Ask for access under a rule; exit 0 when it is granted at once, 6 when it waits");
  request->add_option("--rule", options->rule, "Id of the access rule")->required();
  request->add_option("--target", options->targets, "A target's name; may be repeated");
  request->add_option("--label", options->labels, "NAME=VALUE: the targets with this label; may be repeated, all have to match");
  request->add_option("--for", options->duration, "How long: 30m, 8h, 2d")->required();
  request->add_option("--start", options->start, "When it begins, UTC: 2026-11-21T10:00:00Z (default: when it is granted)");
  request->add_option("--reason", options->reason, "Why; kept in the record");
  request->add_flag("--agents", options->agents, "For the agents that act for me as well");
  common(request, options);
  request->callback([options, &exit] { exit = ask(*options); });
}

}  // namespace

void add_approval_commands(CLI::App& app, int& exit) {
  const auto options = std::make_shared<Options>();
  add_list(app, options, exit);
  add_ask(app, options, exit);
  on_one(app, options, "approve", "Approve a request", "Kept in the record", false)->callback([options, &exit] { exit = post(*options, "approve"); });
  on_one(app, options, "deny", "Deny a request", "Told to the requester and kept in the record", true)->callback([options, &exit] { exit = post(*options, "deny"); });
  on_one(app, options, "revoke", "End access, or take back a request of your own", "Kept in the record", false)->callback([options, &exit] { exit = post(*options, "revoke"); });
  auto* again = on_one(app, options, "renew", "Ask for the same access again, from the end of the old one", "Why; kept in the record", false);
  again->add_option("--for", options->duration, "How long (default: as before)");
  again->callback([options, &exit] { exit = renew(*options); });
  auto* review = on_one(app, options, "review", "Close the review of a break-glass access", "What was found; kept in the record", true);
  review->add_flag("--unjustified", options->unjustified, "It should not have happened: what is left of it ends");
  review->callback([options, &exit] { exit = post(*options, "review", options->unjustified ? R"(,"justified":false)" : R"(,"justified":true)"); });
}

}  // namespace sallyport::cli
