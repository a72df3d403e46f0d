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

struct LocalUser {
  std::string name;
  std::vector<std::string> groups;
  SecretRef password_hash;               // Argon2id encoded string ($argon2id$…)
  bool service = false;
};

struct IdentityConfig {
  std::vector<OidcConfig> oidc;
  std::map<std::string, LocalUser> users;
  std::vector<std::vector<std::string>> same_person;       // accounts of one human each, as Principal::person()
  std::int64_t token_lifetime_ns = 3600LL * 1'000'000'000;  // of `sallyport token issue`, and its upper bound
};

}  // namespace sallyport::identity
