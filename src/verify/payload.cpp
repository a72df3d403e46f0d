#include "verify/payload.h"

#include <openssl/evp.h>
#include <openssl/params.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

#include "verify/hmac.h"
#include "verify/segment.h"
#include "verify/veil.h"

namespace sallyport::verify {
namespace {

constexpr std::size_t kRecord = 96, kSalt = 16, kTag = 16, kPiece = 64u << 10, kMost = 1u << 20;

std::optional<Blob> decrypt(const Hash& key, View nonce, View aad, View sealed, View tag) {
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  Blob out(sealed.size() + 16), end(tag.begin(), tag.end());
  int n = 0, m = 0;
  const bool ok = EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce.data()) == 1 &&
                  EVP_DecryptUpdate(context.get(), nullptr, &m, aad.data(), static_cast<int>(aad.size())) == 1 &&
                  EVP_DecryptUpdate(context.get(), out.data(), &n, sealed.data(), static_cast<int>(sealed.size())) == 1 &&
                  EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(end.size()), end.data()) == 1 &&
                  EVP_DecryptFinal_ex(context.get(), out.data() + n, &m) == 1;
  if (!ok) return std::nullopt;
  out.resize(static_cast<std::size_t>(n));
  return out;
}

}  // namespace

PayloadKeys::PayloadKeys(const std::string& directory, std::string origin) : origin_(std::move(origin)) {
  if (directory.empty()) return;
  const auto kek = File::open(directory + "/kek", why_not_);
  if (!kek) return;
  const auto file = File::open(directory + "/session-keys", why_not_);
  if (!file) return;
  if (kek->bytes().size() != 32) {
    why_not_ = directory + "/kek is not 32 bytes long";
    return;
  }
  const Hash wrapping = node_ = fixed<32>(kek->bytes(), 0);
  const auto bytes = file->bytes();
  for (std::size_t at = 0; at + kRecord <= bytes.size(); at += kRecord) {
    const auto record = bytes.subspan(at, kRecord);
    if (crc32c(0, record.first(92)) != little(record, 92, 4)) continue;
    const auto id = fixed<16>(record, 4);
    if (std::equal(record.begin(), record.begin() + 4, "SKY0")) {
      keys_[id] = {true, {}};
      continue;
    }
    Blob aad(origin_.begin(), origin_.end());
    aad.push_back(0);
    aad.insert(aad.end(), id.begin(), id.end());
    const auto key = decrypt(wrapping, record.subspan(20, 12), aad, record.subspan(32, 32), record.subspan(64, 16));
    if (key && key->size() == 32) keys_[id] = {false, fixed<32>(*key, 0)};
  }
  usable_ = true;
}

std::string PayloadKeys::open_veils(const Entry& entry, View record, bool& erased) const {
  constexpr std::size_t kSeed = 32;
  Hash key = node_;
  if (entry.session) {
    const auto at = keys_.find(*entry.session);
    if (at == keys_.end()) return "there is no key for its session";
    if (erased = at->second.erased; erased) return "";
    key = at->second.key;
  }
  const auto own = HmacSha256(key).add(verify::view("sallyport veiled values")).add(record.first(kSeed)).done();
  const auto sealed = record.subspan(kSeed);
  const std::array<std::uint8_t, 12> nonce{};
  const auto plain = decrypt(own, nonce, {}, sealed.first(sealed.size() - kTag), sealed.last(kTag));
  Entry opened = entry;   // its views go with the plain text
  return plain ? open_values(*plain, opened) : "its veiled values do not decrypt";
}

std::string PayloadKeys::open(const Id& session, const Payload& ref, const std::vector<View>& chunks, bool& erased) const {
  const auto at = keys_.find(session);
  if (at == keys_.end()) return "there is no key for its session";
  if (erased = at->second.erased; erased) return "";
  const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> hmac(EVP_MAC_fetch(nullptr, "HMAC", nullptr), EVP_MAC_free);
  const std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> mac(EVP_MAC_CTX_new(hmac.get()), EVP_MAC_CTX_free);
  std::uint64_t bytes = 0;
  std::string piece(kPiece, '\0');
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const auto sealed = chunks[i];
    if (sealed.size() < kTag || sealed.size() > kMost) return "a chunk of its payload is of no possible size";
    std::array<std::uint8_t, 12> nonce{};
    Blob aad(session.begin(), session.end());
    for (int k = 7; k >= 0; --k) aad.push_back(static_cast<std::uint8_t>((ref.first + i) >> (8 * k)));
    std::copy(aad.end() - 8, aad.end(), nonce.begin() + 4);
    const auto text = decrypt(at->second.key, nonce, aad, sealed.first(sealed.size() - kTag), sealed.last(kTag));
    if (!text) return "a chunk of its payload does not decrypt";
    std::size_t from = 0;
    if (i == 0) {
      char digest[] = "SHA256";
      const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
      if (text->size() < kSalt || EVP_MAC_init(mac.get(), text->data(), kSalt, parameters) != 1) return "its payload has no salt";
      from = kSalt;
    }
    const auto size = ZSTD_decompress(piece.data(), piece.size(), text->data() + from, text->size() - from);
    if (ZSTD_isError(size)) return "a chunk of its payload does not decompress";
    if (i + 1 < chunks.size() && size != kPiece) return "a chunk of its payload is short";
    EVP_MAC_update(mac.get(), reinterpret_cast<const unsigned char*>(piece.data()), size);
    bytes += size;
  }
  Hash commitment{};
  std::size_t length = 0;
  if (EVP_MAC_final(mac.get(), commitment.data(), &length, commitment.size()) != 1 || commitment != ref.commitment || bytes != ref.bytes)
    return "its payload is not the one it commits to";
  return "";
}

}  // namespace sallyport::verify
