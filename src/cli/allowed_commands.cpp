#include "cli/allowed_commands.h"

#include <fmt/format.h>

#include "cli/client.h"

namespace sallyport::cli {
namespace {

struct Options {
  ClientOptions client;
  std::string id;
  bool json = false;
};

bool is_plain(const std::string& text) {
  return !text.empty() && text.size() <= 64 && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == std::string::npos;
}

std::string joined(const json::Value& list) {
  std::string out;
  for (const auto one : list) out += (out.empty() ? "" : " ") + printable(one.as_string());
  return out;
}

int list_consents(const Options& options) {
  auto reply = Client(options.client).request("GET", "/api/consents", "", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  const auto consents = reply->body.root()["consents"];
  if (options.json) {
    fmt::print("{}\n", consents.raw());
    return exit_code::kDone;
  }
  fmt::print("{:<26} {:<20} {:<24} {:<40} {:<40} {}\n", "ID", "SINCE", "NAME", "PROGRAM", "RESOURCE", "SCOPES");
  for (const auto one : consents) {
    const auto text = [&](const char* name) { return printable(one[name].as_string()); };
    fmt::print("{:<26} {:<20} {:<24} {:<40} {:<40} {}\n", text("id"), text("created"), text("name"), text("client"), text("resource"), joined(one["scopes"]));
  }
  return exit_code::kDone;
}

int list_connections(const Options& options) {
  auto reply = Client(options.client).request("GET", "/api/connections", "", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  const auto connections = reply->body.root()["connections"];
  if (options.json) {
    fmt::print("{}\n", connections.raw());
    return exit_code::kDone;
  }
  fmt::print("{:<30} {:<20} {:<20} {}\n", "TARGET", "SINCE", "RENEWED", "SCOPES");
  for (const auto one : connections) {
    const auto text = [&](const char* name) { return printable(one[name].as_string()); };
    fmt::print("{:<30} {:<20} {:<20} {}\n", text("target"), text("created"), text("changed"), text("scopes"));
  }
  return exit_code::kDone;
}

/// One of a list, by what the list calls it.
int end(const Options& options, const std::string& where) {
  if (!is_plain(options.id)) {
    fmt::print(stderr, "sallyport: \"{}\" is none of that list\n", printable(options.id));
    return exit_code::kUsage;
  }
  auto reply = Client(options.client).request("DELETE", where + options.id, "", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  if (options.json) fmt::print("{}\n", reply->body.root().raw());
  else fmt::print(stderr, "{} ended\n", reply->body.root()["ended"].as_int());
  return exit_code::kDone;
}

}  // namespace

void add_allowed_commands(CLI::App& app, int& exit) {
  const auto options = std::make_shared<Options>();
  const auto command = [&](CLI::App* group, const char* name, const char* about) {
    auto* out = group->add_subcommand(name, about);
    out->add_option("--url", options->client.url, "Admin address of the gateway (else SALLYPORT_URL)");
    out->add_option("--ca", options->client.ca, "PEM file to trust (else SALLYPORT_CA)");
    out->add_option("--token-file", options->client.token_file, "File that holds the token (else SALLYPORT_TOKEN, SALLYPORT_TOKEN_FILE, the one of sallyport login)");
    out->add_flag("--json", options->json, "JSON");
    return out;
  };
  auto* consents = app.add_subcommand("consents", "Programs that you allowed to act for you at the MCP door");
  consents->require_subcommand(1);
  command(consents, "ls", "List them")->callback([options, &exit] { exit = list_consents(*options); });
  auto* withdraw = command(consents, "revoke", "Take one back, with every token of that program");
  withdraw->add_option("id", options->id, "cns_…")->required();
  withdraw->callback([options, &exit] { exit = end(*options, "/api/consents/"); });
  auto* connections = app.add_subcommand("connections", "Your accounts at targets");
  connections->require_subcommand(1);
  command(connections, "ls", "List them")->callback([options, &exit] { exit = list_connections(*options); });
  auto* disconnect = command(connections, "end", "End one; the target's server is told if it says where");
  disconnect->add_option("target", options->id, "The target's name")->required();
  disconnect->callback([options, &exit] { exit = end(*options, "/api/connections/"); });
}

}  // namespace sallyport::cli
