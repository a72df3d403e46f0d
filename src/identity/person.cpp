#include "identity/person.h"

#include <algorithm>

namespace sallyport::identity {

std::vector<std::string> with_nested(std::vector<std::string> groups, const IdentityConfig& config) {
  const auto has = [&](const std::string& group) { return std::ranges::find(groups, group) != groups.end(); };
  for (bool more = !config.nested_groups.empty(); more;) {
    more = false;
    for (const auto& [outer, inner] : config.nested_groups) {
      if (has(outer) || std::ranges::none_of(inner, has)) continue;
      groups.push_back(outer);
      more = true;
    }
  }
  std::ranges::sort(groups);
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

Judged<std::vector<std::string>> effective_groups(std::vector<std::string> given, const std::string& agent, const IdentityConfig& config) {
  auto groups = with_nested(std::move(given), config);
  if (agent.empty() || config.agents.empty()) return groups;
  const auto known = config.agents.find(agent);
  if (known == config.agents.end()) return std::unexpected(Reason::UnknownAgent);
  const auto in = [](const std::vector<std::string>& list) {
    return [&list](const std::string& group) { return std::ranges::find(list, group) != list.end(); };
  };
  const auto& terms = known->second;
  if (!terms.people.empty() && std::ranges::none_of(groups, in(terms.people))) return std::unexpected(Reason::UnknownAgent);
  if (!terms.groups.empty()) std::erase_if(groups, std::not_fn(in(terms.groups)));
  return groups;
}

}  // namespace sallyport::identity
