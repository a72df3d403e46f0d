#include "identity/jwt.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include <algorithm>

namespace sallyport::identity {

namespace {

// A token without `kid` is tried against every key that fits; a provider with more would make each guess expensive.
constexpr int kMaxTries = 8;
constexpr std::size_t kMaxKid = 256;

const EVP_MD* digest_of(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::RS256:
    case Algorithm::PS256:
    case Algorithm::ES256: return EVP_sha256();
    case Algorithm::RS384:
    case Algorithm::PS384:
    case Algorithm::ES384: return EVP_sha384();
    case Algorithm::RS512:
    case Algorithm::PS512: return EVP_sha512();
    case Algorithm::EdDSA: return nullptr;  // hashes within (RFC 8032)
  }
  return nullptr;
}

bool is_pss(Algorithm algorithm) {
  return algorithm == Algorithm::PS256 || algorithm == Algorithm::PS384 || algorithm == Algorithm::PS512;
}

/// JOSE writes an ECDSA signature as r || s of fixed length (RFC 7518 §3.4), OpenSSL reads DER. Empty when it is none.
Bytes ecdsa_der(ByteView signature, std::size_t size) {
  if (signature.size() != 2 * size) return {};
  BIGNUM* r = BN_bin2bn(signature.data(), static_cast<int>(size), nullptr);
  BIGNUM* s = BN_bin2bn(signature.data() + size, static_cast<int>(size), nullptr);
  std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair(ECDSA_SIG_new(), ECDSA_SIG_free);
  if (r == nullptr || s == nullptr || !pair || ECDSA_SIG_set0(pair.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  const int length = i2d_ECDSA_SIG(pair.get(), nullptr);
  if (length <= 0) return {};
  Bytes der(static_cast<std::size_t>(length));
  auto* out = der.data();
  i2d_ECDSA_SIG(pair.get(), &out);
  return der;
}

bool signature_holds(const Jwk& jwk, Algorithm algorithm, std::string_view text, ByteView signature) {
  Bytes der;
  if (algorithm == Algorithm::ES256 || algorithm == Algorithm::ES384) {
    der = ecdsa_der(signature, algorithm == Algorithm::ES256 ? 32 : 48);
    if (der.empty()) return false;
    signature = der;
  }
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_PKEY_CTX* key = nullptr;  // the digest context's own
  bool good = context && EVP_DigestVerifyInit(context.get(), &key, digest_of(algorithm), nullptr, jwk.key.get()) == 1;
  if (good && is_pss(algorithm)) {
    good = EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(key, RSA_PSS_SALTLEN_DIGEST) == 1;
  }
  good = good && EVP_DigestVerify(context.get(), signature.data(), signature.size(), as_bytes(text).data(), text.size()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

Judged<json::Document> json_part(std::string_view part) {
  auto bytes = from_base64url(part);
  if (!bytes) return std::unexpected(Reason::Malformed);
  auto document = json::Document::parse(std::string(as_text(*bytes)), {.max_bytes = kMaxJwtBytes, .max_depth = 16, .max_nodes = 4096});
  if (!document || !document->root().is_object()) return std::unexpected(Reason::Malformed);
  return std::move(*document);
}

/// Media types compare without regard to case (RFC 7515 §4.1.9). Other types (`dpop+jwt`, `logout+jwt`, …) are signed
/// by the same keys for other ends and are no access tokens.
bool is_taken(std::string_view type, std::string_view also) {
  std::string lower(type);
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (lower.starts_with("application/")) lower.erase(0, 12);
  return lower == "jwt" || lower == "at+jwt" || (!also.empty() && lower == also);
}

}  // namespace

Judged<Jwt> Jwt::parse(std::string_view token, std::string_view also) {
  if (token.size() > kMaxJwtBytes) return std::unexpected(Reason::Malformed);
  const auto first = token.find('.');
  const auto second = first == token.npos ? first : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos) return std::unexpected(Reason::Malformed);
  auto header = json_part(token.substr(0, first));
  if (!header) return std::unexpected(header.error());
  auto payload = json_part(token.substr(first + 1, second - first - 1));
  if (!payload) return std::unexpected(payload.error());
  auto signature = from_base64url(token.substr(second + 1));
  if (!signature) return std::unexpected(Reason::Malformed);

  const auto fields = header->root();
  // An extension that is marked critical must be understood; we know none. `b64` changes what was signed (RFC 7797).
  if (fields["crit"].valid() || fields["b64"].valid()) return std::unexpected(Reason::UnsupportedHeader);
  if (const auto type = fields["typ"]; type.valid() && (!type.is_string() || !is_taken(type.as_string(), also))) {
    return std::unexpected(Reason::UnsupportedHeader);
  }
  const auto algorithm = identity::algorithm(fields["alg"].as_string());
  if (!algorithm) return std::unexpected(Reason::AlgorithmNotAllowed);
  Jwt jwt;
  if (const auto kid = fields["kid"]; kid.valid()) {
    if (!kid.is_string() || kid.as_string().empty() || kid.as_string().size() > kMaxKid) return std::unexpected(Reason::Malformed);
    jwt.kid_ = kid.as_string();
  }
  jwt.algorithm_ = *algorithm;
  jwt.signed_part_ = token.substr(0, second);
  jwt.signature_ = std::move(*signature);
  jwt.payload_ = std::move(*payload);
  return jwt;
}

Judged<void> Jwt::verify(std::span<const Jwk> keys, std::span<const std::string> allowed) const {
  if (std::ranges::find(allowed, identity::to_string(algorithm_)) == allowed.end()) {
    return std::unexpected(Reason::AlgorithmNotAllowed);
  }
  int tried = 0;
  for (const auto& jwk : keys) {
    if (!jwk.fits(algorithm_) || (!kid_.empty() && jwk.kid != kid_)) continue;
    if (signature_holds(jwk, algorithm_, signed_part_, signature_)) return {};
    if (++tried == kMaxTries) break;
  }
  return std::unexpected(tried == 0 ? Reason::UnknownKey : Reason::BadSignature);
}

}  // namespace sallyport::identity
