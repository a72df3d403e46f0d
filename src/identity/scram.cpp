#include "identity/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace sallyport::identity {

namespace {
Digest hmac(const Digest& key, std::string_view text) {
  Digest out;
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &length);
  return out;
}
}  // namespace

ScramVerifier scram_verifier(std::string_view password, std::string_view salt, int iterations) {
  Digest salted;
  PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()),
                    iterations, EVP_sha256(), static_cast<int>(salted.size()), salted.data());
  return {sha256(hmac(salted, "Client Key")), hmac(salted, "Server Key")};
}

std::string scram_salt(std::string_view user) {
  const auto digest = sha256(as_bytes("sallyport scram salt\n" + std::string(user)));
  return {reinterpret_cast<const char*>(digest.data()), 16};
}

}  // namespace sallyport::identity
