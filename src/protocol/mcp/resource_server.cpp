#include "protocol/mcp/resource_server.h"

#include <algorithm>

#include "identity/scope.h"

namespace sallyport::protocol::mcp {

namespace {

constexpr std::string_view kWellKnown = "/.well-known/oauth-protected-resource";
constexpr std::string_view kDoor = "/mcp";

/// What may be a target's name: anything else is echoed nowhere.
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  });
}

std::string_view path_of(std::string_view request_target) { return request_target.substr(0, request_target.find('?')); }

bool fits(std::string_view pattern, std::string_view name) {
  return pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1)) : pattern == name;
}

std::string list(const std::vector<std::string>& items) {
  std::string out;
  for (const auto& one : items) out += (out.empty() ? "" : ",") + json::quote(one);
  return "[" + out + "]";
}

}  // namespace

bool ResourceServer::is_metadata(std::string_view request_target) {
  const auto path = path_of(request_target);
  return path == kWellKnown || (path.starts_with(kWellKnown) && path[kWellKnown.size()] == '/');
}

std::optional<std::string> ResourceServer::metadata(std::string_view request_target) const {
  const auto path = path_of(request_target).substr(kWellKnown.size());
  const bool target = path.starts_with(std::string(kDoor) + "/") && is_name(path.substr(kDoor.size() + 1));
  if (!path.empty() && path != kDoor && !target) return std::nullopt;
  std::string out = fmt::format(R"({{"resource":{})", json::quote(options_.public_url + std::string(path)));
  if (!options_.authorization_servers.empty()) out += R"(,"authorization_servers":)" + list(options_.authorization_servers);
  return out + fmt::format(R"(,"scopes_supported":{},"bearer_methods_supported":["header"],"resource_name":"Sallyport"}})", list(options_.scopes));
}

bool ResourceServer::has_token_in_query(std::string_view request_target) {
  const auto at = request_target.find('?');
  if (at == std::string_view::npos) return false;
  auto rest = request_target.substr(at + 1);
  while (!rest.empty()) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    // A name in another spelling is percent-encoded: none of ours is.
    if (const auto name = pair.substr(0, pair.find('=')); name == "access_token" || name.find('%') != std::string_view::npos) return true;
  }
  return false;
}

std::string ResourceServer::resource_of(std::string_view target) const {
  return options_.public_url + std::string(kDoor) + (target.empty() ? "" : "/" + std::string(target));
}

std::string ResourceServer::metadata_url(std::string_view target) const {
  return options_.public_url + std::string(kWellKnown) + std::string(kDoor) + (is_name(target) ? "/" + std::string(target) : "");
}

std::string ResourceServer::challenge(std::string_view target, bool presented) const {
  const auto error = presented ? R"(error="invalid_token", error_description="the token is not good here", )" : "";
  return fmt::format(R"(Bearer realm="sallyport", {}resource_metadata="{}", scope="{}")", error, metadata_url(target), kDoorScope);
}

std::string ResourceServer::step_up(std::string_view target, const std::vector<std::string>& scopes) const {
  return fmt::format(R"(Bearer realm="sallyport", error="insufficient_scope", scope="{}", resource_metadata="{}")", identity::scopes_text(scopes), metadata_url(target));
}

std::vector<std::string> missing_scopes(const identity::Principal& who, const target::ScopeNeeds& needs, const Message& message) {
  if (!who.scoped) return {};
  auto all = needs.use;
  if (message.method == "tools/call")
    for (const auto& [pattern, scopes] : needs.tools)
      if (fits(pattern, message.params["name"].as_string())) all.insert(all.end(), scopes.begin(), scopes.end());
  if (std::ranges::all_of(all, [&](const auto& scope) { return who.has_scope(scope); })) return {};
  return identity::sorted_scopes(std::move(all));
}

std::vector<std::string> known_scopes(const target::Catalog& catalog) {
  std::vector<std::string> out = {std::string(kDoorScope)};
  for (const auto& [name, one] : catalog.targets) {
    const auto* mcp = std::get_if<target::McpTarget>(&one.kind);
    if (mcp == nullptr) continue;
    out.insert(out.end(), mcp->scopes.use.begin(), mcp->scopes.use.end());
    for (const auto& [pattern, scopes] : mcp->scopes.tools) out.insert(out.end(), scopes.begin(), scopes.end());
  }
  return identity::sorted_scopes(std::move(out));
}

}  // namespace sallyport::protocol::mcp
