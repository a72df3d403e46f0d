// The section `roles` of the configuration: which groups have which role at the admin listener (docs/identity.md).
#include "cli/config_roles.h"

#include <algorithm>

#include "cli/config_reader.h"

namespace sallyport::cli {

void ConfigReader::roles(const yaml::Node& node, admin::RoleGroups& out) {
  yaml::Mapping fields(node, diagnostics_, "roles");
  if (!fields.valid()) return;
  // Absent is everybody, an empty list is nobody.
  if (fields.get("engineer") != nullptr) fields.strings("engineer", out.engineer.emplace());
  if (fields.get("approver") != nullptr) fields.strings("approver", out.approver.emplace());
  fields.strings("policy_admin", out.policy_admin);
  fields.strings("auditor", out.auditor);
  fields.strings("payload_reader", out.payload_reader);
}

std::vector<std::string> role_warnings(const Config& config) {
  std::vector<std::string> out;
  const auto& roles = config.roles;
  for (const auto& [name, user] : config.identity.users) {
    const auto has = [&](const std::vector<std::string>& groups) {
      return std::ranges::any_of(groups, [&](const auto& group) { return std::ranges::find(user.groups, group) != user.groups.end(); });
    };
    std::string also;
    for (const auto& [role, groups] : {std::pair{"approver", roles.approver ? *roles.approver : std::vector<std::string>{}}, {"policy_admin", roles.policy_admin}, {"evidence.keepers", roles.keepers}})
      if (has(groups)) also += (also.empty() ? "" : " and ") + std::string(role);
    if (has(roles.auditor) && !also.empty()) out.push_back("user " + name + " is auditor and " + also + ": as an auditor they change nothing");
    else if (has(roles.policy_admin) && has(roles.payload_reader)) out.push_back("user " + name + " is policy_admin and payload_reader: who writes the rules reads what is done under them");
    if (user.service && (has(roles.policy_admin) || (roles.approver && has(*roles.approver)))) out.push_back("user " + name + " is a service: services are never approver or policy_admin");
  }
  return out;
}

}  // namespace sallyport::cli
