#pragma once
// Passwords of local users: Argon2id (RFC 9106), 64 MiB and 3 passes, in its encoded form. A check takes a tenth of a
// second of a core: never on a worker's thread. Pure, any thread.
#include <string>
#include <string_view>

namespace sallyport::identity {

inline constexpr std::size_t kMaxPassword = 1024;

/// `encoded` "" (no such user) costs as much as a real one and is false. False too when it is no Argon2id string.
bool check_password(const std::string& encoded, std::string_view password);

}  // namespace sallyport::identity
