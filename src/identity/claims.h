#pragma once
// The claims of a verified token, judged by the configuration of its issuer (RFC 7519 §4.1, RFC 8693 §4.1, RFC 9068).
// Pure; time is an argument. Whoever calls has verified the signature before. Anything wrong is a Reason.
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "identity/config.h"
#include "identity/reason.h"

namespace sallyport::identity {

struct Claims {
  std::string subject, agent, email, name;
  std::vector<std::string> groups;      // sorted, unique
  std::vector<std::string> scopes;      // `scope` (RFC 8693 §4.2), or `scp` as some providers call it; sorted, unique
  bool service = false;                 // a client's own token (client credentials): no person stands behind it
  std::int64_t issued_wall_ns = 0;      // `iat`; 0 when it is not there
  std::int64_t expires_wall_ns = 0;     // `exp` and the leeway on top: until then the token is taken
};

Judged<Claims> read_claims(const json::Value& payload, const OidcConfig& config, std::int64_t wall_ns);

/// Whether the claim, or the path, is there at all.
bool has_claim(const json::Value& payload, std::string_view name);
/// What a userinfo answer adds: groups, and e-mail and name that were not known.
Judged<void> add_claims(Claims& claims, const json::Value& userinfo, const OidcConfig& config);

/// Not empty, at most 256 bytes, no control characters: what may stand in a record, a log line and a header.
bool is_plain_name(std::string_view text);

}  // namespace sallyport::identity
