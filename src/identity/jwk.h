#pragma once
// JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037) as an identity provider publishes them: only public keys that can
// verify a signature survive reading. Pure codec; a key is immutable and may be used by any thread. What is not
// understood is skipped, for a provider may publish keys that are not meant for us; a set that is no JWKS is Malformed.
#include <openssl/evp.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace sallyport::identity {

/// The signature algorithms of RFC 7518 §3.1 and RFC 8037 that a token may ever name: no `none`, nothing symmetric.
enum class Algorithm { RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA };
std::optional<Algorithm> algorithm(std::string_view name);
std::string_view to_string(Algorithm algorithm);

enum class KeyType { Rsa, P256, P384, Ed25519 };

struct Jwk {
  std::string kid;                       // "" when the provider gives none
  std::optional<Algorithm> only;         // the key's `alg`: it verifies nothing else
  KeyType type = KeyType::Rsa;
  std::shared_ptr<EVP_PKEY> key;

  /// The algorithm needs this type of key (and this curve), and the key does not insist on another one.
  bool fits(Algorithm algorithm) const;
};
using Keys = std::vector<Jwk>;

/// Errors: Malformed (not JSON, no `keys` array, more than 256 keys).
Result<Keys> parse_jwks(std::string text);

/// One key, or nothing when it is not a usable signature key.
std::optional<Jwk> parse_jwk(const json::Value& value);

}  // namespace sallyport::identity
