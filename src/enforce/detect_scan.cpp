#include "enforce/detect_scan.h"

#include <cstdint>
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

bool is_letter(unsigned char c) { return static_cast<unsigned char>((c | 0x20) - 'a') < 26; }
bool is_separator(unsigned char c) { return c == ' ' || c == '-'; }

constexpr unsigned kDigits = kPan | kIban | kSsn | kIpv4 | kAnyDigits;

/// Whether a run of digits that begins at `at` may be one of the wanted kinds.
bool begins_digits(std::string_view text, std::size_t at, unsigned kinds) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : '\0'; };
  const auto behind = [&](std::size_t n) { return at >= n ? static_cast<unsigned char>(text[at - n]) : '\0'; };
  const auto digits = [&](std::size_t from, std::size_t count) {
    for (std::size_t i = from; i < from + count; ++i)
      if (!is_digit(byte(at + i))) return false;
    return true;
  };
  if (is_digit(behind(1))) return false;
  if (kinds & kAnyDigits) return true;
  if ((kinds & kPan) && digits(0, 4)) {
    std::size_t i = 4;
    while (i < 13 && (is_digit(byte(at + i)) || is_separator(byte(at + i)) || byte(at + i) == '.')) ++i;
    if (i == 13) return true;
  }
  if ((kinds & kIban) && digits(0, 2) && is_letter(behind(1)) && is_letter(behind(2)) && !is_letter(behind(3)) && !is_digit(behind(3))) return true;
  if ((kinds & kSsn) && digits(0, 3) && is_separator(byte(at + 3)) && digits(4, 2) && is_separator(byte(at + 6)) && digits(7, 4) && !is_letter(behind(1))) return true;
  if (kinds & kIpv4)
    for (std::size_t i = 1; i <= 3; ++i)
      if (digits(0, i) && byte(at + i) == '.' && is_digit(byte(at + i + 1))) return true;
  return false;
}

// What stands at `at`, judged by the bytes around it; a byte outside of the text counts as zero.
Kind kind_at(std::string_view text, std::size_t at, unsigned kinds) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : '\0'; };
  const auto letter = [&](std::size_t i) { return static_cast<unsigned char>(byte(i) | 0x20); };
  const unsigned char c = byte(at);
  Kind kind = kNone;
  if (is_digit(c)) return begins_digits(text, at, kinds) ? kDigit : kNone;
  if (c == '@' || (c == '%' && byte(at + 1) == '4' && byte(at + 2) == '0')) kind = kAt;
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

// A window of 64 bytes as sets of places, one bit a byte. Candidates are told of its first 51 places, behind those that the
// window before has told: what is looked at reaches 3 bytes back and 13 ahead.
constexpr std::size_t kWindow = 64, kTold = 51, kBack = 3, kAhead = 6;

struct Window {
  __m256i low, high;
  const char* at;
};
SALLYPORT_AVX2 std::uint64_t places(__m256i low, __m256i high) { return bits(low) | static_cast<std::uint64_t>(bits(high)) << 32; }
SALLYPORT_AVX2 std::uint64_t of(const Window& w, char c) { return places(equal(w.low, c), equal(w.high, c)); }
SALLYPORT_AVX2 std::uint64_t range(const Window& w, char first, int count) { return places(within(w.low, first, count), within(w.high, first, count)); }
SALLYPORT_AVX2 Window lower(const Window& w) {
  const __m256i bit = _mm256_set1_epi8(0x20);
  return {either(w.low, bit), either(w.high, bit), w.at};
}

SALLYPORT_AVX2 std::uint64_t digit_runs(const Window& w, unsigned kinds) {
  const std::uint64_t digit = range(w, '0', 10), begins = digit & ~(digit << 1);
  if (begins == 0 || (kinds & kAnyDigits)) return begins;
  std::uint64_t found = 0;
  const std::uint64_t two = digit & digit >> 1, four = two & two >> 2;
  const std::uint64_t point = of(w, '.'), separator = of(w, ' ') | of(w, '-');
  if (kinds & kPan) {
    std::uint64_t run = digit | separator | point;  // 13 of them in a row
    run &= run >> 1;
    run &= run >> 2;
    run &= run >> 4;
    run &= run >> 5;
    found |= begins & four & run;
  }
  if (kinds & (kSsn | kIban)) {
    const std::uint64_t groups = two & digit >> 2 & separator >> 3 & two >> 4 & separator >> 6 & four >> 7;
    const std::uint64_t pairs = begins & two;
    if (groups != 0 || pairs != 0) {
      const std::uint64_t letter = range(lower(w), 'a', 26);
      if (kinds & kSsn) found |= begins & groups & ~(letter << 1);
      if (kinds & kIban) found |= pairs & letter << 1 & letter << 2 & ~((letter | digit) << 3);
    }
  }
  if (kinds & kIpv4) {
    const std::uint64_t part = point & digit >> 1;
    found |= begins & (part >> 1 | (digit >> 1 & (part >> 2 | (digit >> 2 & part >> 3))));
  }
  return found;
}

SALLYPORT_AVX2 std::uint64_t disguises(const Window& w) {
  std::uint64_t found = 0;
  for (const char* half : {w.at, w.at + 32}) {
    const __m256i v = load(half), next = load(half + 1);
    __m256i any = either(both(equal(v, '\xD9'), within(next, '\xA0', 10)), both(equal(v, '\xDB'), within(next, '\xB0', 10)));
    for (const auto& pair : kDisguises)
      if (pair.lead != 0xD9 && pair.lead != 0xDB) any = either(any, both(equal(v, static_cast<char>(pair.lead)), equal(next, static_cast<char>(pair.next))));
    found |= static_cast<std::uint64_t>(bits(any)) << (half == w.at ? 0 : 32);
  }
  return found;
}

/// What may begin in the window; of the rarest byte of each kind first, for most windows have none.
SALLYPORT_AVX2 std::uint64_t begins(const Window& w, unsigned kinds) {
  std::uint64_t found = 0;
  if (kinds & kDigits) found |= digit_runs(w, kinds);
  if (kinds & kAt) {
    found |= of(w, '@');
    if (const std::uint64_t percent = of(w, '%')) found |= percent & of(w, '4') >> 1 & of(w, '0') >> 2;
  }
  if (kinds & kColon)
    if (const std::uint64_t colon = of(w, ':')) found |= colon & (colon | range(w, '0', 10) | range(lower(w), 'a', 6)) >> 1;
  if (kinds & kJwt)
    if (const std::uint64_t third = of(w, 'J')) found |= of(w, 'e') & of(w, 'y') >> 1 & third >> 2;
  if (kinds & kAws)
    if (const std::uint64_t third = of(w, 'I')) found |= of(w, 'A') & (of(w, 'K') | of(w, 'S')) >> 1 & third >> 2 & of(w, 'A') >> 3;
  if (kinds & kSecret) {
    const Window small = lower(w);
    const std::uint64_t end = of(small, 'c') & of(small, 'r') >> 1;
    if (end != 0) found |= of(small, 's') & of(small, 'e') >> 1 & end >> 2;
  }
  if (kinds & kPem)
    if (const std::uint64_t dash = of(w, '-'); dash != 0) {
      const std::uint64_t two = dash & dash >> 1;
      if (two & two >> 2) found |= two & two >> 2 & dash >> 4 & of(w, 'B') >> 5;
    }
  if (kinds & kDisguise) {
    found |= of(w, '\\');
    if (bits(w.low) | bits(w.high)) found |= disguises(w);  // only where something is not ASCII
  }
  return found;
}

}  // namespace

__attribute__((target("avx2"))) Candidate next_avx2(std::string_view text, std::size_t from, unsigned kinds) {
  const std::size_t size = text.size();
  while (from < size) {
    const std::size_t back = from < kBack ? from : kBack, start = from - back, left = size - start;
    const char* p = text.data() + start;
    char rest[kWindow + kAhead] = {};
    if (left < sizeof rest) {
      std::memcpy(rest, p, left);  // with zeros behind it
      p = rest;
    }
    std::size_t told = left <= kWindow ? left : kTold;
    std::uint64_t found = begins({load(p), load(p + 32), p}, kinds) >> back << back;
    if (told < kWindow) found &= (std::uint64_t{1} << told) - 1;
    for (; found != 0; found &= found - 1) {
      const std::size_t at = start + static_cast<unsigned>(__builtin_ctzll(found));
      if (const Kind kind = kind_at(text, at, kinds)) return {at, kind};
    }
    from = start + told;
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
