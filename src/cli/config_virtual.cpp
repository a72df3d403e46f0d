// Virtual MCP servers in the configuration: several targets behind one name. Whatever would make two things have one name is
// refused here, as far as it can be known before the servers are asked.
#include <fmt/format.h>

#include <algorithm>

#include "cli/config_reader.h"

namespace sallyport::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kMaxMembers = 32, kMaxPrefix = 32;
constexpr std::string_view kSearch = "search_tools";

bool is_prefix(std::string_view text) {
  return text.size() <= kMaxPrefix && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  });
}

}  // namespace

void ConfigReader::search(const yaml::Node& node, target::ToolSearch& out) {
  yaml::Mapping fields(node, diagnostics_, "search");
  if (!fields.valid()) return;
  std::int64_t over = 50;
  fields.integer("over", over, 1, 10'000);
  out.over = static_cast<std::size_t>(over);
  fields.strings("always", out.always);
}

void ConfigReader::virtual_server(const yaml::Node& target, const yaml::Node& node, target::VirtualServer& out) {
  for (const auto& member : target.members)
    if (member.key != "mcp") error(member.key_place, fmt::format("a virtual server has no {}: policy reads those of its members", member.key));
  yaml::Mapping fields(node, diagnostics_, "a virtual server");
  fields.duration("timeout", out.timeout_ns, kSecond / 10, 60 * kSecond);
  if (const auto* found = fields.get("search")) search(*found, out.search);
  const auto* servers = fields.get("servers");
  if (servers->kind != yaml::Node::Kind::Mapping || servers->members.empty())
    return error(servers->place, "servers is a mapping of members: { tickets: { prefix: \"tickets_\" } }");
  if (servers->members.size() > kMaxMembers) return error(servers->place, fmt::format("at most {} servers stand behind one name", kMaxMembers));
  for (const auto& [key, place, value] : servers->members) {
    name("a member's name", key, place, ".-_", 64);
    target::VirtualMember one{key, key, ""};
    yaml::Mapping member(value, diagnostics_, "a member");
    if (!member.valid()) continue;
    member.string("target", one.target);
    const auto* prefix = member.get("prefix");
    member.string("prefix", one.prefix);
    if (prefix == nullptr && servers->members.size() > 1)
      error(place, fmt::format("{} needs a prefix beside others: {{ prefix: \"{}_\" }}, or {{ prefix: \"\" }} for one whose names stay as they are", key, key));
    if (!is_prefix(one.prefix)) error(prefix->place, fmt::format("a prefix has at most {} letters, digits, '_', '-' and '.'", kMaxPrefix));
    if (out.search.over != 0 && !one.prefix.empty() && kSearch.starts_with(one.prefix))
      error(prefix->place, fmt::format("a tool of {} could have the name {}, which search has; take another prefix", key, kSearch));
    for (const auto& other : out.members) {
      if (other.target == one.target) error(place, fmt::format("the target {} stands here twice, as {} and as {}", one.target, other.name, key));
      // "a_" and "a_b_": a_b_x is "b_x" of one and "x" of the other. A member without any is told apart by the others' prefixes.
      const bool both = !other.prefix.empty() && !one.prefix.empty();
      if (other.prefix == one.prefix && prefix != nullptr)
        error(prefix->place, fmt::format("{} and {} have the prefix \"{}\" both: their names could not be told apart", other.name, key, one.prefix));
      else if (both && (other.prefix.starts_with(one.prefix) || one.prefix.starts_with(other.prefix)))
        error(prefix->place, fmt::format("the prefixes \"{}\" of {} and \"{}\" of {} begin alike, so that one name could be of either; take \"{}_\" and \"{}_\"",
                                         other.prefix, other.name, one.prefix, key, other.name, key));
    }
    out.members.push_back(std::move(one));
  }
  const auto* search = node.find("search");
  const auto* always = search == nullptr ? nullptr : search->find("always");
  for (std::size_t i = 0; always != nullptr && i < out.search.always.size() && i < always->items.size(); ++i) {
    const bool known = std::ranges::any_of(out.members, [&](const auto& one) { return out.search.always[i].starts_with(one.prefix); });
    if (!known) error(always->items[i].place, fmt::format("{} begins with the prefix of no member", out.search.always[i]));
  }
}

void ConfigReader::members(const yaml::Node& targets, const target::Catalog& catalog) {
  std::vector<std::string> names;
  for (const auto& [name, one] : catalog.targets)
    if (std::holds_alternative<target::McpTarget>(one.kind)) names.push_back(name);
  for (const auto& target : targets.members) {
    const auto* mcp = target.value.find("mcp");
    const auto* servers = mcp == nullptr ? nullptr : mcp->find("servers");
    if (servers == nullptr) continue;
    for (const auto& [key, place, value] : servers->members) {
      const auto* found = value.find("target");
      const auto& wanted = found == nullptr ? key : found->scalar;
      const auto at = found == nullptr ? place : found->place;
      if (const auto* one = catalog.find(wanted); one != nullptr) {
        if (!std::holds_alternative<target::McpTarget>(one->kind)) error(at, fmt::format("the target {} is no MCP server", wanted));
      } else if (catalog.find_virtual(wanted) != nullptr) {
        error(at, fmt::format("{} is a virtual server itself; name its members here", wanted));
      } else {
        const auto near = yaml::nearest(wanted, names);
        error(at, fmt::format("there is no target {}{}", wanted, near.empty() ? "; a member names one by { target: NAME }" : "; did you mean " + near + "?"));
      }
    }
  }
}

/// `mcp: { database: … }` names a database target, and one of its databases.
void ConfigReader::databases(const yaml::Node& targets, const target::Catalog& catalog) {
  std::vector<std::string> names;
  for (const auto& [name, one] : catalog.targets)
    if (std::holds_alternative<target::PostgresTarget>(one.kind)) names.push_back(name);
  for (const auto& [name, one] : catalog.targets) {
    const auto* mcp = std::get_if<target::McpTarget>(&one.kind);
    if (mcp == nullptr || !mcp->database) continue;
    const auto& tools = *mcp->database;
    const auto* node = targets.find(name)->find("mcp")->find("database");
    const auto* found = node->find("target");
    const auto* other = catalog.find(tools.target);
    const auto* server = other == nullptr ? nullptr : std::get_if<target::PostgresTarget>(&other->kind);
    if (server == nullptr) {
      const auto near = yaml::nearest(tools.target, names);
      error(found == nullptr ? node->place : found->place, fmt::format("{} is no postgres target{}", tools.target, near.empty() ? "" : "; did you mean " + near + "?"));
    } else if (!tools.name.empty() && tools.name != server->database && std::ranges::find(server->databases, tools.name) == server->databases.end()) {
      error(node->find("name")->place, fmt::format("{} is not one of the databases of {}", tools.name, tools.target));
    }
  }
}

}  // namespace sallyport::cli
