#pragma once
// The cryptography a verifier needs: SHA-256 (class Sha256 in bytes.h), HMAC-SHA256, Ed25519. Two implementations stand behind
// it: crypto_openssl.cpp in the program, crypto_portable.cpp (no library) in the web page. Only public data passes here, so
// neither has to take constant time. Pure.
#include "verify/bytes.h"

namespace sallyport::verify {

/// RFC 8032 §5.1.7, without the cofactor, S below the group's order. A key that is no point fits nothing.
bool ed25519_fits(const std::array<std::uint8_t, 32>& key, View message, View signature);
/// RFC 2104.
Hash hmac_sha256(View key, View message);

}  // namespace sallyport::verify
