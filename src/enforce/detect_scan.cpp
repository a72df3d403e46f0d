#include "enforce/detect_scan.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sallyport::enforce::scan {
namespace {

struct Pair {
  unsigned char lead, next;
};
// First two bytes of what detect_fold folds: soft hyphen, no-break space, digits of other scripts, zero-width and other
// spaces, dashes, full-width forms. A few characters more fall under them; they only cost a look.
constexpr Pair kDisguises[] = {{0xC2, 0xA0}, {0xC2, 0xAD}, {0xCD, 0x8F}, {0xD9, 0xA0}, {0xDB, 0xB0}, {0xE0, 0xA5}, {0xE1, 0xA0}, {0xE2, 0x80},
                               {0xE2, 0x81}, {0xE2, 0x88}, {0xE3, 0x80}, {0xEF, 0xB8}, {0xEF, 0xB9}, {0xEF, 0xBB}, {0xEF, 0xBC}, {0xEF, 0xBD},
                               {0xF0, 0x9D}};

bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
bool is_hex(unsigned char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

// Arabic-Indic digits are ranges of second bytes, the rest are single ones.
bool is_disguise(unsigned char lead, unsigned char next) {
  if (lead == '\\') return true;
  if (lead < 0xC2) return false;
  if (lead == 0xD9) return next >= 0xA0 && next <= 0xA9;
  if (lead == 0xDB) return next >= 0xB0 && next <= 0xB9;
  for (const auto& pair : kDisguises)
    if (pair.lead == lead && pair.next == next) return true;
  return false;
}

// What stands at `at`, judged by the bytes around it; a byte outside of the text counts as zero.
Kind kind_at(std::string_view text, std::size_t at, unsigned kinds) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : '\0'; };
  const auto letter = [&](std::size_t i) { return static_cast<unsigned char>(byte(i) | 0x20); };
  const unsigned char c = byte(at);
  Kind kind = kNone;
  if (c == '@' || (c == '%' && byte(at + 1) == '4' && byte(at + 2) == '0')) kind = kAt;
  else if (is_digit(c)) kind = at > 0 && is_digit(byte(at - 1)) ? kNone : kDigit;
  else if (c == ':') kind = byte(at + 1) == ':' || is_hex(byte(at + 1)) ? kColon : kNone;
  else if (c == 'e') kind = byte(at + 1) == 'y' && byte(at + 2) == 'J' ? kJwt : kNone;
  else if (c == 'A') kind = (byte(at + 1) == 'K' || byte(at + 1) == 'S') && byte(at + 2) == 'I' && byte(at + 3) == 'A' ? kAws : kNone;
  else if ((c | 0x20) == 's') kind = letter(at + 1) == 'e' && letter(at + 2) == 'c' && letter(at + 3) == 'r' ? kSecret : kNone;
  else if (c == '-') kind = text.substr(at).starts_with("-----B") ? kPem : kNone;
  else if (is_disguise(c, byte(at + 1))) kind = kDisguise;
  return static_cast<Kind>(kind & kinds);
}

}  // namespace

Candidate next_scalar(std::string_view text, std::size_t from, unsigned kinds) {
  for (std::size_t i = from; i < text.size(); ++i)
    if (const Kind kind = kind_at(text, i, kinds)) return {i, kind};
  return {text.size(), kNone};
}

#if defined(__x86_64__)
namespace {

#define SALLYPORT_AVX2 __attribute__((target("avx2"), always_inline)) inline

SALLYPORT_AVX2 __m256i load(const char* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
SALLYPORT_AVX2 __m256i equal(__m256i v, char c) { return _mm256_cmpeq_epi8(v, _mm256_set1_epi8(c)); }
SALLYPORT_AVX2 __m256i both(__m256i a, __m256i b) { return _mm256_and_si256(a, b); }
SALLYPORT_AVX2 __m256i either(__m256i a, __m256i b) { return _mm256_or_si256(a, b); }
SALLYPORT_AVX2 unsigned bits(__m256i v) { return static_cast<unsigned>(_mm256_movemask_epi8(v)); }
SALLYPORT_AVX2 __m256i within(__m256i v, char first, int count) {
  const __m256i shifted = _mm256_sub_epi8(v, _mm256_set1_epi8(first));
  return _mm256_cmpeq_epi8(_mm256_min_epu8(shifted, _mm256_set1_epi8(static_cast<char>(count - 1))), shifted);
}

SALLYPORT_AVX2 unsigned disguises(__m256i v, const char* p) {
  const __m256i next = load(p + 1);
  __m256i found = either(both(equal(v, '\xD9'), within(next, '\xA0', 10)), both(equal(v, '\xDB'), within(next, '\xB0', 10)));
  for (const auto& pair : kDisguises)
    if (pair.lead != 0xD9 && pair.lead != 0xDB)
      found = either(found, both(equal(v, static_cast<char>(pair.lead)), equal(next, static_cast<char>(pair.next))));
  return bits(found);
}

constexpr std::size_t kBlock = 32, kAhead = 5;

// The candidates among 32 bytes; reads five bytes past them. `before` is the byte in front.
SALLYPORT_AVX2 unsigned block(const char* p, char before, unsigned kinds) {
  const __m256i v = load(p);
  unsigned found = 0;
  if (kinds & kDigit) {
    const unsigned digits = bits(within(v, '0', 10));
    found |= digits & ~(digits << 1 | static_cast<unsigned>(before >= '0' && before <= '9'));
  }
  __m256i any = _mm256_setzero_si256();
  if (kinds & kAt) {
    any = either(any, equal(v, '@'));
    any = either(any, both(equal(v, '%'), both(equal(load(p + 1), '4'), equal(load(p + 2), '0'))));
  }
  if (kinds & kColon) {
    const __m256i next = load(p + 1), lower = either(next, _mm256_set1_epi8(0x20));
    any = either(any, both(equal(v, ':'), either(equal(next, ':'), either(within(next, '0', 10), within(lower, 'a', 6)))));
  }
  if (kinds & kJwt) any = either(any, both(equal(v, 'e'), both(equal(load(p + 1), 'y'), equal(load(p + 2), 'J'))));
  if (kinds & kAws) {
    const __m256i next = load(p + 1);
    any = either(any, both(both(equal(v, 'A'), either(equal(next, 'K'), equal(next, 'S'))),
                           both(equal(load(p + 2), 'I'), equal(load(p + 3), 'A'))));
  }
  if (kinds & kSecret) {
    const __m256i bit = _mm256_set1_epi8(0x20);
    any = either(any, both(both(equal(either(v, bit), 's'), equal(either(load(p + 1), bit), 'e')),
                           both(equal(either(load(p + 2), bit), 'c'), equal(either(load(p + 3), bit), 'r'))));
  }
  if (kinds & kPem) {
    const __m256i ends = both(equal(v, '-'), equal(load(p + 5), 'B'));
    if (bits(ends))
      any = either(any, both(both(ends, equal(load(p + 1), '-')),
                             both(equal(load(p + 2), '-'), both(equal(load(p + 3), '-'), equal(load(p + 4), '-')))));
  }
  if (kinds & kDisguise) {
    any = either(any, equal(v, '\\'));
    if (bits(v)) found |= disguises(v, p);  // only where something is not ASCII
  }
  return found | bits(any);
}

}  // namespace

__attribute__((target("avx2"))) Candidate next_avx2(std::string_view text, std::size_t from, unsigned kinds) {
  const char* const data = text.data();
  const std::size_t size = text.size();
  std::size_t i = from;
  for (; i + kBlock + kAhead <= size; i += kBlock)
    if (const unsigned found = block(data + i, i > 0 ? data[i - 1] : '\0', kinds)) {
      i += static_cast<unsigned>(__builtin_ctz(found));
      return {i, kind_at(text, i, kinds)};
    }
  // The rest, with zeros behind it.
  for (; i < size; i += kBlock) {
    char rest[kBlock + kAhead + kBlock] = {};
    std::memcpy(rest, data + i, size - i < kBlock + kAhead ? size - i : kBlock + kAhead);
    if (const unsigned found = block(rest, i > 0 ? data[i - 1] : '\0', kinds)) {
      const std::size_t at = i + static_cast<unsigned>(__builtin_ctz(found));
      if (at >= size) break;
      return {at, kind_at(text, at, kinds)};
    }
  }
  return {size, kNone};
}

bool has_avx2() {
  static const bool kHas = __builtin_cpu_supports("avx2");
  return kHas;
}
#else
Candidate next_avx2(std::string_view text, std::size_t from, unsigned kinds) { return next_scalar(text, from, kinds); }
bool has_avx2() { return false; }
#endif

Candidate next(std::string_view text, std::size_t from, unsigned kinds) {
  return has_avx2() ? next_avx2(text, from, kinds) : next_scalar(text, from, kinds);
}

}  // namespace sallyport::enforce::scan
