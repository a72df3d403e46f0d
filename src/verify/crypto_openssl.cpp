#define OPENSSL_SUPPRESS_DEPRECATED  // the low-level SHA-256 costs no allocation and no lookup for each of millions of leaves
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <memory>

#include "verify/crypto.h"

namespace sallyport::verify {

static_assert(sizeof(SHA256_CTX) <= sizeof(Sha256));

Sha256::Sha256() { SHA256_Init(reinterpret_cast<SHA256_CTX*>(state_)); }
Sha256& Sha256::add(View bytes) {
  SHA256_Update(reinterpret_cast<SHA256_CTX*>(state_), bytes.data(), bytes.size());
  return *this;
}
Hash Sha256::done() {
  Hash out{};
  SHA256_Final(out.data(), reinterpret_cast<SHA256_CTX*>(state_));
  return out;
}

bool ed25519_fits(const std::array<std::uint8_t, 32>& key, View message, View signature) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pkey(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()), EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  return pkey && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, pkey.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
}

}  // namespace sallyport::verify
