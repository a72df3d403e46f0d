#pragma once
// The `identity:` section of the configuration, as read by cli/config. Plain data.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/secret.h"

namespace sallyport::identity {

struct OidcConfig {
  std::string issuer;                    // exact value of the `iss` claim; https, or http on loopback
  std::string audience;                  // must be in `aud`
  std::string subject_claim = "sub";
  std::string groups_claim = "groups";   // array of strings (or one string)
  std::vector<std::string> algorithms = {"RS256", "PS256", "ES256", "EdDSA"};
  std::int64_t leeway_ns = 30'000'000'000;  // clock skew allowed for exp, nbf, iat; at most 120 s
  std::string ca_file;                   // extra trust anchor for the issuer's TLS; "" = the system's
  std::string email_claim = "email", name_claim = "name";

  // Sign-in with this provider (authorization code with PKCE); without a client id its tokens are taken and that is all.
  std::string name;                      // in paths and on pages: /auth/callback/NAME
  std::string client_id;
  SecretRef client_secret;               // none = a public client, on PKCE alone
  std::vector<std::string> scopes = {"openid", "profile", "email"};
  bool operator==(const OidcConfig&) const = default;
};

/// A certificate and its RSA key, PEM.
struct SamlKeyPair {
  SecretRef certificate, key;
};

struct SamlConfig {
  std::string name;                      // in our URLs: <admin_url>/saml/NAME/…
  std::string metadata;                  // file with the provider's EntityDescriptor; else the four after it
  std::string idp_entity_id, sso_url, slo_url;
  std::vector<std::string> certificates; // PEM files; any of them may sign
  std::string entity_id;                 // ours; "" = <admin_url>/saml/NAME/metadata
  std::vector<SamlKeyPair> keys;         // ours: the first signs, each decrypts
  bool sign_requests = false;            // needs keys
  bool signed_response = false;          // a signed Response vouches for an unsigned assertion in it
  bool idp_initiated = false;            // answers to nothing that we asked
  bool cbc = false;                      // AES-CBC
  std::string subject_attribute;         // "" = NameID
  std::string email_attribute = "email", name_attribute = "name", groups_attribute = "groups";
  std::int64_t leeway_ns = 30'000'000'000;  // at most 120 s
};

struct LocalUser {
  std::string name;
  std::vector<std::string> groups;
  SecretRef password_hash;               // Argon2id encoded string ($argon2id$…)
  SecretRef totp;                        // RFC 6238 secret in base32; when it is set a password alone is not enough
  SecretRef break_glass_hash;            // a second, sealed password of its own for `access` rules with break_glass
  bool service = false;
  std::string keys_file;                 // JWKS with a service's public keys: it proves itself with them (private_key_jwt)
};

/// Which workloads of a platform are which service here.
struct FederationRule {
  std::string subject;                   // exact, or with a * at its end
  std::map<std::string, std::string> claims;  // further ones, exact
  std::string service;                   // a local user with `service`
};

/// A platform whose workloads prove themselves by its tokens (Kubernetes, GitHub Actions).
struct FederationConfig {
  OidcConfig oidc;                       // issuer, audience, algorithms, leeway, ca
  std::vector<FederationRule> rules;     // the first that fits counts
};

/// An agent that is registered: what it may be at most, whoever stands behind it.
struct AgentConfig {
  std::vector<std::string> groups;       // of its person's groups these count; empty = all of them
  std::vector<std::string> people;       // groups whose members it may act for; empty = anyone's
};

/// A program that people let act for them at the MCP door, known beforehand.
struct OAuthClientConfig {
  std::string name;                      // what policy and the record call it (Principal::agent)
  std::string id;                        // client_id; of a program with a metadata document its https address
  std::vector<std::string> redirect_uris;
  SecretRef secret;                      // none = a public client, on PKCE alone
};

/// How MCP clients get tokens from the gateway (RFC 6749 with PKCE, OAuth 2.1).
struct OAuthConfig {
  bool on = false;                       // the section stands in the configuration
  std::vector<OAuthClientConfig> clients;
  std::vector<std::string> document_hosts;  // whose client id metadata documents are read: "claude.ai", "*.example.com", "*"; empty = nobody's
  std::vector<std::string> private_hosts;   // of those: that may have an address which is not public
  std::string ca_file;                   // further trust anchor for fetching documents
  bool registration = false;             // RFC 7591
  std::int64_t registrations = 200;      // how many at once
  std::int64_t lifetime_ns = 0;          // of what a person allowed, with its refresh tokens; 0 = identity.sign_in.lifetime
};

/// Who may provision people and groups (SCIM), and whose they are.
struct ScimConfig {
  std::string name;
  SecretRef token;                       // at least 32 bytes
  std::string issuer;                    // of a configured provider: what its tokens and sign-ins say
  std::string subject = "externalId";    // the attribute that is the person's subject there: externalId, userName or id
};

struct IdentityConfig {
  std::vector<ScimConfig> scim;
  std::vector<FederationConfig> federation;
  std::vector<OidcConfig> oidc;
  std::vector<SamlConfig> saml;
  std::map<std::string, LocalUser> users;
  std::map<std::string, std::vector<std::string>> nested_groups;  // group -> groups whose members are its members too
  OAuthConfig oauth;
  std::map<std::string, AgentConfig> agents;                      // empty = any agent's name is taken
  std::int64_t sign_in_ns = 8 * 3600LL * 1'000'000'000;   // life of a sign-in with all that comes from it
  std::int64_t recheck_ns = 300LL * 1'000'000'000;        // how often the provider is asked whether it still holds
  std::int64_t unconfirmed_ns = 0;       // a sign-in that the provider (being down) has not confirmed for so long ends; 0 = it goes on to its end
  std::vector<std::vector<std::string>> same_person;       // accounts of one human each, as Principal::person()
  std::int64_t token_lifetime_ns = 3600LL * 1'000'000'000;  // of `sallyport token issue`, and its upper bound
};

}  // namespace sallyport::identity
