#include "evidence/aead.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <memory>

namespace sallyport::evidence {
namespace {

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;
constexpr std::size_t kTag = 16;

/// Fetched once: looking it up costs more than sealing a record does.
const EVP_CIPHER* gcm() {
  static const EVP_CIPHER* const kFetched = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return kFetched;
}

}  // namespace

Bytes seal(const Digest& key, std::span<const std::uint8_t, 12> nonce, ByteView bound_to, ByteView plain) {
  Bytes out(plain.size() + kTag);
  const Cipher c(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int n = 0;
  const bool ok = c && EVP_EncryptInit_ex(c.get(), gcm(), nullptr, key.data(), nonce.data()) == 1 &&
                  EVP_EncryptUpdate(c.get(), nullptr, &n, bound_to.data(), static_cast<int>(bound_to.size())) == 1 &&
                  EVP_EncryptUpdate(c.get(), out.data(), &n, plain.data(), static_cast<int>(plain.size())) == 1 &&
                  EVP_EncryptFinal_ex(c.get(), out.data() + plain.size(), &n) == 1 &&
                  EVP_CIPHER_CTX_ctrl(c.get(), EVP_CTRL_GCM_GET_TAG, kTag, out.data() + plain.size()) == 1;
  if (!ok) std::abort();  // AES over memory cannot fail but for want of memory
  return out;
}

std::optional<Bytes> unseal(const Digest& key, std::span<const std::uint8_t, 12> nonce, ByteView bound_to, ByteView sealed) {
  if (sealed.size() < kTag) return std::nullopt;
  Bytes out(sealed.size() - kTag), tag(sealed.end() - kTag, sealed.end());
  const Cipher c(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int n = 0;
  const bool ok = c && EVP_DecryptInit_ex(c.get(), gcm(), nullptr, key.data(), nonce.data()) == 1 &&
                  EVP_DecryptUpdate(c.get(), nullptr, &n, bound_to.data(), static_cast<int>(bound_to.size())) == 1 &&
                  EVP_DecryptUpdate(c.get(), out.data(), &n, sealed.data(), static_cast<int>(out.size())) == 1 &&
                  EVP_CIPHER_CTX_ctrl(c.get(), EVP_CTRL_GCM_SET_TAG, kTag, tag.data()) == 1 && EVP_DecryptFinal_ex(c.get(), tag.data(), &n) == 1;
  if (!ok) return std::nullopt;
  return out;
}

}  // namespace sallyport::evidence
