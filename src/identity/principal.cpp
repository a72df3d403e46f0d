#include "identity/principal.h"

#include <algorithm>

namespace sallyport::identity {

const char* to_string(Door door) {
  switch (door) {
    case Door::Any: return "any";
    case Door::Api: return "api";
    case Door::Mcp: return "mcp";
    case Door::Database: return "database";
  }
  return "unknown";
}

bool parse_door(std::string_view name, Door& out) {
  for (const auto door : {Door::Any, Door::Api, Door::Mcp, Door::Database}) {
    if (name != to_string(door)) continue;
    out = door;
    return true;
  }
  return false;
}

bool Principal::in_group(std::string_view group) const { return std::ranges::find(groups, group) != groups.end(); }

bool Principal::has_scope(std::string_view scope) const { return !scoped || std::ranges::find(scopes, scope) != scopes.end(); }

std::string Principal::display() const { return agent.empty() ? subject : "agent " + agent + " on behalf of " + subject; }

}  // namespace sallyport::identity
