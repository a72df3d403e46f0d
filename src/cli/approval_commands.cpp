// `sallyport requests`, `approve`, `deny`: what is held, and the answer to it.
#include <unistd.h>

#include <ctime>

#include "cli/client.h"
#include "cli/command.h"

namespace sallyport::cli {
namespace {

struct Options {
  ClientOptions client;
  std::string id, reason;
  bool watch = false, all = false, json = false;
};

/// An id goes into a path: nothing but what ids are made of.
bool is_id(const std::string& id) {
  return !id.empty() && id.size() <= 64 && id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

int bad_id(const std::string& id) {
  fmt::print(stderr, "sallyport: \"{}\" is no request id; sallyport requests lists them\n", printable(id));
  return exit_code::kUsage;
}

std::string needs(const json::Value& request) {
  std::string out;
  for (const auto term : request["terms"])
    if (term["missing"].as_int() > 0) out += fmt::format("{}{} of {}", out.empty() ? "" : ", ", term["missing"].as_int(), printable(term["group"].as_string()));
  return out.empty() ? "-" : out;
}

void print_row(const json::Value& request) {
  auto command = printable(request["command"].as_string());
  if (command.size() > 100) command = command.substr(0, 97) + "...";
  fmt::print("{:<26} {:<9} {:<20} {:<28} {:<14} {:<16} {}\n", printable(request["id"].as_string()), printable(request["state"].as_string()),
             printable(request["expires"].as_string()), printable(request["requester"].as_string()), printable(request["target"].as_string()), needs(request), command);
}

int list(const Options& options) {
  Client client(options.client);
  const std::string state = options.all ? "state=all" : "state=pending";
  auto reply = client.request("GET", "/api/requests?" + state, "", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  const auto root = reply->body.root();
  if (options.json) {
    fmt::print("{}\n", root["requests"].raw());
    return exit_code::kDone;
  }
  if (root["requests"].size() == 0) {
    fmt::print(stderr, "nothing waits for you\n");
    return exit_code::kDone;
  }
  fmt::print("{:<26} {:<9} {:<20} {:<28} {:<14} {:<16} {}\n", "ID", "STATE", "EXPIRES", "WHO", "TARGET", "NEEDS", "COMMAND");
  for (const auto request : root["requests"]) print_row(request);
  return exit_code::kDone;
}

/// Each request once when it appears and once more when its state changes, until interrupted or the gateway goes away.
int watch(const Options& options) {
  Client client(options.client);
  std::map<std::string, std::string> known;
  std::int64_t version = 0;
  for (;;) {
    const auto path = fmt::format("/api/requests/watch?state={}&after={}&seconds=50", options.all ? "all" : "pending", version);
    auto reply = client.request("GET", path, "", true, 70);
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

int show(const Options& options) {
  if (!is_id(options.id)) return bad_id(options.id);
  auto reply = Client(options.client).request("GET", "/api/requests/" + options.id, "", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  const auto root = reply->body.root();
  const auto state = root["state"].as_string();
  if (options.json) {
    fmt::print("{}\n", root.raw());
  } else {
    for (const auto* key : {"id", "state", "requester", "target", "session", "command", "created", "expires", "reason", "request_id"})
      fmt::print("{:<11} {}\n", key, printable(root[key].as_string()));
    for (const auto term : root["terms"])
      fmt::print("{:<11} rule {}: {} of group {}, {} missing\n", "needs", printable(term["rule"].as_string()), term["quorum"].as_int(), printable(term["group"].as_string()), term["missing"].as_int());
    for (const auto vote : root["votes"])
      fmt::print("{:<11} {} {} at {} {}\n", "vote", printable(vote["by"].as_string()), vote["approve"].as_bool() ? "approved" : "denied", printable(vote["at"].as_string()), printable(vote["reason"].as_string()));
  }
  return state == "pending" ? exit_code::kPending : state == "granted" || state == "used" ? exit_code::kDone : exit_code::kApprovalDenied;
}

int vote(const Options& options, bool approve) {
  if (!is_id(options.id)) return bad_id(options.id);
  const std::string body = R"({"reason":)" + json::quote(options.reason) + "}";
  auto reply = Client(options.client).request("POST", "/api/requests/" + options.id + (approve ? "/approve" : "/deny"), body, true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  const auto root = reply->body.root();
  if (options.json) fmt::print("{}\n", root.raw());
  else fmt::print("{} is {}{}\n", printable(root["id"].as_string()), printable(root["state"].as_string()), needs(root) == "-" ? "" : "; it needs " + needs(root) + " more");
  return exit_code::kDone;
}

}  // namespace

void add_approval_commands(CLI::App& app, int& exit) {
  const auto options = std::make_shared<Options>();
  const auto common = [&](CLI::App* command) {
    command->add_option("--url", options->client.url, "Admin address of the gateway (else SALLYPORT_URL)");
    command->add_option("--ca", options->client.ca, "PEM file to trust (else SALLYPORT_CA)");
    command->add_option("--token-file", options->client.token_file, "File that holds the token (else SALLYPORT_TOKEN, SALLYPORT_TOKEN_FILE)");
    command->add_flag("--json", options->json, "JSON");
  };
  auto* requests = app.add_subcommand("requests", "Commands that wait for approval");
  common(requests);
  requests->add_flag("--watch", options->watch, "Go on and print what changes");
  requests->add_flag("--all", options->all, "Decided ones too");
  auto* shown = requests->add_subcommand("show", "One request; exit 0 granted or used, 6 pending, 7 denied, expired or withdrawn");
  shown->add_option("id", options->id, "Request id")->required();
  common(shown);
  shown->callback([options, &exit] { exit = show(*options); });
  requests->callback([options, requests, &exit] {
    if (requests->get_subcommands().empty()) exit = options->watch ? watch(*options) : list(*options);
  });
  auto* approve = app.add_subcommand("approve", "Approve a held command");
  approve->add_option("id", options->id, "Request id")->required();
  approve->add_option("--reason", options->reason, "Kept in the record");
  common(approve);
  approve->callback([options, &exit] { exit = vote(*options, true); });
  auto* deny = app.add_subcommand("deny", "Deny a held command");
  deny->add_option("id", options->id, "Request id")->required();
  deny->add_option("--reason", options->reason, "Told to the requester and kept in the record")->required();
  common(deny);
  deny->callback([options, &exit] { exit = vote(*options, false); });
}

}  // namespace sallyport::cli
