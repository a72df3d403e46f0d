#pragma once
// Roles and what they may do at the admin listener: one table (roles.cpp), judged for each request against the groups that the person has
// now. A route names the one permission it needs; a handler may ask for further ones to show more. Pure, any thread.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "identity/principal.h"

namespace sallyport::admin {

enum class Permission : std::uint8_t {
  Open,          // no sign-in
  OwnIdentity,   // who am I: everybody with a token
  OwnRequests,   // requests of one's own, and their receipts
  OwnTokens,     // sign-ins of one's own, and their end
  AskAccess,     // ask for access, give it back
  Vote,          // see and decide requests that one's groups may decide; the rule's group still says which
  TokensRead,    // everybody's sign-ins
  TokensRevoke,
  GrantsRevoke,  // end somebody's access
  UsersRead,
  ConfigRead,    // the running configuration, applied policies by digest
  ConfigReload,
  RequestsRead,  // everybody's requests
  EvidenceRead,  // the log, and everybody's receipts
  SessionsRead,  // sessions and their entries
  PayloadRead,   // what was sent and answered in them
  HoldsRead,
  EvidenceKeep,  // erase, hold, release, prune
  ToolsRead,     // what is pinned of targets' tools, and what waits for a review
  ToolsReview,   // accept or reject it
};
constexpr std::size_t kPermissions = static_cast<std::size_t>(Permission::ToolsReview) + 1;
/// "evidence.read"; as docs/admin-api.md and the API's description name it.
const char* to_string(Permission permission);
/// The role it comes with first; "" for Open. "engineer", "approver", "policy_admin", "auditor", "keeper".
const char* role_of(Permission permission);

/// A set of permissions.
class Powers {
 public:
  Powers& add(Permission permission) { bits_ |= bit(permission); return *this; }
  Powers& add(Powers other) { bits_ |= other.bits_; return *this; }
  Powers& drop(Permission permission) { bits_ &= ~bit(permission); return *this; }
  bool has(Permission permission) const { return permission == Permission::Open || (bits_ & bit(permission)) != 0; }

 private:
  static std::uint32_t bit(Permission permission) { return std::uint32_t{1} << static_cast<unsigned>(permission); }
  std::uint32_t bits_ = 0;
};

/// Whose members have a role: `roles:`, and the two lists of `evidence:`. No list: engineer and approver everybody, the others nobody.
struct RoleGroups {
  std::optional<std::vector<std::string>> engineer, approver;
  std::vector<std::string> policy_admin, auditor, payload_reader;
  std::vector<std::string> log_readers, keepers;
  bool operator==(const RoleGroups&) const = default;
};

/// What somebody may do, and under which roles ("engineer", …). An auditor changes nothing, whatever else they are. Agents are engineers
/// at most; services never vote and never administer.
struct Standing {
  Powers powers;
  std::vector<std::string> roles;
};
Standing standing_of(const identity::Principal& who, const RoleGroups& groups);

/// Why somebody lacks a permission, in words for them.
std::string why_not(const identity::Principal& who, const std::vector<std::string>& roles, Permission permission);

}  // namespace sallyport::admin
