#pragma once
// Bytes and the few encodings of them that the whole tree shares. Pure functions, any thread.
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sallyport {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using Digest = std::array<std::uint8_t, 32>;  // SHA-256
using Id16 = std::array<std::uint8_t, 16>;    // session, boot and request ids

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Lower-case hexadecimal.
std::string hex(ByteView bytes);
/// Errors: Malformed on an odd length or a character that is not hexadecimal.
Result<Bytes> from_hex(std::string_view text);
/// RFC 4648 §4, padded.
std::string base64(ByteView bytes);
/// RFC 4648 §4; padding required, no white space. Errors: Malformed.
Result<Bytes> from_base64(std::string_view text);
/// RFC 4648 §5, unpadded, as JOSE uses it.
std::string base64url(ByteView bytes);
/// Errors: Malformed on padding, white space or non-zero trailing bits.
Result<Bytes> from_base64url(std::string_view text);

/// SHA-256 of the bytes.
Digest sha256(ByteView bytes);
/// Cryptographically secure random bytes (OpenSSL's generator); ends the process when the generator fails.
void random_bytes(std::span<std::uint8_t> out);
Id16 random_id();
/// Compares in time that depends on the lengths only.
bool equal_constant_time(ByteView a, ByteView b);

}  // namespace sallyport
