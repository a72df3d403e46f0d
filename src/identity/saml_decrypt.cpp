#include "identity/saml_decrypt.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <xmlsec/buffer.h>
#include <xmlsec/crypto.h>
#include <xmlsec/keys.h>
#include <xmlsec/openssl/crypto.h>
#include <xmlsec/openssl/evp.h>
#include <xmlsec/xmlenc.h>

#include <algorithm>
#include <array>

namespace sallyport::identity::saml {
namespace {

constexpr std::string_view kOaep = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
constexpr std::size_t kMostKeys = 8;

struct Cipher {
  std::string_view algorithm;
  std::size_t key_bytes;
  bool cbc;
};
constexpr std::array<Cipher, 6> kCiphers = {{{"http://www.w3.org/2009/xmlenc11#aes128-gcm", 16, false},
                                             {"http://www.w3.org/2009/xmlenc11#aes192-gcm", 24, false},
                                             {"http://www.w3.org/2009/xmlenc11#aes256-gcm", 32, false},
                                             {"http://www.w3.org/2001/04/xmlenc#aes128-cbc", 16, true},
                                             {"http://www.w3.org/2001/04/xmlenc#aes192-cbc", 24, true},
                                             {"http://www.w3.org/2001/04/xmlenc#aes256-cbc", 32, true}}};

struct ContextFree {
  void operator()(xmlSecEncCtx* context) const { xmlSecEncCtxDestroy(context); }
  void operator()(xmlSecBuffer* buffer) const { xmlSecBufferDestroy(buffer); }
};
using Context = std::unique_ptr<xmlSecEncCtx, ContextFree>;

std::unexpected<SamlRefusal> undecryptable(std::string detail) { return refuse(Reason::Undecryptable, std::move(detail)); }

/// The algorithm of EncryptedData or EncryptedKey; its content stands in it and nowhere else.
SamlJudged<std::string> algorithm_of(const xmlNode* element) {
  const auto* method = only_child(element, kEncryptionNs, "EncryptionMethod");
  const auto* data = only_child(element, kEncryptionNs, "CipherData");
  if (!method || !data) return undecryptable("not one EncryptionMethod and one CipherData");
  const auto inner = children(data);
  if (inner.size() != 1 || !is(inner[0], kEncryptionNs, "CipherValue")) return undecryptable("a cipher that is not a CipherValue");
  if (auto text = text_of(inner[0]); !text) return text;
  return attribute(method, "Algorithm");
}

/// `key` is given to the context. Empty when it does not fit.
std::string decrypt_with(xmlSecKeyPtr key, xmlEncCtxMode mode, xmlNode* element, std::initializer_list<xmlSecTransformId> transforms) {
  const Context context(xmlSecEncCtxCreate(nullptr));
  if (!context) {
    xmlSecKeyDestroy(key);
    return {};
  }
  context->encKey = key;
  context->mode = mode;
  context->transformCtx.enabledUris = xmlSecTransformUriTypeNone;
  for (const auto id : transforms)
    if (xmlSecPtrListAdd(&context->transformCtx.enabledTransforms, const_cast<xmlSecPtr>(static_cast<const void*>(id))) < 0) return {};
  const auto* buffer = xmlSecEncCtxDecryptToBuffer(context.get(), element);
  if (!buffer) return {};
  auto* bytes = const_cast<xmlSecBuffer*>(buffer);
  return {reinterpret_cast<const char*>(xmlSecBufferGetData(bytes)), xmlSecBufferGetSize(bytes)};
}

std::string content_key(const Key& key, xmlNode* encrypted_key) {
  if (EVP_PKEY_up_ref(key.get()) != 1) return {};
  auto* data = xmlSecOpenSSLEvpKeyAdopt(key.get());
  if (!data) {
    EVP_PKEY_free(key.get());
    return {};
  }
  auto* own = xmlSecKeyCreate();
  if (!own || xmlSecKeySetValue(own, data) < 0) {
    xmlSecKeyDataDestroy(data);
    if (own) xmlSecKeyDestroy(own);
    return {};
  }
  return decrypt_with(own, xmlEncCtxModeEncryptedKey, encrypted_key, {xmlSecTransformRsaOaepId});
}

std::string content(const std::string& secret, const Cipher& cipher, xmlNode* data) {
  if (secret.size() != cipher.key_bytes) return {};
  auto* key = xmlSecKeyReadMemory(xmlSecKeyDataAesId, reinterpret_cast<const xmlSecByte*>(secret.data()), static_cast<xmlSecSize>(secret.size()));
  if (!key) return {};
  return decrypt_with(key, xmlEncCtxModeEncryptedData, data,
                      {xmlSecTransformAes128GcmId, xmlSecTransformAes192GcmId, xmlSecTransformAes256GcmId, xmlSecTransformAes128CbcId,
                       xmlSecTransformAes192CbcId, xmlSecTransformAes256CbcId});
}

/// Inside EncryptedData's KeyInfo, or beside EncryptedData: providers do both.
std::vector<Element> encrypted_keys(const xmlNode* encrypted, const xmlNode* data) {
  auto out = children(encrypted, kEncryptionNs, "EncryptedKey");
  for (const auto* info : children(data, kSignatureNs, "KeyInfo"))
    for (auto* key : children(info, kEncryptionNs, "EncryptedKey")) out.push_back(key);
  return out;
}

}  // namespace

SamlJudged<std::string> decrypt(const xmlNode* encrypted, const std::vector<Key>& keys, bool cbc) {
  if (!xmlsec_ready()) return refuse(Reason::KeysUnavailable, "xmlsec does not start");
  quiet_libxml();
  if (keys.empty()) return undecryptable("an encrypted assertion, and no key is configured");
  auto* data = only_child(encrypted, kEncryptionNs, "EncryptedData");
  if (!data) return undecryptable("not one EncryptedData");
  const auto algorithm = algorithm_of(data);
  if (!algorithm) return algorithm;
  const auto* cipher = std::ranges::find(kCiphers, *algorithm, &Cipher::algorithm);
  if (cipher == kCiphers.end() || (cipher->cbc && !cbc)) return refuse(Reason::AlgorithmNotAllowed, "encryption " + clean(*algorithm));
  const auto wrapped = encrypted_keys(encrypted, data);
  if (wrapped.empty() || wrapped.size() > kMostKeys) return undecryptable("no EncryptedKey, or over 8");
  for (auto* one : wrapped) {
    const auto wrapping = algorithm_of(one);
    if (!wrapping) return wrapping;
    if (*wrapping != kOaep) return refuse(Reason::AlgorithmNotAllowed, "key transport " + clean(*wrapping));
  }
  for (auto* one : wrapped) {
    for (const auto& key : keys) {
      auto secret = content_key(key, one);
      auto plain = content(secret, *cipher, data);
      OPENSSL_cleanse(secret.data(), secret.size());
      ERR_clear_error();
      if (!plain.empty()) return plain;
    }
  }
  return undecryptable("no configured key opens it");
}

}  // namespace sallyport::identity::saml
