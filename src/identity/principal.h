#pragma once
// Who asks: the outcome of authentication, made once per credential and shared, immutable, by every session that
// uses it. Any thread may read it.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace sallyport::identity {

/// Where a credential is good. Any is what `token issue` gives and what a provider's JWT is good for.
enum class Door : std::uint8_t { Any, Api, Mcp, Database };
const char* to_string(Door door);
/// False when there is no door of that name.
bool parse_door(std::string_view name, Door& out);

struct Principal {
  std::string subject;                 // stable name at the issuer ("alice", or an OIDC `sub` / configured claim)
  std::string issuer;                  // OIDC issuer URL, or "local"
  std::string email, display_name;     // may be empty
  std::vector<std::string> groups;     // sorted, unique; with what they are nested in, as effective now
  std::vector<std::string> given_groups;  // as the credential itself says (a JWT's claim); empty where the directory says
  std::string agent;                   // RFC 8693 `act.sub`: "agent X on behalf of subject"; "" for a person
  bool service = false;                // a machine of its own: never an approver
  std::string method;                  // how it proved itself: "oidc" (a provider's JWT), "token", "certificate", "break-glass", …
  Door door = Door::Any;               // where it is good
  std::string resource;                // RFC 8707: good at this address and below it only; "" = wherever `door` says
  bool scoped = false;                 // it came by OAuth and may do what `scopes` say; else no scope limits it
  std::vector<std::string> scopes;     // sorted, unique
  std::string sign_in;                 // id of the sign-in that the credential came from ("sgn_…"), "" when there was none
  /// Sorted ids of the access rules under which a grant is active for the target at hand. The Gate's, for its session:
  /// no authentication ever sets it.
  std::vector<std::string> access;
  Digest credential{};                 // SHA-256 of the token: binds approvals and sessions to it; never the token
  std::int64_t issued_wall_ns = 0;     // the credential's beginning; 0 when it does not say
  std::int64_t expires_wall_ns = 0;    // the credential's end; nothing runs after it

  bool is_agent() const { return !agent.empty() || service; }
  bool in_group(std::string_view group) const;
  bool has_scope(std::string_view scope) const;
  /// issuer + '\n' + subject: one person, whatever the credential. Approvals compare this.
  std::string person() const { return issuer + "\n" + subject; }
  /// "alice" or "agent bot on behalf of alice".
  std::string display() const;
};
using PrincipalPtr = std::shared_ptr<const Principal>;

}  // namespace sallyport::identity
