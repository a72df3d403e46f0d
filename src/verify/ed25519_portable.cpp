// Ed25519 verification after RFC 8032 §5.1.7, written to be read: numbers modulo p = 2^255 - 19 in ten limbs of 26 and 25 bits
// (products fit 64 signed bits, which WebAssembly has), points in extended coordinates with the one complete addition of §5.1.4.
// See crypto_portable.h.
#include <algorithm>
#include <cstring>

#include "verify/crypto_portable.h"

namespace sallyport::verify::portable {
namespace {

using Bytes32 = std::array<std::uint8_t, 32>;

/// A number modulo p: the sum of limb i times 2^ceil(25.5 i). After carry() limbs are below 2^25 or so in amount, signed.
struct Field {
  std::int64_t limb[10] = {};
};

constexpr int bits(int limb) { return limb % 2 == 0 ? 26 : 25; }

void carry(Field& x) {
  // Rounded to the nearest, so that limbs stay small on both sides of zero. What leaves the top comes back times 19.
  for (const int i : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1}) {
    const std::int64_t over = (x.limb[i] + (std::int64_t{1} << (bits(i) - 1))) >> bits(i);
    x.limb[i] -= over * (std::int64_t{1} << bits(i));
    if (i == 9) x.limb[0] += 19 * over;
    else x.limb[i + 1] += over;
  }
}

Field operator+(const Field& a, const Field& b) {
  Field out;
  for (int i = 0; i < 10; ++i) out.limb[i] = a.limb[i] + b.limb[i];
  carry(out);
  return out;
}
Field operator-(const Field& a, const Field& b) {
  Field out;
  for (int i = 0; i < 10; ++i) out.limb[i] = a.limb[i] - b.limb[i];
  carry(out);
  return out;
}
Field operator*(const Field& a, const Field& b) {
  Field out;
#pragma clang loop unroll(full)
  for (int i = 0; i < 10; ++i) {
#pragma clang loop unroll(full)
    for (int j = 0; j < 10; ++j) {
      // Two odd limbs meet half a bit too low each; above 2^255 counts 19-fold.
      const std::int64_t twice = i % 2 == 1 && j % 2 == 1 ? 2 : 1, fold = i + j >= 10 ? 19 : 1;
      out.limb[(i + j) % 10] += a.limb[i] * (twice * fold * b.limb[j]);
    }
  }
  carry(out);
  return out;
}
Field squared(Field x, int times) {
  while (times-- > 0) x = x * x;
  return x;
}

Field number(std::int64_t small) { return {{small}}; }

/// Little-endian; the topmost bit is the caller's. Numbers from p upwards are taken as what they are modulo p.
Field decoded(const Bytes32& bytes) {
  Field out;
  int at = 0;
  for (int i = 0; i < 10; ++i) {
    for (int k = 0; k < bits(i); ++k, ++at) out.limb[i] |= static_cast<std::int64_t>(bytes[static_cast<std::size_t>(at / 8)] >> (at % 8) & 1) << k;
  }
  carry(out);
  return out;
}

/// The one number from 0 to p - 1.
Bytes32 encoded(Field x) {
  carry(x);
  // How often p goes into x: x + 19 reaches 2^255 just when x reaches p. Negative when x is.
  std::int64_t times = (19 * x.limb[9] + (std::int64_t{1} << 24)) >> 25;
  for (int i = 0; i < 10; ++i) times = (x.limb[i] + times) >> bits(i);
  x.limb[0] += 19 * times;
  for (int i = 0; i < 10; ++i) {
    const std::int64_t over = x.limb[i] >> bits(i);
    x.limb[i] -= over * (std::int64_t{1} << bits(i));
    if (i < 9) x.limb[i + 1] += over;
  }
  Bytes32 out{};
  int at = 0;
  for (int i = 0; i < 10; ++i)
    for (int k = 0; k < bits(i); ++k, ++at) out[static_cast<std::size_t>(at / 8)] |= static_cast<std::uint8_t>((x.limb[i] >> k & 1) << (at % 8));
  return out;
}

bool same(const Field& a, const Field& b) { return encoded(a) == encoded(b); }
bool is_odd(const Field& x) { return (encoded(x)[0] & 1) != 0; }

/// x^(2^250 - 1), on the way to both exponents below.
Field power_250(const Field& x) {
  const Field x2 = x * x, x9 = squared(x2, 2) * x, x11 = x9 * x2;
  const Field to5 = x11 * x11 * x9, to10 = squared(to5, 5) * to5, to20 = squared(to10, 10) * to10;
  const Field to40 = squared(to20, 20) * to20, to50 = squared(to40, 10) * to10, to100 = squared(to50, 50) * to50;
  const Field to200 = squared(to100, 100) * to100;
  return squared(to200, 50) * to50;
}
Field inverse(const Field& x) { return squared(power_250(x), 5) * (x * x * x * squared(x, 3)); }  // x^(p - 2), that is 32 (2^250 - 1) + 11
Field power_p58(const Field& x) { return squared(power_250(x), 2) * x; }                        // x^((p - 5) / 8)

Field constant(std::string_view hexadecimal) {  // big-endian, as the RFC prints them
  Bytes32 out{};
  const auto digit = [](char c) { return static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
  for (std::size_t i = 0; i < 32; ++i) out[31 - i] = static_cast<std::uint8_t>(digit(hexadecimal[2 * i]) << 4 | digit(hexadecimal[2 * i + 1]));
  return decoded(out);
}

struct Curve {
  Field d = constant("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3");        // -121665 / 121666
  Field twice_d = d + d;
  Field root = constant("2b8324804fc1df0b2b4d00993dfbd7a72f431806ad2fe478c4ee1b274a0ea0b0");     // of -1
};
const Curve& curve() {
  static const Curve kCurve;
  return kCurve;
}

/// x = X/Z, y = Y/Z, xy = T/Z. The default is the neutral element.
struct Point {
  Field x, y = number(1), z = number(1), t;
};

Point operator+(const Point& p, const Point& q) {
  const Field a = (p.y - p.x) * (q.y - q.x), b = (p.y + p.x) * (q.y + q.x), c = p.t * curve().twice_d * q.t, d = (p.z + p.z) * q.z;
  const Field e = b - a, f = d - c, g = d + c, h = b + a;
  return {e * f, g * h, f * g, e * h};
}
Point doubled(const Point& p) {
  const Field a = p.x * p.x, b = p.y * p.y, zz = p.z * p.z, c = zz + zz, h = a + b, sum = p.x + p.y;
  const Field e = h - sum * sum, g = a - b, f = c + g;
  return {e * f, g * h, f * g, e * h};
}
Point negated(Point p) {
  p.x = number(0) - p.x;
  p.t = number(0) - p.t;
  return p;
}

/// §5.1.3 as OpenSSL reads it: y from p upwards, and the sign of x = 0, are let pass.
std::optional<Point> point(Bytes32 bytes) {
  const bool sign = (bytes[31] & 0x80) != 0;
  Point out;
  out.y = decoded(bytes);  // 255 bits; the sign is the 256th
  const Field yy = out.y * out.y, u = yy - number(1), v = curve().d * yy + number(1), v3 = v * v * v;
  out.x = u * v3 * power_p58(u * v3 * v3 * v);
  const Field check = v * out.x * out.x;
  if (!same(check, u)) {
    if (!same(check, number(0) - u)) return std::nullopt;
    out.x = out.x * curve().root;
  }
  if (is_odd(out.x) != sign) out.x = number(0) - out.x;
  out.t = out.x * out.y;
  return out;
}

Bytes32 encoded(const Point& p) {
  const Field z = inverse(p.z);
  Bytes32 out = encoded(p.y * z);
  if (is_odd(p.x * z)) out[31] |= 0x80;
  return out;
}

// L = 2^252 + 27742317777372353535851937790883648493, the order of the base point; little-endian.
constexpr Bytes32 kOrder = {0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};

bool below_order(const Bytes32& x) { return std::lexicographical_compare(x.rbegin(), x.rend(), kOrder.rbegin(), kOrder.rend()); }

/// A number of 64 bytes modulo L, bit by bit from the top: never more than twice L is held.
Bytes32 modulo_order(const std::array<std::uint8_t, 64>& number) {
  Bytes32 out{};
  for (int bit = 511; bit >= 0; --bit) {
    unsigned in = number[static_cast<std::size_t>(bit / 8)] >> (bit % 8) & 1;
    for (auto& byte : out) {
      const unsigned wide = byte * 2u + in;
      byte = static_cast<std::uint8_t>(wide);
      in = wide >> 8;
    }
    if (below_order(out)) continue;
    int borrow = 0;
    for (std::size_t i = 0; i < 32; ++i) {
      const int left = out[i] - kOrder[i] - borrow;
      out[i] = static_cast<std::uint8_t>(left);
      borrow = left < 0 ? 1 : 0;
    }
  }
  return out;
}

/// s P + k Q, both bits of a place at once.
Point sum_of_products(const Bytes32& s, const Point& p, const Bytes32& k, const Point& q) {
  const Point both = p + q;
  Point out;
  for (int bit = 255; bit >= 0; --bit) {
    out = doubled(out);
    const auto has = [bit](const Bytes32& x) { return (x[static_cast<std::size_t>(bit / 8)] >> (bit % 8) & 1) != 0; };
    if (has(s) && has(k)) out = out + both;
    else if (has(s)) out = out + p;
    else if (has(k)) out = out + q;
  }
  return out;
}

}  // namespace

bool ed25519_fits(const std::array<std::uint8_t, 32>& key, View message, View signature) {
  if (signature.size() != 64) return false;
  const Bytes32 r = fixed<32>(signature, 0), s = fixed<32>(signature, 32);
  const auto a = point(key);
  if (!below_order(s) || !a) return false;
  static const Point kBase = *point({0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                     0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66});  // y = 4/5
  const Bytes32 k = modulo_order(sha512({r, key, message}));
  return encoded(sum_of_products(s, kBase, k, negated(*a))) == r;
}

}  // namespace sallyport::verify::portable
