#include "identity/totp.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

#include "base/bytes.h"

namespace sallyport::identity {

namespace {

constexpr std::int64_t kStep = 30'000'000'000;

std::optional<Bytes> from_base32(std::string_view text) {
  Bytes out;
  std::uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    if (c == ' ' || c == '-' || c == '=') continue;
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    const int value = c >= 'A' && c <= 'Z' ? c - 'A' : c >= '2' && c <= '7' ? c - '2' + 26 : -1;
    if (value < 0) return std::nullopt;
    bits = bits << 5 | static_cast<std::uint32_t>(value);
    count += 5;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<std::uint8_t>(bits >> count));
  }
  return out;
}

/// RFC 4226 §5.3.
std::string hotp(const Bytes& secret, std::uint64_t counter) {
  std::array<std::uint8_t, 8> message;
  for (int i = 7; i >= 0; --i, counter >>= 8) message[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(counter);
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> mac;
  unsigned length = 0;
  HMAC(EVP_sha1(), secret.data(), static_cast<int>(secret.size()), message.data(), message.size(), mac.data(), &length);
  const std::size_t at = mac[length - 1] & 0xF;
  const std::uint32_t value = (static_cast<std::uint32_t>(mac[at] & 0x7F) << 24) | (static_cast<std::uint32_t>(mac[at + 1]) << 16) | (static_cast<std::uint32_t>(mac[at + 2]) << 8) | mac[at + 3];
  auto text = std::to_string(value % 1'000'000);
  return std::string(6 - text.size(), '0') + text;
}

}  // namespace

std::optional<std::int64_t> check_totp(std::string_view base32_secret, std::string_view code, std::int64_t last_step, std::int64_t wall_ns) {
  const auto secret = from_base32(base32_secret);
  if (!secret || secret->size() < 16) return std::nullopt;
  std::optional<std::int64_t> found;
  for (std::int64_t step = wall_ns / kStep - 1; step <= wall_ns / kStep + 1; ++step) {
    const bool same = equal_constant_time(as_bytes(hotp(*secret, static_cast<std::uint64_t>(step))), as_bytes(code));
    if (same && step > last_step && !found) found = step;
  }
  return found;
}

}  // namespace sallyport::identity
