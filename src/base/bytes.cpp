#include "base/bytes.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sallyport {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string encode64(ByteView in, std::string_view alphabet, bool pad) {
  std::string out;
  out.reserve((in.size() + 2) / 3 * 4);
  std::size_t i = 0;
  for (; i + 2 < in.size(); i += 3) {
    const unsigned v = unsigned{in[i]} << 16 | unsigned{in[i + 1]} << 8 | in[i + 2];
    for (int shift = 18; shift >= 0; shift -= 6) out += alphabet[v >> shift & 63];
  }
  const std::size_t rest = in.size() - i;
  if (rest == 0) return out;
  const unsigned v = unsigned{in[i]} << 16 | (rest == 2 ? unsigned{in[i + 1]} << 8 : 0U);
  out += alphabet[v >> 18 & 63];
  out += alphabet[v >> 12 & 63];
  if (rest == 2) out += alphabet[v >> 6 & 63];
  if (pad) out.append(3 - rest, '=');
  return out;
}

Result<Bytes> decode64(std::string_view in, std::string_view alphabet) {
  if (in.size() % 4 == 1) return fail(ErrorKind::Malformed, "base64 has an impossible length");
  Bytes out;
  out.reserve(in.size() * 3 / 4);
  unsigned value = 0;
  int bits = 0;
  for (const char c : in) {
    const auto at = alphabet.find(c);
    if (at == std::string_view::npos) return fail(ErrorKind::Malformed, "base64 has a character outside its alphabet");
    value = (value << 6 | static_cast<unsigned>(at)) & 0xFFFFFF;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<std::uint8_t>(value >> bits));
      value &= (1U << bits) - 1;
    }
  }
  // Two spellings of one value would let two different texts name one token.
  if (value != 0) return fail(ErrorKind::Malformed, "base64 has non-zero trailing bits");
  return out;
}

}  // namespace

std::string hex(ByteView bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const auto b : bytes) {
    out += kHex[b >> 4];
    out += kHex[b & 15];
  }
  return out;
}

Result<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return fail(ErrorKind::Malformed, "hexadecimal has an odd length");
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]);
    const int low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return fail(ErrorKind::Malformed, "not a hexadecimal character");
    out.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return out;
}

std::string base64(ByteView bytes) { return encode64(bytes, kStandard, true); }

Result<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return fail(ErrorKind::Malformed, "base64 lacks its padding");
  if (text.ends_with("==")) text.remove_suffix(2);
  else if (text.ends_with('=')) text.remove_suffix(1);
  return decode64(text, kStandard);
}

std::string base64url(ByteView bytes) { return encode64(bytes, kUrl, false); }
Result<Bytes> from_base64url(std::string_view text) { return decode64(text, kUrl); }

Digest sha256(ByteView bytes) {
  // The algorithm is fetched once: an implicit fetch a call costs more than hashing a small entry.
  static const EVP_MD* const kMd = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  Digest out;
  if (EVP_Digest(bytes.data(), bytes.size(), out.data(), nullptr, kMd, nullptr) != 1) std::abort();
  return out;
}

namespace {

void fill(std::span<std::uint8_t> out) {
  if (RAND_bytes(out.data(), static_cast<int>(out.size())) == 1) return;
  std::fputs("sallyport: the random generator failed; stopping\n", stderr);
  std::abort();
}

/// A thread's small store of random bytes: a call of the generator costs as much for ten bytes as for hundreds. What was
/// given out is wiped; a child process begins with none.
struct RandomStore {
  std::array<std::uint8_t, 512> bytes{};
  std::size_t left = 0;
  unsigned process = 0;
};
thread_local RandomStore random_store;
std::atomic<unsigned> processes{0};

}  // namespace

void random_bytes(std::span<std::uint8_t> out) {
  if (out.size() > 32) return fill(out);
  static const int kForks = pthread_atfork(nullptr, nullptr, [] { ++processes; });
  if (kForks != 0) return fill(out);
  auto& store = random_store;
  if (const unsigned now = processes.load(std::memory_order_relaxed); store.left < out.size() || store.process != now) {
    fill(store.bytes);
    store.left = store.bytes.size();
    store.process = now;
  }
  auto* const from = store.bytes.data() + (store.left -= out.size());
  std::memcpy(out.data(), from, out.size());
  OPENSSL_cleanse(from, out.size());
}

Id16 random_id() {
  Id16 id;
  random_bytes(id);
  return id;
}

bool equal_constant_time(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace sallyport
