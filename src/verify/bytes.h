#pragma once
// The verifier's own bytes: hashes, encodings, little-endian numbers. It shares no code with the gateway, so that one bug
// cannot hide in both. Pure.
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::verify {

using Hash = std::array<std::uint8_t, 32>;
using Id = std::array<std::uint8_t, 16>;
using Blob = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

inline std::uint64_t little(View bytes, std::size_t at, std::size_t size) {
  std::uint64_t out = 0;
  for (std::size_t i = size; i-- > 0;) out = out << 8 | bytes[at + i];
  return out;
}
template <std::size_t N>
std::array<std::uint8_t, N> fixed(View bytes, std::size_t at) {
  std::array<std::uint8_t, N> out;
  std::memcpy(out.data(), bytes.data() + at, N);
  return out;
}
inline View view(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }
inline bool all_zero(View bytes) {
  for (const auto b : bytes)
    if (b != 0) return false;
  return true;
}

std::string hex(View bytes);
std::optional<Blob> unbase64(std::string_view text);  // RFC 4648 §4, padded, canonical
std::string base64(View bytes);
std::uint32_t crc32c(std::uint32_t before, View bytes);  // start with 0
std::uint32_t crc32c_by_tables(std::uint32_t before, View bytes);  // the same on a machine without the instruction
bool is_utf8_of_any(std::string_view text);
/// Whether it is; nearly always it is ASCII.
inline bool is_utf8(std::string_view text) {
  const auto ascii = [&]<class Word>(Word word, std::size_t at) {
    std::memcpy(&word, text.data() + at, sizeof word);
    return (word & static_cast<Word>(0x8080808080808080)) == 0;
  };
  // The last word overlaps the one before.
  if (text.size() < 4) return is_utf8_of_any(text);
  if (text.size() < 8) return (ascii(std::uint32_t{}, 0) && ascii(std::uint32_t{}, text.size() - 4)) || is_utf8_of_any(text);
  for (std::size_t i = 0; i + 8 <= text.size(); i += 8)
    if (!ascii(std::uint64_t{}, i)) return is_utf8_of_any(text);
  return ascii(std::uint64_t{}, text.size() - 8) || is_utf8_of_any(text);
}

/// SHA-256 in pieces (crypto.h says by whom).
class Sha256 {
 public:
  Sha256();
  Sha256& add(View bytes);
  Hash done();

 private:
  alignas(8) unsigned char state_[128];
};
Hash leaf_hash(View entry);                      // RFC 6962 §2.1
Hash node_hash(const Hash& left, const Hash& right);

}  // namespace sallyport::verify
