#pragma once
// Signing in: the pages and callbacks by which a person comes (OpenID Connect, a local password with TOTP; SAML beside it in saml_pages), and
// the gateway's own OAuth 2.1 endpoints: for its command line (code with PKCE on a loopback port, RFC 8252; device grants, RFC 8628) and for MCP
// clients (code with PKCE and consent, refresh tokens; docs/mcp-authorization.md). What
// comes of it is a sign-in in the identity::Directory and a token that lives as long. Runs on the admin worker's thread; every success and
// every failure is an entry. A restart forgets sign-ins that are under way. Answers to browsers never say why a proof was refused.
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "admin/route.h"
#include "base/clock.h"
#include "identity/authenticator.h"
#include "identity/oauth_grants.h"
#include "identity/upstream_tokens.h"
#include "signin/oidc_provider.h"

namespace sallyport::signin {

/// What MCP clients get tokens for, and which targets people connect accounts at.
struct McpDoor {
  std::string public_url;                    // resources are this, with /mcp, with /mcp/TARGET
  identity::Scopes scopes;                   // that there are
  std::map<std::string, identity::UpstreamClientPtr> accounts;
  std::function<bool(const identity::Principal&, const std::string& target)> may_reach;
};

struct Services {
  boost::asio::io_context& context;          // the admin worker's
  identity::Authenticator& authenticator;    // that worker's
  identity::Directory& directory;
  std::string own_origin;                    // gateway.admin_url: "https://gw.example:9443"
  identity::OAuthGrants& oauth;
  identity::UpstreamTokens& upstream;
  McpDoor door = {};
  const Clock& clock = system_clock();
};

class SignIn {
 public:
  SignIn(Services services, std::shared_ptr<const identity::IdentityConfig> config, std::shared_ptr<identity::KeySource> keys);
  ~SignIn();

  /// What it serves at the admin listener. The object outlives them.
  admin::Routes routes();
  /// After a reload. On the admin worker's thread.
  void reconfigure(std::shared_ptr<const identity::IdentityConfig> config, std::shared_ptr<identity::KeySource> keys, McpDoor door);
  /// Where a sign-in that is none of OpenID Connect's ends at its provider (SamlPages::sign_out_url).
  void end_elsewhere_by(std::function<std::string(const identity::SignIn&)> url);
  /// Asks the providers now and then whether sign-ins still hold (`identity.sign_in.recheck`); runs until stop().
  boost::asio::awaitable<void> recheck();
  void stop();

  /// Who came by another road (SAML) goes on to their last word: the answer is a redirect, or a page that says why not.
  boost::asio::awaitable<admin::Answer> arrived(const admin::Call& call, struct BrowserFlow flow, Arrival arrival);

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::signin
