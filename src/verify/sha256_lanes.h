#pragma once
// How messages of different lengths share lanes: in the order of their lengths, one a lane. Used by the paths of sha256_many.h only. An
// Engine has kLanes, start(), run(from, blocks) and end(digests), null where a lane goes on; the caller compiles it for its instructions.
#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "verify/sha256_many.h"

namespace sallyport::verify::lanes {

inline constexpr std::uint32_t kStart[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
alignas(64) inline constexpr std::uint32_t kRound[64] = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5, 0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74,
    0x80DEB1FE, 0x9BDC06A7, 0xC19BF174, 0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA, 0x983E5152, 0xA831C66D,
    0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967, 0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E,
    0x92722C85, 0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070, 0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5,
    0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3, 0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2};

// A longer message would leave the other lanes idle at the end, or be copied for its first byte: it is hashed by itself.
constexpr std::size_t kMostBytes = 16384, kMostCopied = 2048;
constexpr std::size_t kMostBlocks = (kMostBytes + 9 + 63) / 64, kMostPadded = (kMostCopied + 1 + 9 + 63) / 64;
inline bool is_long(const Message& message) { return message.bytes.size() > (message.before < 0 ? kMostBytes : kMostCopied); }
constexpr std::size_t kSome = 1024;      // so many are put in order at once

/// How many blocks a message is when it is padded (FIPS 180-4 §5.1.1).
inline std::size_t blocks_of(const Message& message) { return ((message.before >= 0 ? 1 : 0) + message.bytes.size() + 9 + 63) / 64; }

/// What the lanes read: a long message's blocks where they lie, but for the last two; then what is left of it, padded.
template <std::size_t kLanes>
struct Lanes {
  const std::uint8_t* from[kLanes];
  std::uint32_t here[kLanes], left[kLanes];   // blocks at `from`, and all
  Hash* digest[kLanes];
  alignas(64) std::uint8_t padded[kLanes][64 * kMostPadded + 64];   // behind a room of 64 bytes

  /// Copies of a size that the compiler knows are a few instructions; others are a call.
  [[gnu::always_inline]] void take(std::size_t lane, const Message& message) {
    constexpr std::size_t kTwo = 128, kEnd = kTwo - 9;   // the most of a message that its last two blocks can hold
    const auto& bytes = message.bytes;
    const auto blocks = blocks_of(message);
    auto* const out = padded[lane] + 64;
    std::size_t end = (message.before >= 0 ? 1 : 0) + bytes.size(), padded_blocks = blocks;
    const std::uint64_t bits = std::byteswap(std::uint64_t{end} * 8);
    from[lane] = out;
    if (message.before < 0 && blocks > 2) {
      from[lane] = bytes.data();
      padded_blocks = 2;
      end -= 64 * (blocks - 2);
      std::memset(out, 0, kTwo);
      std::memcpy(out + end - kEnd, bytes.data() + bytes.size() - kEnd, kEnd);  // reaches into the room in front
    } else if (message.before >= 0 && bytes.size() == 64) {
      std::memcpy(out + 1, bytes.data(), 64);
      std::memset(out + 65, 0, kTwo - 65);
    } else {
      std::memset(out + 64 * blocks - 64, 0, 64);
      if (blocks > 1) std::memset(out + 64 * blocks - 128, 0, 64);
      if (!bytes.empty()) std::memcpy(out + (message.before >= 0 ? 1 : 0), bytes.data(), bytes.size());
    }
    if (message.before >= 0) out[0] = static_cast<std::uint8_t>(message.before);
    out[end] = 0x80;
    std::memcpy(out + 64 * padded_blocks - 8, &bits, 8);
    here[lane] = static_cast<std::uint32_t>(from[lane] == out ? blocks : blocks - 2);
    left[lane] = static_cast<std::uint32_t>(blocks);
    digest[lane] = message.digest;
  }
  void take_nothing(std::size_t lane) {
    static constexpr std::uint8_t kNothing[64 * kMostBlocks] = {};
    from[lane] = kNothing;
    here[lane] = left[lane] = UINT32_MAX;
  }
};

void hash_alone(const Message& message);  // by Sha256

template <class Engine>
[[gnu::always_inline]] inline void hash_group(Engine& engine, Lanes<Engine::kLanes>& lanes, std::size_t busy) {
  constexpr std::size_t kLanes = Engine::kLanes;
  engine.start();
  while (busy > 0) {
    const auto blocks = *std::min_element(lanes.here, lanes.here + kLanes);
    engine.run(lanes.from, blocks);
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes.from[lane] += 64 * blocks, lanes.here[lane] -= blocks, lanes.left[lane] -= blocks;
    Hash* ended[kLanes] = {};
    bool any = false;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      if (lanes.here[lane] > 0) continue;
      lanes.from[lane] = lanes.padded[lane] + 64;
      lanes.here[lane] = lanes.left[lane];
      if (lanes.left[lane] > 0) continue;
      ended[lane] = lanes.digest[lane];
      lanes.take_nothing(lane);
      any = true;
      --busy;
    }
    if (any) engine.end(ended);
  }
}

/// Indexes of `messages`, those with as many blocks together, without those that are too long. How many.
inline std::size_t put_in_order(std::span<const Message> messages, std::uint16_t* order) {
  constexpr std::size_t kWays = 4;        // each has its counters: one that was just written is slow to read
  std::uint16_t place[kMostBlocks + 2][kWays] = {};
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (is_long(messages[i])) hash_alone(messages[i]);
    else ++place[blocks_of(messages[i])][i % kWays];
  }
  std::uint16_t all = 0;
  for (auto& ways : place)
    for (auto& one : ways) all = static_cast<std::uint16_t>(std::exchange(one, all) + all);
  for (std::size_t i = 0; i < messages.size(); ++i)
    if (!is_long(messages[i])) order[place[blocks_of(messages[i])][i % kWays]++] = static_cast<std::uint16_t>(i);
  return all;
}

/// Those that have as many blocks go together, so that no lane waits for another.
template <class Engine>
[[gnu::always_inline]] inline void share(std::span<const Message> messages) {
  constexpr std::size_t kLanes = Engine::kLanes;
  Engine engine;
  Lanes<kLanes> lanes;
  std::uint16_t order[kSome];
  for (; !messages.empty(); messages = messages.subspan(std::min(kSome, messages.size()))) {
    const auto some = messages.first(std::min(kSome, messages.size()));
    const auto all = put_in_order(some, order);
    for (std::size_t i = 0; i < all; i += kLanes) {
      const auto busy = std::min(kLanes, all - i);
      for (std::size_t lane = 0; lane < busy; ++lane) lanes.take(lane, some[order[i + lane]]);
      for (std::size_t lane = busy; lane < kLanes; ++lane) lanes.take_nothing(lane);
      hash_group(engine, lanes, busy);
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
