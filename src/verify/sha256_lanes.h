#pragma once
// How messages of different lengths share lanes: each lane holds one, padded, and takes the next when it ends. Used by the paths of
// sha256_many.h only. An Engine has kLanes, start(lane), run(from, blocks) and digest(lane); the caller compiles it for its instructions.
#include <algorithm>
#include <bit>
#include <cstring>

#include "verify/sha256_many.h"

namespace sallyport::verify::lanes {

inline constexpr std::uint32_t kStart[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
alignas(64) inline constexpr std::uint32_t kRound[64] = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5, 0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74,
    0x80DEB1FE, 0x9BDC06A7, 0xC19BF174, 0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA, 0x983E5152, 0xA831C66D,
    0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967, 0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E,
    0x92722C85, 0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070, 0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5,
    0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3, 0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2};

// A longer message would leave the other lanes idle at the end: it is hashed by itself.
constexpr std::size_t kMostBytes = 2048, kMostBlocks = (kMostBytes + 1 + 9 + 63) / 64;

/// The message as FIPS 180-4 §5.1.1 pads it; how many blocks that are.
inline std::size_t pad(const Message& message, std::uint8_t* out) {
  const std::size_t front = message.before >= 0 ? 1 : 0, n = front + message.bytes.size(), blocks = (n + 9 + 63) / 64;
  // The padding lies in the last block and the nine bytes before it; two blocks of zeros are a few instructions, fewer bytes are a call.
  std::memset(out + 64 * blocks - 64, 0, 64);
  if (blocks > 1) std::memset(out + 64 * blocks - 128, 0, 64);
  out[0] = static_cast<std::uint8_t>(message.before);
  if (!message.bytes.empty()) std::memcpy(out + front, message.bytes.data(), message.bytes.size());
  out[n] = 0x80;
  const std::uint64_t bits = std::byteswap(std::uint64_t{n} * 8);
  std::memcpy(out + 64 * blocks - 8, &bits, 8);
  return blocks;
}

void hash_alone(const Message& message);  // by Sha256

template <class Engine>
[[gnu::always_inline]] inline void share(std::span<const Message> messages) {
  constexpr std::size_t kLanes = Engine::kLanes;
  static constexpr std::uint8_t kNothing[64 * kMostBlocks] = {};  // what a lane without a message reads
  Engine engine;
  alignas(64) std::uint8_t padded[kLanes][64 * kMostBlocks];
  const std::uint8_t* from[kLanes];
  std::size_t left[kLanes];
  Hash* digest[kLanes];
  std::size_t next = 0, busy = 0;
  const auto fill = [&](std::size_t lane) {
    for (; next < messages.size() && messages[next].bytes.size() > kMostBytes; ++next) hash_alone(messages[next]);
    if (next == messages.size()) return left[lane] = 0, false;
    digest[lane] = messages[next].digest;
    left[lane] = pad(messages[next++], padded[lane]);
    from[lane] = padded[lane];
    engine.start(lane);
    return true;
  };
  for (std::size_t lane = 0; lane < kLanes; ++lane) busy += fill(lane);
  while (busy > 0) {
    std::size_t blocks = kMostBlocks;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      if (left[lane] == 0) from[lane] = kNothing;
      else blocks = std::min(blocks, left[lane]);
    }
    engine.run(from, blocks);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      if (left[lane] == 0) continue;
      from[lane] += 64 * blocks;
      if ((left[lane] -= blocks) > 0) continue;
      engine.digest(lane, *digest[lane]);
      busy -= !fill(lane);
    }
  }
}

#if defined(__x86_64__)
void avx512(std::span<const Message> messages);
void avx2(std::span<const Message> messages);
void sha_pair(std::span<const Message> messages);
bool has_avx512();
bool has_avx2();
bool has_sha();
#endif

}  // namespace sallyport::verify::lanes
