// IPv4 in dotted decimal and IPv6 in the forms of RFC 4291 §2.2.
#include "enforce/detect_recognise.h"

namespace sallyport::enforce::recognise {
namespace {

// The end of a dotted quad at `i`, 0 if there is none.
std::size_t dotted_quad(std::string_view text, std::size_t i) {
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && at(text, i++) != '.') return 0;
    const std::size_t start = i;
    int value = 0;
    for (; i - start < 3 && is_digit(at(text, i)); ++i) value = value * 10 + (text[i] - '0');
    if (i == start || value > 255 || (i - start > 1 && text[start] == '0')) return 0;
  }
  return i;
}

// RFC 4291 §2.2: eight groups, or fewer and one "::"; the last two may be a dotted quad.
bool is_ipv6(std::string_view s) {
  int groups = 0, two_digits = 0;
  bool gap = false, digit = false;
  std::size_t i = 0;
  if (s.starts_with("::")) {
    gap = true;
    i = 2;
  }
  while (i < s.size()) {
    if (groups == 8) return false;
    std::size_t start = i;
    for (; i < s.size() && is_hex(s[i]); ++i) digit |= is_digit(s[i]);
    if (at(s, i) == '.') {
      if (dotted_quad(s, start) != s.size()) return false;
      groups += 2;
      break;
    }
    if (i == start || i - start > 4) return false;
    two_digits += i - start == 2;
    ++groups;
    if (i == s.size()) break;
    if (s[i++] != ':') return false;
    if (at(s, i) == ':') {
      if (gap) return false;
      gap = true;
      ++i;
    } else if (i == s.size()) {
      return false;
    }
  }
  if (gap ? groups > 7 : groups != 8) return false;
  // "a::b" is also a scope in many languages, and eight pairs are a hardware address.
  return groups > 0 && two_digits < 8 && (digit || groups > 2);
}

}  // namespace

Span ipv4(std::string_view text, std::size_t digit) {
  const char front = before(text, digit);
  if (is_alpha(front) || (front == '.' && digit > 1 && is_alnum(text[digit - 2]))) return {};
  const std::size_t end = dotted_quad(text, digit);
  if (end == 0 || is_alnum(at(text, end)) || (at(text, end) == '.' && is_alnum(at(text, end + 1)))) return {};
  return {digit, end};
}

Span ipv6(std::string_view text, std::size_t colon, std::size_t& judged) {
  constexpr std::size_t kLongest = 45;
  const auto part = [](char c) { return is_hex(c) || c == ':' || c == '.'; };
  std::size_t begin = colon, end = colon;
  while (begin > 0 && colon - begin < kLongest && part(text[begin - 1])) --begin;
  while (end - colon < kLongest && part(at(text, end))) ++end;
  judged = end;
  while (end > begin && text[end - 1] == '.') --end;
  while (begin < end && text[begin] == '.') ++begin;
  if (is_alnum(before(text, begin)) || is_alnum(at(text, end))) return {};
  std::string_view s = text.substr(begin, end - begin);
  // "address: ::1" and "from ::1:" bring a colon of the sentence.
  if (s.ends_with(':') && !s.ends_with("::")) s.remove_suffix(1);
  if (s.starts_with(':') && !s.starts_with("::")) {
    s.remove_prefix(1);
    ++begin;
  }
  return is_ipv6(s) ? Span{begin, begin + s.size()} : Span{};
}

}  // namespace sallyport::enforce::recognise
