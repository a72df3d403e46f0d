#include "admin/roles.h"

#include <algorithm>
#include <initializer_list>

namespace sallyport::admin {
namespace {

using enum Permission;

struct Role {
  const char* name;
  std::initializer_list<Permission> may;
};

constexpr Role kEngineer{"engineer", {OwnRequests, OwnTokens, AskAccess}};
constexpr Role kApprover{"approver", {OwnRequests, OwnTokens, Vote}};
constexpr Role kPolicyAdmin{"policy_admin", {OwnTokens, TokensRead, TokensRevoke, GrantsRevoke, UsersRead, ConfigRead, ConfigReload, ToolsRead, ToolsReview}};
constexpr Role kAuditor{"auditor", {OwnRequests, OwnTokens, RequestsRead, EvidenceRead, SessionsRead, PayloadRead, HoldsRead, ConfigRead, ToolsRead}};
constexpr Role kPayloadReader{"payload_reader", {OwnTokens, SessionsRead, PayloadRead}};
constexpr Role kLogReader{"log_reader", {OwnTokens, OwnRequests, EvidenceRead}};
constexpr Role kKeeper{"keeper", {OwnTokens, HoldsRead, EvidenceKeep}};

/// What changes something. An end to a sign-in of one's own is none: who lost a laptop must be able to.
constexpr Permission kChanging[] = {AskAccess, Vote, TokensRevoke, GrantsRevoke, ConfigReload, EvidenceKeep, ToolsReview};

bool in_any(const identity::Principal& who, const std::vector<std::string>& groups) {
  return std::ranges::any_of(groups, [&](const std::string& group) { return who.in_group(group); });
}

}  // namespace

const char* to_string(Permission permission) {
  switch (permission) {
    case Open: return "none";
    case OwnIdentity: return "own.identity";
    case OwnRequests: return "own.requests";
    case OwnTokens: return "own.tokens";
    case AskAccess: return "access.ask";
    case Vote: return "requests.vote";
    case TokensRead: return "tokens.read";
    case TokensRevoke: return "tokens.revoke";
    case GrantsRevoke: return "grants.revoke";
    case UsersRead: return "users.read";
    case ConfigRead: return "config.read";
    case ConfigReload: return "config.reload";
    case RequestsRead: return "requests.read";
    case EvidenceRead: return "evidence.read";
    case SessionsRead: return "sessions.read";
    case PayloadRead: return "payload.read";
    case HoldsRead: return "holds.read";
    case EvidenceKeep: return "evidence.keep";
    case ToolsRead: return "tools.read";
    case ToolsReview: return "tools.review";
  }
  return "";
}

const char* role_of(Permission permission) {
  if (permission == Open) return "";
  if (permission == OwnIdentity) return "everybody";
  for (const auto* role : {&kEngineer, &kApprover, &kPolicyAdmin, &kKeeper, &kAuditor})
    if (std::ranges::find(role->may, permission) != role->may.end()) return role->name;
  return "";
}

Standing standing_of(const identity::Principal& who, const RoleGroups& groups) {
  Standing out;
  out.powers.add(OwnIdentity);
  const auto give = [&](const Role& role, bool has) {
    if (!has) return;
    out.roles.emplace_back(role.name);
    for (const auto permission : role.may) out.powers.add(permission);
  };
  give(kEngineer, !groups.engineer || in_any(who, *groups.engineer));
  // An agent acts for somebody and is steered by what it reads: it gets what that person does day by day, and no office of theirs.
  if (!who.agent.empty()) {
    out.powers.drop(OwnTokens);
    return out;
  }
  give(kApprover, !who.service && (!groups.approver || in_any(who, *groups.approver)));
  const bool admin = !who.service && in_any(who, groups.policy_admin), auditor = in_any(who, groups.auditor), payloads = in_any(who, groups.payload_reader);
  give(kPolicyAdmin, admin);
  give(kAuditor, auditor);
  give(kLogReader, in_any(who, groups.log_readers));
  give(kKeeper, in_any(who, groups.keepers));
  // Whoever writes the rules does not also read what people do under them; a machine reads entries, not contents.
  if (admin || who.service) out.powers.drop(PayloadRead);
  give(kPayloadReader, payloads);
  if (auditor)
    for (const auto permission : kChanging) out.powers.drop(permission);
  return out;
}

std::string why_not(const identity::Principal& who, const std::vector<std::string>& roles, Permission permission) {
  const bool changing = std::ranges::find(kChanging, permission) != std::end(kChanging);
  if (changing && std::ranges::find(roles, "auditor") != roles.end()) return "an auditor changes nothing; somebody else must do it";
  if (who.is_agent() && permission == Vote) return "agents and services may not vote; sign in as yourself";
  if (who.is_agent() && permission != EvidenceKeep) return std::string("agents and services do not get ") + to_string(permission) + "; sign in as yourself";
  const std::string role = role_of(permission);
  return std::string("that needs ") + to_string(permission) + ", which the groups of " + (role == "keeper" ? "evidence.keepers" : "roles." + role) + " have; see roles in docs/identity.md";
}

}  // namespace sallyport::admin
