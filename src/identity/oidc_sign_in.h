#pragma once
// The relying party's side of OpenID Connect, without I/O: what is sent to a provider and how its answers are judged (OpenID Connect Core 1.0
// §3.1, RFC 7636 PKCE with S256 only, RFC 9207, Back-Channel Logout 1.0, RP-Initiated Logout 1.0). Pure; time is an argument. ID tokens
// are verified with the provider's keys before (identity/jwt.h). Anything wrong is a Reason.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "identity/claims.h"

namespace sallyport::identity {

/// What a discovery document says of sign-in (OpenID Connect Discovery 1.0 §3).
struct ProviderMetadata {
  std::string authorization_endpoint, token_endpoint, end_session_endpoint, userinfo_endpoint;
  bool says_issuer = false;   // authorization_response_iss_parameter_supported
};
/// Endpoints that are not https (or http on loopback for an issuer that is) are left out.
ProviderMetadata read_provider_metadata(const json::Value& discovery, const OidcConfig& config);

/// Name and value pairs as application/x-www-form-urlencoded.
std::string form_encoded(const std::vector<std::pair<std::string, std::string>>& fields);

struct Pkce {
  std::string verifier, challenge;
};
Pkce make_pkce();
/// RFC 7636 §4.6 with S256; false for anything that is no verifier.
bool pkce_holds(std::string_view verifier, std::string_view challenge);

std::string authorization_url(const ProviderMetadata& provider, const OidcConfig& config, const std::string& redirect_uri, const std::string& state,
                              const std::string& nonce, const std::string& challenge);

struct IdToken {
  Claims claims;
  std::string session;   // `sid`
};
/// `nonce` "" does not ask for one (a refreshed ID token has none, Core §12.2).
Judged<IdToken> read_id_token(const json::Value& payload, const OidcConfig& config, std::string_view nonce, std::int64_t wall_ns);

struct LogoutToken {
  std::string subject, session, id;   // one of subject and session may be ""; `jti`
  std::int64_t expires_wall_ns = 0;   // how long its id must be remembered
};
Judged<LogoutToken> read_logout_token(const json::Value& payload, const OidcConfig& config, std::int64_t wall_ns);

std::string end_session_url(const ProviderMetadata& provider, const std::string& id_token, const std::string& client_id, const std::string& back_to);

}  // namespace sallyport::identity
