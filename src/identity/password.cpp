#include "identity/password.h"

#include <argon2.h>

#include <array>
#include <stdexcept>

#include "base/bytes.h"
#include "identity/authenticator.h"

namespace sallyport::identity {

namespace {
constexpr std::uint32_t kPasses = 3, kMemoryKib = 64 * 1024, kLanes = 1, kHashBytes = 32;
}

std::string hash_password(std::string_view password) {
  std::array<std::uint8_t, 16> salt;
  random_bytes(salt);
  std::string encoded(argon2_encodedlen(kPasses, kMemoryKib, kLanes, salt.size(), kHashBytes, Argon2_id), '\0');
  const int code = argon2id_hash_encoded(kPasses, kMemoryKib, kLanes, password.data(), password.size(), salt.data(), salt.size(),
                                         kHashBytes, encoded.data(), encoded.size());
  if (code != ARGON2_OK) throw std::runtime_error(std::string("Argon2id: ") + argon2_error_message(code));
  encoded.resize(encoded.find('\0'));
  return encoded;
}

bool check_password(const std::string& encoded, std::string_view password) {
  // Made before either way is taken, so that the first unknown user does not stand out by its price.
  static const std::string nobody = hash_password("nobody");
  const bool real = encoded.starts_with("$argon2id$");
  const auto& hash = real ? encoded : nobody;
  const bool same = argon2id_verify(hash.c_str(), password.data(), password.size()) == ARGON2_OK;
  return real && same;
}

}  // namespace sallyport::identity
