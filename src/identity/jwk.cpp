#include "identity/jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include <array>

#include "base/bytes.h"

namespace sallyport::identity {

namespace {

constexpr std::size_t kMaxKeys = 256;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;  // verifying with a larger one costs an attacker's provider nothing and us much
constexpr std::size_t kMaxExponentBytes = 8;

constexpr std::array<std::string_view, 9> kNames = {"RS256", "RS384", "RS512", "PS256", "PS384",
                                                    "PS512", "ES256", "ES384", "EdDSA"};

struct ParamsFree {
  void operator()(OSSL_PARAM_BLD* p) const { OSSL_PARAM_BLD_free(p); }
  void operator()(OSSL_PARAM* p) const { OSSL_PARAM_free(p); }
  void operator()(BIGNUM* p) const { BN_free(p); }
  void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, ParamsFree>;

using Key = std::shared_ptr<EVP_PKEY>;

Key own(EVP_PKEY* key) { return key == nullptr ? Key() : Key(key, EVP_PKEY_free); }

Key build(const char* type, OSSL_PARAM_BLD* builder) {
  Owned<OSSL_PARAM> params(OSSL_PARAM_BLD_to_param(builder));
  Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* raw = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return {};
  }
  Key key = own(raw);
  Owned<EVP_PKEY_CTX> check(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (!check || EVP_PKEY_public_check(check.get()) != 1) return {};
  return key;
}

std::optional<Bytes> member(const json::Value& value, std::string_view name) {
  const auto text = value[name];
  if (!text.is_string() || text.as_string().size() > 2048) return std::nullopt;
  auto bytes = from_base64url(text.as_string());
  if (!bytes || bytes->empty()) return std::nullopt;
  return std::move(*bytes);
}

Key rsa_key(const json::Value& value) {
  const auto n = member(value, "n");
  const auto e = member(value, "e");
  if (!n || !e || e->size() > kMaxExponentBytes) return {};
  Owned<BIGNUM> modulus(BN_bin2bn(n->data(), static_cast<int>(n->size()), nullptr));
  Owned<BIGNUM> exponent(BN_bin2bn(e->data(), static_cast<int>(e->size()), nullptr));
  if (!modulus || !exponent || BN_num_bits(modulus.get()) < kMinRsaBits || BN_num_bits(modulus.get()) > kMaxRsaBits ||
      !BN_is_odd(exponent.get()) || BN_is_one(exponent.get())) {
    return {};
  }
  Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
    return {};
  }
  return build("RSA", builder.get());
}

Key ec_key(const json::Value& value, const char* group, std::size_t size) {
  const auto x = member(value, "x");
  const auto y = member(value, "y");
  // RFC 7518 §6.2.1.2: coordinates have the full length of the field, leading zeros included.
  if (!x || !y || x->size() != size || y->size() != size) return {};
  Bytes point = {0x04};
  point.insert(point.end(), x->begin(), x->end());
  point.insert(point.end(), y->begin(), y->end());
  Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
    return {};
  }
  return build("EC", builder.get());
}

Key ed25519_key(const json::Value& value) {
  const auto x = member(value, "x");
  if (!x || x->size() != 32) return {};
  return own(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, x->data(), x->size()));
}

/// `use` and `key_ops` (RFC 7517 §4.2, §4.3), where they are given, must be for signatures.
bool for_verifying(const json::Value& value) {
  const auto use = value["use"];
  if (use.valid() && use.as_string() != "sig") return false;
  const auto operations = value["key_ops"];
  if (!operations.valid()) return true;
  if (!operations.is_array()) return false;
  for (const auto operation : operations) {
    if (operation.as_string() == "verify") return true;
  }
  return false;
}

}  // namespace

std::optional<Algorithm> algorithm(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Algorithm>(i);
  }
  return std::nullopt;
}

std::string_view to_string(Algorithm algorithm) { return kNames[static_cast<std::size_t>(algorithm)]; }

bool Jwk::fits(Algorithm algorithm) const {
  if (only && *only != algorithm) return false;
  switch (algorithm) {
    case Algorithm::RS256:
    case Algorithm::RS384:
    case Algorithm::RS512:
    case Algorithm::PS256:
    case Algorithm::PS384:
    case Algorithm::PS512: return type == KeyType::Rsa;
    case Algorithm::ES256: return type == KeyType::P256;
    case Algorithm::ES384: return type == KeyType::P384;
    case Algorithm::EdDSA: return type == KeyType::Ed25519;
  }
  return false;
}

std::optional<Jwk> parse_jwk(const json::Value& value) {
  if (!value.is_object() || !for_verifying(value)) return std::nullopt;
  Jwk jwk;
  if (const auto kid = value["kid"]; kid.valid()) {
    if (!kid.is_string()) return std::nullopt;
    jwk.kid = kid.as_string();
  }
  if (const auto alg = value["alg"]; alg.valid()) {
    jwk.only = algorithm(alg.as_string());
    if (!jwk.only) return std::nullopt;  // a key for an algorithm that we do not do is no key for another one
  }
  const auto kty = value["kty"].as_string();
  const auto curve = value["crv"].as_string();
  if (kty == "RSA") {
    jwk.type = KeyType::Rsa;
    jwk.key = rsa_key(value);
  } else if (kty == "EC" && curve == "P-256") {
    jwk.type = KeyType::P256;
    jwk.key = ec_key(value, "P-256", 32);
  } else if (kty == "EC" && curve == "P-384") {
    jwk.type = KeyType::P384;
    jwk.key = ec_key(value, "P-384", 48);
  } else if (kty == "OKP" && curve == "Ed25519") {
    jwk.type = KeyType::Ed25519;
    jwk.key = ed25519_key(value);
  }
  if (!jwk.key) {
    ERR_clear_error();  // OpenSSL's queue is the thread's; what stays there misleads the next TLS call
    return std::nullopt;
  }
  return jwk;
}

Result<Keys> parse_jwks(std::string text) {
  TRY(const auto document, json::Document::parse(std::move(text), {.max_bytes = 1u << 20, .max_depth = 16, .max_nodes = 20'000}));
  const auto list = document.root()["keys"];
  if (!list.is_array()) return fail(ErrorKind::Malformed, "the key set has no array \"keys\" (RFC 7517 §5)");
  if (list.size() > kMaxKeys) return fail(ErrorKind::Malformed, fmt::format("the key set has more than {} keys", kMaxKeys));
  Keys keys;
  for (const auto value : list) {
    if (auto jwk = parse_jwk(value)) keys.push_back(std::move(*jwk));
  }
  return keys;
}

}  // namespace sallyport::identity
