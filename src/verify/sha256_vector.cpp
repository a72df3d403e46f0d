// SHA-256 in the lanes of a vector unit: word i of every lane's message in one register (see sha256_many.h). One source for 8 and for 16
// lanes; what compiles it for AVX2 or AVX-512 is the attribute of the two functions at the end.
#include "verify/sha256_lanes.h"

#if defined(__x86_64__)
#define INLINE [[gnu::always_inline]] static inline

namespace sallyport::verify::lanes {
namespace {

template <std::size_t N, std::size_t S>
struct Vector {
  static constexpr std::size_t kLanes = N * S;
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
  template <std::size_t kSide, std::size_t kRows = N>
  INLINE void exchange_all(Words* rows) {
#pragma clang loop unroll(full)
    for (std::size_t i = 0; i < kRows; ++i)
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
    for (std::size_t offset = 0; offset < 64 * blocks; offset += 64) {
      Words w[S][16], s[S][8];
      for (std::size_t k = 0; k < S; ++k) load(w[k], from + N * k, offset);
      std::memcpy(s, state_, sizeof s);
#pragma clang loop unroll(full)
      for (std::size_t i = 0; i < 16; ++i)
        for (std::size_t k = 0; k < S; ++k) round(s[k], w[k][i], i);
      for (std::size_t start = 16; start < 64; start += 16) {
#pragma clang loop unroll(full)
        for (std::size_t i = 0; i < 16; ++i)
          for (std::size_t k = 0; k < S; ++k) {
            expand(w[k], i);
            round(s[k], w[k][i], i, start);
          }
      }
      for (std::size_t k = 0; k < S; ++k)
        for (std::size_t i = 0; i < 8; ++i) s[k][i] += reinterpret_cast<const Words&>(state_[k][i]);
      std::memcpy(state_, s, sizeof s);
    }
  }
  INLINE void expand(Words* w, std::size_t i) {
    Words x, y;
    turn(x, w[(i + 1) & 15], 7), turn(y, w[(i + 1) & 15], 18);
    w[i] += x ^ y ^ w[(i + 1) & 15] >> 3;
    turn(x, w[(i + 14) & 15], 17), turn(y, w[(i + 14) & 15], 19);
    w[i] += w[(i + 9) & 15] + (x ^ y ^ w[(i + 14) & 15] >> 10);
  }
  INLINE void round(Words* s, const Words& w, std::size_t i, std::size_t start = 0) {
    // What is a in round i is s[-i]: the names go round instead of the words.
    auto& a = s[(0 - i) & 7]; auto& b = s[(1 - i) & 7]; auto& c = s[(2 - i) & 7]; auto& d = s[(3 - i) & 7];
    auto& e = s[(4 - i) & 7]; auto& f = s[(5 - i) & 7]; auto& g = s[(6 - i) & 7]; auto& h = s[(7 - i) & 7];
    Words x, y, z;
    turn(x, e, 6), turn(y, e, 11), turn(z, e, 25);
    const Words first = h + (w + kRound[start + i]), ch = g ^ (e & (f ^ g)), late = x ^ y ^ z;
    d = d + first + ch + late;
    turn(x, a, 2), turn(y, a, 13), turn(z, a, 22);
    h = (first + ch + late) + ((b ^ ((a ^ b) & (b ^ c))) + (x ^ y ^ z));
  }
  void start() {
    for (auto& stream : state_)
      for (std::size_t i = 0; i < 8; ++i) std::ranges::fill(stream[i], kStart[i]);
  }
  /// A square of eight words is transposed in each half of the rows: a digest a half.
  [[gnu::always_inline]] inline void end(Hash* const* digests) const {
    for (std::size_t k = 0; k < S; ++k) {
      Words rows[8];
      std::memcpy(rows, state_[k], sizeof rows);
      for (auto& row : rows) to_big_endian(row, std::make_index_sequence<4 * N>{});
      exchange_all<1, 8>(rows);
      exchange_all<2, 8>(rows);
      exchange_all<4, 8>(rows);
      for (std::size_t lane = 0; lane < N; ++lane)
        if (auto* digest = digests[N * k + lane]) std::memcpy(digest->data(), reinterpret_cast<const std::uint8_t*>(&rows[lane % 8]) + 32 * (lane / 8), 32);
    }
  }

 private:
  alignas(64) std::uint32_t state_[S][8][N] = {};
};

}  // namespace

__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,bmi2"))) void avx512(std::span<const Message> messages) { share<Vector<16, 2>>(messages); }
__attribute__((target("avx2,bmi2"))) void avx2(std::span<const Message> messages) { share<Vector<8, 1>>(messages); }

// The builtin asks the system as well: an instruction whose registers it does not save is not there.
bool has_avx512() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("bmi2"); }
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"); }

}  // namespace sallyport::verify::lanes
#endif
