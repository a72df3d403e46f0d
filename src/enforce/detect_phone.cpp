// Telephone numbers: E.164 and international writing, North American, and national writing with a trunk zero. Digits
// alone are too little: every form needs a plus sign or separators, so that ids and amounts stay.
#include <array>

#include "enforce/detect_recognise.h"

namespace sallyport::enforce::recognise {
namespace {

constexpr std::size_t kMostGroups = 8;

// Groups of digits with one or two separators between them, as they stand from a place on.
struct Groups {
  std::array<std::size_t, kMostGroups> size{};
  std::array<std::size_t, kMostGroups> end{};
  std::array<char, kMostGroups> mark{};  // the separator in front of the group; '(' and ')' count as such
  std::size_t count = 0;
};

bool separates(char c) { return c == ' ' || c == '-' || c == '.' || c == '(' || c == ')' || c == '/'; }

Groups read_groups(std::string_view text, std::size_t digit) {
  Groups groups;
  std::size_t i = digit;
  char mark = '\0';
  while (groups.count < kMostGroups && is_digit(at(text, i))) {
    const std::size_t start = i;
    while (is_digit(at(text, i)) && i - start < 20) ++i;
    groups.size[groups.count] = i - start;
    groups.mark[groups.count] = mark;
    groups.end[groups.count++] = i;
    if (!separates(at(text, i))) break;
    mark = text[i++];
    for (int more = 0; more < 2 && separates(at(text, i)); ++more) mark = mark == ' ' ? text[i++] : (++i, mark);
  }
  return groups;
}

bool is_free_behind(std::string_view text, std::size_t end, bool spaced) {
  const char c = at(text, end), next = at(text, end + 1);
  if (is_alnum(c)) return false;
  if (c == '-' || c == '/' || c == '.') return !is_digit(next);
  return !(spaced && c == ' ' && is_digit(next));
}

bool is_free_before(std::string_view text, std::size_t begin, bool spaced) {
  const char c = before(text, begin), front = begin > 0 ? before(text, begin - 1) : '\0';
  if (is_alnum(c) || c == '+') return false;
  if (c == '-' || c == '/' || c == '.' || c == '_') return !is_alnum(front);
  return !(spaced && c == ' ' && is_digit(front));
}

// +49 171 1234567, +1 (415) 555-0100, 0049 171 1234567: 8 to 15 digits after the sign.
Span international(std::string_view text, std::size_t begin, const Groups& groups, std::size_t prefix) {
  std::size_t total = 0, end = 0;
  for (std::size_t g = 0; g < groups.count; ++g) {
    total += groups.size[g];
    if (total - prefix > 15) break;
    if (total - prefix >= 8) end = groups.end[g];
  }
  if (end == 0 || is_alnum(at(text, end))) return {};
  return {begin, end};
}

// (415) 555-0100, 415-555-0100, 415.555.0100, 415 555 0100, each with 1 in front or not.
Span north_american(std::string_view text, std::size_t digit, const Groups& groups) {
  const std::size_t first = groups.size[0] == 1 && text[digit] == '1' ? 1 : 0;
  if (groups.count < first + 3) return {};
  const auto starts = [&](std::size_t g) { return groups.end[g] - groups.size[g]; };
  if (groups.size[first] != 3 || groups.size[first + 1] != 3 || groups.size[first + 2] != 4) return {};
  if (text[starts(first)] < '2' || text[starts(first + 1)] < '2') return {};
  const char a = groups.mark[first + 1], b = groups.mark[first + 2];
  const bool bracketed = a == ')' && (b == '-' || b == ' ' || b == '.');
  if (!bracketed && (a != b || a == '/' || a == '(' || a == ')')) return {};
  const std::size_t begin = before(text, digit) == '(' ? digit - 1 : digit;
  const bool spaced = !bracketed && a == ' ';
  if (!is_free_before(text, begin, spaced) || !is_free_behind(text, groups.end[first + 2], spaced)) return {};
  return {begin, groups.end[first + 2]};
}

// 030 1234567, (0171) 123 4567, 020 7946 0958, 030/1234567; 01 23 45 67 89.
Span with_trunk_zero(std::string_view text, std::size_t digit, const Groups& groups) {
  if (text[digit] != '0' || at(text, digit + 1) < '1' || at(text, digit + 1) > '9' || groups.count < 2) return {};
  const std::size_t begin = before(text, digit) == '(' ? digit - 1 : digit;
  if (!is_free_before(text, begin, true)) return {};
  const char mark = groups.mark[1];
  if (groups.size[0] == 2) {
    if (groups.count < 5 || (mark != ' ' && mark != '.' && mark != '-')) return {};
    for (std::size_t g = 1; g < 5; ++g)
      if (groups.size[g] != 2 || groups.mark[g] != mark) return {};
    return is_free_behind(text, groups.end[4], true) ? Span{begin, groups.end[4]} : Span{};
  }
  if (groups.size[0] > 5) return {};
  std::size_t total = groups.size[0];
  Span found;
  for (std::size_t g = 1; g < groups.count && g < 4 && groups.size[g] >= 3; ++g) {
    if (g > 1 && groups.mark[g] != ' ' && groups.mark[g] != '-') break;
    total += groups.size[g];
    if (total >= 10 && total <= 12 && is_free_behind(text, groups.end[g], true)) found = {begin, groups.end[g]};
  }
  return found;
}

}  // namespace

Span phone(std::string_view text, std::size_t digit) {
  // "+49", "+(49", "(+49": what stands in front decides.
  std::size_t plus = digit;
  if (before(text, plus) == '(') --plus;
  if (before(text, plus) == '+') {
    --plus;
    if (text[digit] == '0' || is_alnum(before(text, plus))) return {};
    return international(text, plus, read_groups(text, digit), 0);
  }
  const char front = before(text, digit);
  if (is_alnum(front)) return {};
  const Groups groups = read_groups(text, digit);
  if (groups.count < 2) return {};
  if (text.substr(digit).starts_with("00") && at(text, digit + 2) >= '1' && at(text, digit + 2) <= '9')
    return is_free_before(text, digit, true) ? international(text, digit, groups, 2) : Span{};
  if (const Span span = north_american(text, digit, groups)) return span;
  return with_trunk_zero(text, digit, groups);
}

}  // namespace sallyport::enforce::recognise
