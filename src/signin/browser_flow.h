#pragma once
// A sign-in under way in one browser: what it is for and what the provider's answer must match. It is kept by the browser itself, in a
// cookie that only this gateway can read or make (identity/vault.h), so that nobody fills our memory by beginning sign-ins, and a callback
// in another browser finds nothing to match. Pure but for the vault's randomness; any thread.
#include <cstdint>
#include <optional>
#include <string>

#include "identity/vault.h"
#include "net/http.h"

namespace sallyport::signin {

struct BrowserFlow {
  // What it is for: the command line that waits on a loopback port, or a device that shows a code.
  std::string redirect_uri, challenge, client_state;  // RFC 8252, RFC 7636; "" for a device
  std::string user_code;                              // RFC 8628; "" for the command line
  std::string client, resource, scopes;               // an MCP client that was sent here: its client_id, what it may reach; "" for the others
  std::string connect, connect_issuer;                // a target whose account the person connects, and at whom, where discovery said so

  // What the provider's answer must match.
  std::string provider, state, nonce, verifier;
  std::string request;                                // SAML: the ID of the AuthnRequest
  std::string arrived;                                // who came is known and waits for the person's last word
  std::int64_t expires_wall_ns = 0;

  bool for_device() const { return !user_code.empty(); }
  /// Something waits for who comes.
  bool has_purpose() const { return for_device() || !redirect_uri.empty() || !connect.empty(); }
};

constexpr std::int64_t kFlowLife = 600'000'000'000;

/// The whole Set-Cookie value. `secure`: browsers see https. `across_sites`: a form on another site's page will bring it (SAML).
std::string flow_cookie(const identity::Vault& vault, const BrowserFlow& flow, bool secure, bool across_sites = false);
std::string forget_flow_cookie(bool secure);
/// nullopt without a cookie, with one that is not ours, or one that is over.
std::optional<BrowserFlow> read_flow(const identity::Vault& vault, const net::Headers& headers, bool secure, std::int64_t wall_ns);

/// 32 random bytes in base64url.
std::string random_text();

}  // namespace sallyport::signin
