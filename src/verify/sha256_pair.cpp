// SHA-256 by the SHA instructions, two messages interleaved: one waits for its own last round half of the time (see sha256_many.h).
#include "verify/sha256_lanes.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

namespace sallyport::verify::lanes {
namespace {

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))
#define INLINE_WITH_SHA __attribute__((target("sha,sse4.1,ssse3"), always_inline)) inline

struct Pair {
  static constexpr std::size_t kLanes = 2;

  /// What one stream keeps: the state in the order of the instructions, and the last sixteen words of the schedule.
  struct Stream {
    __m128i abef, cdgh, w[4];
  };
  INLINE_WITH_SHA static void four_rounds(Stream& s, int i) {
    const __m128i k = _mm_load_si128(reinterpret_cast<const __m128i*>(kRound + 4 * i));
    const __m128i words = _mm_add_epi32(s.w[i & 3], k);
    s.cdgh = _mm_sha256rnds2_epu32(s.cdgh, s.abef, words);
    s.abef = _mm_sha256rnds2_epu32(s.abef, s.cdgh, _mm_shuffle_epi32(words, 0x0E));
    if (i >= 12) return;
    // The words sixteen places on, in place of these.
    const __m128i last = s.w[(i + 3) & 3];
    const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(s.w[i & 3], s.w[(i + 1) & 3]), _mm_alignr_epi8(last, s.w[(i + 2) & 3], 4));
    s.w[i & 3] = _mm_sha256msg2_epu32(sum, last);
  }
  INLINE_WITH_SHA static void load(Stream& s, const std::uint8_t* from) {
    const __m128i swap = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);
    for (int i = 0; i < 4; ++i) s.w[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 16 * i)), swap);
  }
  WITH_SHA void run(const std::uint8_t* const* from, std::size_t blocks) {
    Stream x, y;
    std::memcpy(&x, state_[0], 32);
    std::memcpy(&y, state_[1], 32);
    for (std::size_t at = 0; at < 64 * blocks; at += 64) {
      const Stream x_before = x, y_before = y;
      load(x, from[0] + at);
      load(y, from[1] + at);
#pragma clang loop unroll(full)
      for (int i = 0; i < 16; ++i) {
        four_rounds(x, i);
        four_rounds(y, i);
      }
      x.abef = _mm_add_epi32(x.abef, x_before.abef), x.cdgh = _mm_add_epi32(x.cdgh, x_before.cdgh);
      y.abef = _mm_add_epi32(y.abef, y_before.abef), y.cdgh = _mm_add_epi32(y.cdgh, y_before.cdgh);
    }
    std::memcpy(state_[0], &x, 32);
    std::memcpy(state_[1], &y, 32);
  }
  void start() {
    for (auto& stream : state_)
      for (std::size_t i = 0; i < 8; ++i) stream[i] = kStart[kOrder[i]];
  }
  void end(Hash* const* digests) const {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      if (digests[lane] == nullptr) continue;
      for (std::size_t i = 0; i < 8; ++i) {
        const auto word = std::byteswap(state_[lane][i]);
        std::memcpy(digests[lane]->data() + 4 * kOrder[i], &word, 4);
      }
    }
  }

 private:
  static constexpr std::size_t kOrder[8] = {5, 4, 1, 0, 7, 6, 3, 2};  // f e b a, h g d c
  alignas(16) std::uint32_t state_[2][8] = {};
};

}  // namespace

void sha_pair(std::span<const Message> messages) { share<Pair>(messages); }

bool has_sha() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0 && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

}  // namespace sallyport::verify::lanes
#endif
