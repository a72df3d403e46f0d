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
  bool service = false;
};

struct IdentityConfig {
  std::vector<OidcConfig> oidc;
  std::vector<SamlConfig> saml;
  std::map<std::string, LocalUser> users;
  std::int64_t token_lifetime_ns = 3600LL * 1'000'000'000;  // of `sallyport token issue`, and its upper bound
};

}  // namespace sallyport::identity
