#include "identity/vault.h"

#include <algorithm>
#include <filesystem>

#include "evidence/aead.h"
#include "evidence/file_ops.h"

namespace sallyport::identity {

namespace {
constexpr std::size_t kNonce = 12;
}

Result<Vault> Vault::open(const std::string& path) {
  Digest key;
  if (!std::filesystem::exists(path)) {
    random_bytes(key);
    TRY_VOID(evidence::replace_file(path, key, 0600));
    return Vault(key);
  }
  TRY(const auto bytes, evidence::read_file(path));
  if (bytes.size() != key.size())
    return fail(ErrorKind::Unavailable, path + " is not a key of 32 bytes: restore it from the backup, or remove it, and everybody signs in again");
  std::ranges::copy(bytes, key.begin());
  return Vault(key);
}

Vault Vault::in_memory() {
  Digest key;
  random_bytes(key);
  return Vault(key);
}

Bytes Vault::seal(std::string_view bound_to, std::string_view secret) const {
  std::array<std::uint8_t, kNonce> nonce;
  random_bytes(nonce);
  Bytes out(nonce.begin(), nonce.end());
  const auto sealed = evidence::seal(key_, nonce, as_bytes(bound_to), as_bytes(secret));
  out.insert(out.end(), sealed.begin(), sealed.end());
  return out;
}

Result<std::string> Vault::unseal(std::string_view bound_to, ByteView sealed) const {
  if (sealed.size() < kNonce) return fail(ErrorKind::Unavailable, "a sealed secret is cut short");
  auto plain = evidence::unseal(key_, sealed.first<kNonce>(), as_bytes(bound_to), sealed.subspan(kNonce));
  if (!plain) return fail(ErrorKind::Unavailable, "a sealed secret does not open with this gateway's key");
  return std::string(plain->begin(), plain->end());
}

}  // namespace sallyport::identity
