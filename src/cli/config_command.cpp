// An MCP target that is a command: the process, what it gets and what it may (docs/protocols/mcp.md, Transports).
#include <fmt/format.h>

#include "cli/config_reader.h"

namespace sallyport::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

bool is_variable(std::string_view name) {
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
         std::ranges::all_of(name, [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

}  // namespace

void ConfigReader::command(yaml::Mapping& fields, const yaml::Node& node, target::McpTarget& out) {
  auto& command = out.command.emplace();
  fields.strings("command", command.argv);
  for (const auto* key : {"url", "transport", "credential", "ca"})
    if (fields.has(key)) error(node.place, fmt::format("{} is for a server with a url; this one is a command", key));
  if (command.argv.empty() || command.argv.front().empty()) error(fields.get("command")->place, "command is a list, the program first: [node, server.mjs]; no shell reads it");
  // A path stands beside this file like every other; a bare name is looked for in PATH.
  else if (command.argv.front().contains('/')) command.argv.front() = beside(command.argv.front());
  for (const auto& argument : command.argv)
    if (argument.contains('\0')) error(fields.get("command")->place, "an argument holds a zero byte");
  if (const auto* found = fields.get("env")) environment(*found, command);
  fields.string("user", command.user);
  std::string network = "none", pool = "principal";
  fields.one_of("network", network, {"none", "host"});
  command.network = network == "host";
  path(fields, "directory", command.directory);
  fields.one_of("pool", pool, {"session", "principal", "shared"});
  using Pool = target::McpCommand::Pool;
  command.pool = pool == "session" ? Pool::Session : pool == "shared" ? Pool::Shared : Pool::Principal;
  fields.duration("idle", command.idle_ns, 0, 24 * 3600 * kSecond);
  if (const auto* found = fields.get("limits")) limits(*found, command);
}

void ConfigReader::environment(const yaml::Node& node, target::McpCommand& out) {
  if (node.kind != yaml::Node::Kind::Mapping) return error(node.place, "env is a mapping: { HOME: /srv/files, API_KEY: { file: key } }");
  for (const auto& [variable, place, value] : node.members) {
    if (!is_variable(variable)) error(place, "a variable's name is letters, digits and _, and does not begin with a digit");
    // What stands here in clear may be a secret all the same.
    if (value.kind == yaml::Node::Kind::Scalar) {
      diagnostics_.conceal(value.place, value.scalar);
      if (value.scalar.contains('\0')) error(value.place, "a variable's value holds a zero byte");
      out.env[variable] = value.scalar;
    } else {
      secret(value, variable, out.secrets[variable]);
    }
  }
}

void ConfigReader::limits(const yaml::Node& node, target::McpCommand& out) {
  yaml::Mapping fields(node, diagnostics_, "limits");
  if (!fields.valid()) return;
  size(fields, "memory", out.memory, 1u << 20, 1ull << 40);
  std::int64_t cpu = 0, files = static_cast<std::int64_t>(out.files), processes = 0, instances = static_cast<std::int64_t>(out.instances);
  fields.duration("cpu", cpu, kSecond, 365 * 24 * 3600 * kSecond);
  fields.integer("files", files, 8, 1 << 20);
  fields.integer("processes", processes, 1, 1 << 20);
  fields.integer("instances", instances, 1, 10'000);
  out.cpu_seconds = static_cast<std::uint64_t>(cpu / kSecond);
  out.files = static_cast<std::uint64_t>(files);
  out.processes = static_cast<std::uint64_t>(processes);
  out.instances = static_cast<std::size_t>(instances);
}

std::vector<std::string> command_warnings(const Config& config) {
  std::vector<std::string> out;
  for (const auto& [name, target] : config.targets->targets) {
    const auto* mcp = std::get_if<target::McpTarget>(&target.kind);
    if (mcp != nullptr && mcp->command && mcp->command->user.empty())
      out.push_back("target " + name + " is a command without a user: it runs as the gateway's own and can read its keys and its log");
  }
  return out;
}

}  // namespace sallyport::cli
