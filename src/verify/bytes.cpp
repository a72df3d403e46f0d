#include "verify/bytes.h"

#include <cstring>

namespace sallyport::verify {

std::string hex(View bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const auto b : bytes) {
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

namespace {
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

std::string base64(View bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t v = 0;
    for (std::size_t k = 0; k < 3; ++k) v = v << 8 | (k < n ? bytes[i + k] : 0);
    for (std::size_t k = 0; k < 4; ++k) out += k <= n ? kAlphabet[v >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::optional<Blob> unbase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  Blob out;
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::uint32_t v = 0;
    std::size_t padding = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const char c = text[i + k];
      if (c == '=') {
        if (i + 4 != text.size() || k < 2) return std::nullopt;
        ++padding;
        v <<= 6;
        continue;
      }
      const auto digit = kAlphabet.find(c);
      if (digit == std::string_view::npos || padding != 0) return std::nullopt;
      v = v << 6 | static_cast<std::uint32_t>(digit);
    }
    for (std::size_t k = 0; k < 3 - padding; ++k) out.push_back(static_cast<std::uint8_t>(v >> (16 - 8 * k)));
  }
  if (base64(out) != text) return std::nullopt;  // trailing bits must be zero: one spelling only
  return out;
}

namespace {

/// Eight tables, eight bytes a step: for machines without the instruction, and what a test compares the instruction with.
std::uint32_t crc_by_tables(std::uint32_t c, View bytes) {
  static const auto kTables = [] {
    std::array<std::array<std::uint32_t, 256>, 8> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int k = 0; k < 8; ++k) c = c & 1 ? c >> 1 ^ 0x82F63B78U : c >> 1;
      t[0][i] = c;
    }
    for (std::size_t s = 1; s < 8; ++s)
      for (std::size_t i = 0; i < 256; ++i) t[s][i] = t[s - 1][i] >> 8 ^ t[0][t[s - 1][i] & 255];
    return t;
  }();
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    const auto* p = bytes.data() + i;
    c ^= static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 | static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24;
    c = kTables[7][c & 255] ^ kTables[6][c >> 8 & 255] ^ kTables[5][c >> 16 & 255] ^ kTables[4][c >> 24] ^ kTables[3][p[4]] ^ kTables[2][p[5]] ^ kTables[1][p[6]] ^ kTables[0][p[7]];
  }
  for (; i < bytes.size(); ++i) c = c >> 8 ^ kTables[0][(c ^ bytes[i]) & 255];
  return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc_of_some(std::uint32_t c, View bytes) {
  std::uint64_t wide = c;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, bytes.data() + i, 8);
    wide = __builtin_ia32_crc32di(wide, eight);
  }
  c = static_cast<std::uint32_t>(wide);
  for (; i < bytes.size(); ++i) c = __builtin_ia32_crc32qi(c, bytes[i]);
  return c;
}

/// Three stretches side by side, for the instruction waits for its own last result; then each is carried over the one behind it, as if
/// zeros followed: that is linear, so a table of each byte of the checksum does it.
__attribute__((target("sse4.2"))) std::uint32_t crc_by_instruction(std::uint32_t c, View bytes) {
  constexpr std::size_t kStretch = 512;
  static const auto kCarried = [] {
    std::array<std::array<std::uint32_t, 256>, 4> t{};
    const std::array<std::uint8_t, kStretch> zeros{};
    for (std::size_t k = 0; k < 4; ++k)
      for (std::uint32_t v = 0; v < 256; ++v) t[k][v] = crc_of_some(v << (8 * k), zeros);
    return t;
  }();
  const auto carried = [](std::uint32_t x) { return kCarried[0][x & 255] ^ kCarried[1][x >> 8 & 255] ^ kCarried[2][x >> 16 & 255] ^ kCarried[3][x >> 24]; };
  for (; bytes.size() >= 3 * kStretch; bytes = bytes.subspan(3 * kStretch)) {
    std::uint64_t one = c, two = 0, three = 0;
    for (const auto *p = bytes.data(), *end = p + kStretch; p != end; p += 8) {
      std::uint64_t a = 0, b = 0, d = 0;
      std::memcpy(&a, p, 8);
      std::memcpy(&b, p + kStretch, 8);
      std::memcpy(&d, p + 2 * kStretch, 8);
      one = __builtin_ia32_crc32di(one, a);
      two = __builtin_ia32_crc32di(two, b);
      three = __builtin_ia32_crc32di(three, d);
    }
    c = carried(carried(static_cast<std::uint32_t>(one)) ^ static_cast<std::uint32_t>(two)) ^ static_cast<std::uint32_t>(three);
  }
  return crc_of_some(c, bytes);
}
#endif

}  // namespace

std::uint32_t crc32c_by_tables(std::uint32_t before, View bytes) { return ~crc_by_tables(~before, bytes); }

std::uint32_t crc32c(std::uint32_t before, View bytes) {
#if defined(__x86_64__)
  static const bool kInstruction = __builtin_cpu_supports("sse4.2") != 0;
  if (kInstruction) return ~crc_by_instruction(~before, bytes);
#endif
  return crc32c_by_tables(before, bytes);
}

bool is_utf8_of_any(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::size_t n = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    if (n == 0 || i + n > text.size()) return false;
    for (std::size_t k = 1; k < n; ++k)
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
    if (n >= 3) {
      const auto d = static_cast<unsigned char>(text[i + 1]);
      if ((c == 0xE0 && d < 0xA0) || (c == 0xED && d >= 0xA0) || (c == 0xF0 && d < 0x90) || (c == 0xF4 && d >= 0x90)) return false;
    }
    i += n;
  }
  return true;
}

}  // namespace sallyport::verify
