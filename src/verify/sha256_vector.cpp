// SHA-256 in the lanes of a vector unit: word i of every lane's message in one register (see sha256_many.h). One source for 8 and for 16
// lanes; what compiles it for AVX2 or AVX-512 is the attribute of the two functions at the end.
#include "verify/sha256_lanes.h"

#if defined(__x86_64__)
#define INLINE [[gnu::always_inline]] static inline

namespace sallyport::verify::lanes {
namespace {

template <std::size_t N>
struct Vector {
  static constexpr std::size_t kLanes = N;
  using Words = std::uint32_t __attribute__((vector_size(4 * N)));
  using Bytes = std::uint8_t __attribute__((vector_size(4 * N)));
  using Lanes = std::make_index_sequence<N>;

  INLINE void turn(Words& out, const Words& x, int by) { out = x >> by | x << (32 - by); }
  template <std::size_t... I>
  INLINE void to_big_endian(Words& words, std::index_sequence<I...>) {
    const auto bytes = reinterpret_cast<const Bytes&>(words);
    words = reinterpret_cast<Words>(__builtin_shufflevector(bytes, bytes, static_cast<int>(I ^ 3)...));
  }
  /// One step of a transposition: exchanges the halves of a square of 2 * kSide words in rows a and b.
  template <std::size_t kSide, std::size_t... I>
  INLINE void exchange(Words& a, Words& b, std::index_sequence<I...>) {
    const Words upper = a, lower = b;
    a = __builtin_shufflevector(upper, lower, static_cast<int>((I & kSide) == 0 ? I : N + I - kSide)...);
    b = __builtin_shufflevector(upper, lower, static_cast<int>((I & kSide) == 0 ? I + kSide : N + I)...);
  }
  template <std::size_t kSide>
  INLINE void exchange_all(Words* rows) {
#pragma clang loop unroll(full)
    for (std::size_t i = 0; i < N; ++i)
      if ((i & kSide) == 0) exchange<kSide>(rows[i], rows[i + kSide], Lanes{});
  }
  /// Rows of N words, one a lane, become N words, each with one lane an element.
  INLINE void transpose(Words* rows) {
    exchange_all<1>(rows);
    exchange_all<2>(rows);
    exchange_all<4>(rows);
    if constexpr (N == 16) exchange_all<8>(rows);
  }
  INLINE void load(Words* w, const std::uint8_t* const* from, std::size_t offset) {
#pragma clang loop unroll(full)
    for (std::size_t part = 0; part < 16; part += N) {
#pragma clang loop unroll(full)
      for (std::size_t lane = 0; lane < N; ++lane) {
        std::memcpy(&w[part + lane], from[lane] + offset + 4 * part, sizeof(Words));
        to_big_endian(w[part + lane], std::make_index_sequence<4 * N>{});
      }
      transpose(w + part);
    }
  }

  [[gnu::always_inline]] inline void run(const std::uint8_t* const* from, std::size_t blocks) {
    Words s[8];
    std::memcpy(s, state_, sizeof s);
    for (std::size_t offset = 0; offset < 64 * blocks; offset += 64) {
      Words w[16];
      load(w, from, offset);
      Words a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
      for (std::size_t start = 0; start < 64; start += 16) {
#pragma clang loop unroll(full)
        for (std::size_t i = 0; i < 16; ++i) {
          Words x, y, z;
          if (start != 0) {
            turn(x, w[(i + 1) & 15], 7), turn(y, w[(i + 1) & 15], 18);
            w[i] += x ^ y ^ w[(i + 1) & 15] >> 3;
            turn(x, w[(i + 14) & 15], 17), turn(y, w[(i + 14) & 15], 19);
            w[i] += w[(i + 9) & 15] + (x ^ y ^ w[(i + 14) & 15] >> 10);
          }
          // Summed in the order in which the parts come: what waits for e, and what waits for a, is added last.
          turn(x, e, 6), turn(y, e, 11), turn(z, e, 25);
          const Words early = (g ^ (e & (f ^ g))) + (h + (w[i] + kRound[start + i])), late = x ^ y ^ z;
          turn(x, a, 2), turn(y, a, 13), turn(z, a, 22);
          const Words two = (b ^ ((a ^ b) & (b ^ c))) + (early + late);
          h = g, g = f, f = e, e = (d + early) + late, d = c, c = b, b = a, a = two + (x ^ y ^ z);
        }
      }
      s[0] += a, s[1] += b, s[2] += c, s[3] += d, s[4] += e, s[5] += f, s[6] += g, s[7] += h;
    }
    std::memcpy(state_, s, sizeof s);
  }
  void start(std::size_t lane) {
    for (std::size_t i = 0; i < 8; ++i) state_[i][lane] = kStart[i];
  }
  void digest(std::size_t lane, Hash& out) const {
    for (std::size_t i = 0; i < 8; ++i) {
      const auto word = std::byteswap(state_[i][lane]);
      std::memcpy(out.data() + 4 * i, &word, 4);
    }
  }

 private:
  alignas(64) std::uint32_t state_[8][N] = {};
};

}  // namespace

__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,bmi2"))) void avx512(std::span<const Message> messages) { share<Vector<16>>(messages); }
__attribute__((target("avx2,bmi2"))) void avx2(std::span<const Message> messages) { share<Vector<8>>(messages); }

// The builtin asks the system as well: an instruction whose registers it does not save is not there.
bool has_avx512() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("bmi2"); }
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"); }

}  // namespace sallyport::verify::lanes
#endif
