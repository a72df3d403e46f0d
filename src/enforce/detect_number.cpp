// Card numbers, IBANs and social security numbers.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "enforce/detect_recognise.h"

namespace sallyport::enforce::recognise {
namespace {

struct Issuer {
  std::uint32_t first, last;  // of the first six digits
  std::uint8_t shortest, longest;
};
// ISO/IEC 7812 ranges of the schemes in use.
constexpr Issuer kIssuers[] = {
    {220000, 220499, 16, 19},  // Mir
    {222100, 272099, 16, 16},  // Mastercard
    {300000, 305999, 14, 19}, {309500, 309599, 14, 19}, {360000, 369999, 14, 19}, {380000, 399999, 14, 19},  // Diners Club
    {340000, 349999, 15, 15}, {370000, 379999, 15, 15},                                                      // American Express
    {352800, 358999, 16, 19},                                                                                // JCB
    {400000, 499999, 13, 19},                                                                                // Visa: 13, 16, 18, 19
    {500000, 509999, 13, 19},                                                                                // Maestro, Verve, Elo
    {510000, 559999, 16, 16},                                                                                // Mastercard
    {560000, 589999, 13, 19},                                                                                // Maestro
    {601100, 601199, 16, 19}, {644000, 659999, 16, 19},                                                      // Discover, RuPay
    {600000, 601099, 16, 16}, {606100, 608999, 16, 16},                                                      // RuPay, Hipercard
    {620000, 629999, 16, 19}, {810000, 829999, 16, 19},                                                      // UnionPay, RuPay
    {630400, 630499, 13, 19}, {637000, 639999, 16, 16},                                                      // Maestro, Insta
    {675900, 675999, 13, 19}, {676100, 676399, 13, 19}, {676770, 676774, 13, 19},                            // Maestro
    {860000, 860099, 16, 16}, {986000, 986099, 16, 16}, {979200, 979299, 16, 16},                            // Uzcard, Humo, Troy
};

bool luhn(std::string_view digits) {
  int sum = 0;
  bool twice = false;
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit, twice = !twice) {
    const int value = (*digit - '0') << (twice ? 1 : 0);
    sum += value > 9 ? value - 9 : value;
  }
  return sum % 10 == 0;
}

// A run of hexadecimal digits with letters is a hash or an id, in which a card number can appear by chance.
bool lies_in_hex(std::string_view text, std::size_t begin, std::size_t end) {
  constexpr std::size_t kLook = 64;
  int letters = 0;
  std::size_t i = begin;
  for (; i > 0 && begin - i < kLook && is_hex(text[i - 1]); --i) letters += is_alpha(text[i - 1]);
  if (i > 0 && is_alnum(text[i - 1])) return false;
  for (i = end; i - end < kLook && is_hex(at(text, i)); ++i) letters += is_alpha(text[i]);
  return letters > 1 && !is_alnum(at(text, i));
}

// Length of an IBAN by its country (ISO 13616 registry).
struct Country {
  char code[3];
  std::uint8_t length;
};
constexpr Country kCountries[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22}, {"BH", 22}, {"BI", 27},
    {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22}, {"DJ", 27}, {"DK", 18}, {"DO", 28},
    {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18}, {"FK", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23},
    {"GL", 18}, {"GR", 27}, {"GT", 28}, {"HN", 28}, {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26},
    {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21},
    {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MN", 20}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NI", 28},
    {"NL", 18}, {"NO", 15}, {"OM", 23}, {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22},
    {"RU", 33}, {"SA", 24}, {"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"SO", 23}, {"ST", 25},
    {"SV", 28}, {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}, {"YE", 30}};

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

std::size_t iban_length(char first, char second) {
  for (const auto& country : kCountries)
    if (country.code[0] == upper(first) && country.code[1] == upper(second)) return country.length;
  return 0;
}

// ISO 7064 mod 97-10 with the first four characters moved to the end.
bool checks_mod97(std::string_view iban) {
  unsigned rest = 0;
  for (std::size_t i = 0; i < iban.size(); ++i) {
    const char c = upper(iban[(i + 4) % iban.size()]);
    rest = is_digit(c) ? rest * 10 + static_cast<unsigned>(c - '0') : rest * 100 + static_cast<unsigned>(c - 'A' + 10);
    rest %= 97;
  }
  return rest == 1;
}

}  // namespace

bool is_card_number(std::string_view digits) {
  if (digits.size() < 13 || digits.size() > 19 || !luhn(digits)) return false;
  std::uint32_t prefix = 0;
  for (const char c : digits.substr(0, 6)) prefix = prefix * 10 + static_cast<std::uint32_t>(c - '0');
  return std::any_of(std::begin(kIssuers), std::end(kIssuers), [&](const Issuer& issuer) {
    return prefix >= issuer.first && prefix <= issuer.last && digits.size() >= issuer.shortest && digits.size() <= issuer.longest;
  });
}

Span pan(std::string_view text, std::size_t digit) {
  const char front = before(text, digit);
  // Behind a decimal point stand fractions, one in ten of which passes Luhn.
  if ((front == '.' || front == ',') && digit > 1 && is_digit(text[digit - 2])) return {};
  std::array<char, 20> digits;
  std::size_t count = 0, group = 0, i = digit, best = 0;
  char separator = '\0';
  for (;; ++i) {
    const char c = at(text, i);
    if (is_digit(c)) {
      if (count == digits.size()) return {};
      digits[count++] = c;
      ++group;
      continue;
    }
    if (is_card_number({digits.data(), count})) best = i;
    if (c != ' ' && c != '-' && c != '.') break;
    if (!is_digit(at(text, i + 1)) || (separator != '\0' && c != separator)) break;
    if (group < (separator == '\0' ? 4u : 2u)) break;
    separator = c;
    group = 0;
    if (count >= 19) break;
  }
  if (best == 0 || lies_in_hex(text, digit, best)) return {};
  return {digit, best};
}

Span iban(std::string_view text, std::size_t digit) {
  if (digit < 2 || !is_alpha(text[digit - 1]) || !is_alpha(text[digit - 2])) return {};
  const std::size_t begin = digit - 2, length = iban_length(text[begin], text[begin + 1]);
  if (length == 0 || is_alnum(before(text, begin)) || !is_digit(at(text, digit + 1))) return {};
  std::array<char, 34> chars;
  std::size_t count = 0, i = begin;
  for (; count < length; ++i) {
    const char c = at(text, i);
    if (is_alnum(c)) chars[count++] = c;
    // Printed in groups of four; a separator anywhere else ends the word.
    else if ((c != ' ' && c != '-') || count % 4 != 0 || !is_alnum(at(text, i + 1))) return {};
  }
  if (is_alnum(at(text, i)) || !checks_mod97({chars.data(), count})) return {};
  return {begin, i};
}

Span ssn(std::string_view text, std::size_t digit) {
  const std::string_view s = text.substr(digit, 11);
  if (s.size() < 11 || (s[3] != '-' && s[3] != ' ') || s[6] != s[3]) return {};
  for (const std::size_t i : {0, 1, 2, 4, 5, 7, 8, 9, 10})
    if (!is_digit(s[i])) return {};
  const std::string_view area = s.substr(0, 3);
  if (area == "000" || area == "666" || area[0] == '9' || s.substr(4, 2) == "00" || s.substr(7) == "0000") return {};
  // Part of something longer: 1-123-45-6789, 123-45-6789-0, 12 123 45 6789.
  const auto joins = [&](char c) { return c == s[3] || c == '-' || c == '.' || c == '/'; };
  const char front = before(text, digit), behind = at(text, digit + 11);
  if (is_alnum(front) || is_alnum(behind)) return {};
  const bool spaced = s[3] == ' ';
  const auto continues = [&](char c) { return spaced ? is_digit(c) : is_alnum(c); };
  if (joins(front) && continues(before(text, digit - 1))) return {};
  if (joins(behind) && continues(at(text, digit + 12))) return {};
  return {digit, digit + 11};
}

}  // namespace sallyport::enforce::recognise
