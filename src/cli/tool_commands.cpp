// `sallyport mcp tools|review`: what is pinned of a target's tools, what has changed, and whether it is accepted.
#include "cli/client.h"
#include "cli/command.h"

namespace sallyport::cli {
namespace {

struct Options {
  ClientOptions client;
  std::string target, tool, kind, reason;
  bool accept = false, reject = false, all = false, json = false;
};
using OptionsPtr = std::shared_ptr<Options>;

int usage(const std::string& what) {
  fmt::print(stderr, "sallyport: {}\n", printable(what));
  return exit_code::kUsage;
}

/// It goes into a path: nothing but what names of targets are made of.
bool is_target(const std::string& name) {
  return !name.empty() && name.size() <= 64 && name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == std::string::npos && name != "." && name != "..";
}

std::string state_of(const json::Value& tool) {
  std::string out(tool["state"].as_string());
  if (!tool["why"].as_string().empty()) out += " (" + std::string(tool["why"].as_string()) + (tool["of"].as_string().empty() ? "" : " from " + std::string(tool["of"].as_string())) + ")";
  return printable(out);
}

int tools(const Options& options) {
  if (!is_target(options.target)) return usage("\"" + options.target + "\" is no name of a target");
  auto reply = Client(options.client).request("GET", "/api/mcp/" + options.target + "/tools", "", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  const auto all = reply->body.root()["tools"];
  if (options.json) {
    fmt::print("{}\n", all.raw());
    return exit_code::kDone;
  }
  constexpr auto kRow = "{:<9} {:<32} {:<26} {:<21} {:<17} {}\n";
  fmt::print(kRow, "KIND", "NAME", "STATE", "TRUSTED SINCE", "DIGEST", "BY");
  for (const auto tool : all) {
    const auto by = tool["accepted_by"].as_string();
    fmt::print(kRow, tool["kind"].as_string(), printable(tool["name"].as_string()), state_of(tool), tool["accepted"].is_string() ? printable(tool["accepted"].as_string()) : "-",
               printable(tool["digest"].as_string().substr(0, 16)), !tool["accepted"].is_string() ? "-" : by.empty() ? "first sight" : printable(by));
    for (const auto one : tool["unchecked"]) fmt::print("{:<9} not judged: {}\n", "", printable(one.as_string()));
  }
  return exit_code::kDone;
}

void print_change(const json::Value& tool) {
  fmt::print("{} {}: {}\n", tool["kind"].as_string(), printable(tool["name"].as_string()), state_of(tool));
  for (const auto finding : tool["findings"])
    fmt::print("  ! {}{} at {}: {}\n", finding["grave"].as_bool() ? "" : "(note) ", printable(finding["kind"].as_string()), printable(finding["place"].as_string()), printable(finding["shown"].as_string()));
  for (const auto change : tool["changes"]) {
    fmt::print("  {}\n", printable(change["place"].as_string()));
    for (const auto line : change["lines"]) fmt::print("    {}\n", printable(line.as_string()));
  }
  fmt::print("\n");
}

int decide(const Options& options, Client& client, const json::Value& tool) {
  const auto body = fmt::format(R"({{"kind":{},"name":{},"digest":{},"accept":{},"reason":{}}})", tool["kind"].raw(), tool["name"].raw(), tool["digest"].raw(), options.accept, json::quote(options.reason));
  auto reply = client.request("POST", "/api/mcp/" + options.target + "/review", body, true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  if (!options.json) fmt::print("{} {} is {}\n", tool["kind"].as_string(), printable(tool["name"].as_string()), printable(reply->body.root()["state"].as_string()));
  return exit_code::kDone;
}

/// Shows what waits; with --accept or --reject decides just what was shown by then.
int review(const Options& options) {
  if (!is_target(options.target)) return usage("\"" + options.target + "\" is no name of a target");
  if (options.accept && options.reject) return usage("--accept or --reject, not both");
  if (!options.kind.empty() && options.kind != "tool" && options.kind != "prompt" && options.kind != "template") return usage("--kind is tool, prompt or template");
  Client client(options.client);
  auto reply = client.request("GET", "/api/mcp/" + options.target + "/review" + (options.all || !options.tool.empty() ? "?all=true" : ""), "", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  std::vector<json::Value> chosen;
  for (const auto tool : reply->body.root()["tools"])
    if ((options.tool.empty() || tool["name"].as_string() == options.tool) && (options.kind.empty() || tool["kind"].as_string() == options.kind)) chosen.push_back(tool);
  if (options.json) {
    std::string items;
    for (const auto& tool : chosen) items.append(items.empty() ? "" : ",").append(tool.raw());
    fmt::print("[{}]\n", items);
  } else {
    for (const auto& tool : chosen) print_change(tool);
  }
  if (chosen.empty()) {
    fmt::print(stderr, "nothing waits for a review{}\n", options.tool.empty() ? "" : " under that name");
    return options.tool.empty() ? exit_code::kDone : exit_code::kNotFound;
  }
  if (!options.accept && !options.reject) return exit_code::kPending;
  for (const auto& tool : chosen)
    if (const int code = decide(options, client, tool); code != exit_code::kDone) return code;
  return exit_code::kDone;
}

void common(CLI::App* command, const OptionsPtr& options) {
  command->add_option("target", options->target, "Name of the target")->required();
  command->add_option("--url", options->client.url, "Admin address of the gateway (else SALLYPORT_URL)");
  command->add_option("--ca", options->client.ca, "PEM file to trust (else SALLYPORT_CA)");
  command->add_option("--token-file", options->client.token_file, "File that holds the token (else SALLYPORT_TOKEN, SALLYPORT_TOKEN_FILE)");
  command->add_flag("--json", options->json, "JSON");
}

}  // namespace

void add_tool_commands(CLI::App& mcp, int& exit) {
  const auto options = std::make_shared<Options>();
  auto* listed = mcp.add_subcommand("tools", "What is known of a target's tools");
  common(listed, options);
  listed->callback([options, &exit] { exit = tools(*options); });
  auto* looked = mcp.add_subcommand("review", "What has changed; exit 0 when nothing waits or all was decided, 6 when something waits");
  common(looked, options);
  looked->add_option("--tool", options->tool, "Only this name; rejected ones too");
  looked->add_option("--kind", options->kind, "Only tool, prompt or template");
  looked->add_flag("--all", options->all, "Rejected ones too");
  looked->add_flag("--accept", options->accept, "Trust what is shown");
  looked->add_flag("--reject", options->reject, "Do not; what was trusted before may come back");
  looked->add_option("--reason", options->reason, "Kept in the record");
  looked->callback([options, &exit] { exit = review(*options); });
}

}  // namespace sallyport::cli
