#include "verify/crypto_portable.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "verify/crypto.h"

namespace sallyport::verify::portable {
namespace {

// The cube roots of the first 80 primes, 64 bits of their fractions. SHA-256 uses the upper halves of the first 64.
constexpr std::uint64_t kRoots[80] = {
    0x428A2F98D728AE22, 0x7137449123EF65CD, 0xB5C0FBCFEC4D3B2F, 0xE9B5DBA58189DBBC, 0x3956C25BF348B538, 0x59F111F1B605D019, 0x923F82A4AF194F9B, 0xAB1C5ED5DA6D8118,
    0xD807AA98A3030242, 0x12835B0145706FBE, 0x243185BE4EE4B28C, 0x550C7DC3D5FFB4E2, 0x72BE5D74F27B896F, 0x80DEB1FE3B1696B1, 0x9BDC06A725C71235, 0xC19BF174CF692694,
    0xE49B69C19EF14AD2, 0xEFBE4786384F25E3, 0x0FC19DC68B8CD5B5, 0x240CA1CC77AC9C65, 0x2DE92C6F592B0275, 0x4A7484AA6EA6E483, 0x5CB0A9DCBD41FBD4, 0x76F988DA831153B5,
    0x983E5152EE66DFAB, 0xA831C66D2DB43210, 0xB00327C898FB213F, 0xBF597FC7BEEF0EE4, 0xC6E00BF33DA88FC2, 0xD5A79147930AA725, 0x06CA6351E003826F, 0x142929670A0E6E70,
    0x27B70A8546D22FFC, 0x2E1B21385C26C926, 0x4D2C6DFC5AC42AED, 0x53380D139D95B3DF, 0x650A73548BAF63DE, 0x766A0ABB3C77B2A8, 0x81C2C92E47EDAEE6, 0x92722C851482353B,
    0xA2BFE8A14CF10364, 0xA81A664BBC423001, 0xC24B8B70D0F89791, 0xC76C51A30654BE30, 0xD192E819D6EF5218, 0xD69906245565A910, 0xF40E35855771202A, 0x106AA07032BBD1B8,
    0x19A4C116B8D2D0C8, 0x1E376C085141AB53, 0x2748774CDF8EEB99, 0x34B0BCB5E19B48A8, 0x391C0CB3C5C95A63, 0x4ED8AA4AE3418ACB, 0x5B9CCA4F7763E373, 0x682E6FF3D6B2B8A3,
    0x748F82EE5DEFB2FC, 0x78A5636F43172F60, 0x84C87814A1F0AB72, 0x8CC702081A6439EC, 0x90BEFFFA23631E28, 0xA4506CEBDE82BDE9, 0xBEF9A3F7B2C67915, 0xC67178F2E372532B,
    0xCA273ECEEA26619C, 0xD186B8C721C0C207, 0xEADA7DD6CDE0EB1E, 0xF57D4F7FEE6ED178, 0x06F067AA72176FBA, 0x0A637DC5A2C898A6, 0x113F9804BEF90DAE, 0x1B710B35131C471B,
    0x28DB77F523047D84, 0x32CAAB7B40C72493, 0x3C9EBE0A15C9BEBC, 0x431D67C49C100D4C, 0x4CC5D4BECB3E42B6, 0x597F299CFC657E2A, 0x5FCB6FAB3AD6FAEC, 0x6C44198C4A475817};

// The rotations and shifts of FIPS 180-4 §4.1.2 and §4.1.3.
template <typename Word>
struct Turns;
template <>
struct Turns<std::uint32_t> {
  static constexpr int kRounds = 64, kA[] = {2, 13, 22}, kE[] = {6, 11, 25}, kOld[] = {7, 18, 3}, kNew[] = {17, 19, 10};
};
template <>
struct Turns<std::uint64_t> {
  static constexpr int kRounds = 80, kA[] = {28, 34, 39}, kE[] = {14, 18, 41}, kOld[] = {1, 8, 7}, kNew[] = {19, 61, 6};
};

template <typename Word>
Word big_endian(const std::uint8_t* bytes) {
  Word out;
  std::memcpy(&out, bytes, sizeof out);
  return std::endian::native == std::endian::little ? std::byteswap(out) : out;
}

template <typename Word>
void store(std::uint8_t* out, Word value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out[i] = static_cast<std::uint8_t>(value >> (8 * (sizeof value - 1 - i)));
}

/// One block of 16 words. Unrolled by sixteen, so that the schedule's ring and the eight variables stay in registers.
template <typename Word>
void compress(std::array<Word, 8>& state, const std::uint8_t* bytes) {
  using T = Turns<Word>;
  constexpr int kHalf = sizeof(Word) == 4 ? 32 : 0;
  const auto turn = [](Word x, const int (&by)[3]) { return std::rotr(x, by[0]) ^ std::rotr(x, by[1]) ^ std::rotr(x, by[2]); };
  const auto mix = [](Word x, const int (&by)[3]) { return std::rotr(x, by[0]) ^ std::rotr(x, by[1]) ^ x >> by[2]; };
  Word w[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; ++i) w[i] = big_endian<Word>(bytes + sizeof(Word) * static_cast<std::size_t>(i));
  auto [a, b, c, d, e, f, g, h] = state;
  for (int start = 0; start < T::kRounds; start += 16) {
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; ++i) {
      if (start != 0) w[i] += mix(w[(i + 1) & 15], T::kOld) + w[(i + 9) & 15] + mix(w[(i + 14) & 15], T::kNew);
      const Word one = h + turn(e, T::kE) + (g ^ (e & (f ^ g))) + static_cast<Word>(kRoots[start + i] >> kHalf) + w[i];
      const Word two = turn(a, T::kA) + ((a & b) | (c & (a | b)));
      h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
    }
  }
  const Word after[] = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < 8; ++i) state[i] += after[i];
}

}  // namespace

void Sha256::block(const std::uint8_t* bytes) { compress(state_, bytes); }

Sha256& Sha256::add(View bytes) {
  if (bytes.empty()) return *this;
  const std::size_t held = size_ % 64;
  size_ += bytes.size();
  if (held != 0) {
    const std::size_t n = std::min(64 - held, bytes.size());
    std::memcpy(rest_ + held, bytes.data(), n);
    bytes = bytes.subspan(n);
    if (held + n < 64) return *this;
    block(rest_);
  }
  for (; bytes.size() >= 64; bytes = bytes.subspan(64)) block(bytes.data());
  if (!bytes.empty()) std::memcpy(rest_, bytes.data(), bytes.size());
  return *this;
}

Hash Sha256::done() {
  std::size_t held = size_ % 64;
  rest_[held++] = 0x80;
  if (held > 56) {
    std::memset(rest_ + held, 0, 64 - held);
    block(rest_);
    held = 0;
  }
  std::memset(rest_ + held, 0, 56 - held);
  store(rest_ + 56, size_ * 8);
  block(rest_);
  Hash out;
  for (std::size_t i = 0; i < 8; ++i) store(out.data() + 4 * i, state_[i]);
  return out;
}

std::array<std::uint8_t, 64> sha512(std::initializer_list<View> pieces) {
  std::array<std::uint64_t, 8> state = {0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
                                        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179};
  Blob all;
  for (const auto piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
  const std::uint64_t bits = std::uint64_t{all.size()} * 8;
  all.push_back(0x80);
  all.resize((all.size() + 16 + 127) / 128 * 128);
  store(all.data() + all.size() - 8, bits);
  for (std::size_t at = 0; at < all.size(); at += 128) compress(state, all.data() + at);
  std::array<std::uint8_t, 64> out;
  for (std::size_t i = 0; i < 8; ++i) store(out.data() + 8 * i, state[i]);
  return out;
}

}  // namespace sallyport::verify::portable

#if defined(__wasm__)  // there is no OpenSSL in a page: what crypto_openssl.cpp does elsewhere
namespace sallyport::verify {

static_assert(sizeof(portable::Sha256) <= sizeof(Sha256) && alignof(portable::Sha256) <= alignof(Sha256));

Sha256::Sha256() { new (state_) portable::Sha256; }
Sha256& Sha256::add(View bytes) {
  std::launder(reinterpret_cast<portable::Sha256*>(state_))->add(bytes);
  return *this;
}
Hash Sha256::done() { return std::launder(reinterpret_cast<portable::Sha256*>(state_))->done(); }

bool ed25519_fits(const std::array<std::uint8_t, 32>& key, View message, View signature) { return portable::ed25519_fits(key, message, signature); }

}  // namespace sallyport::verify
#endif
