// E-mail addresses, JSON Web Tokens, AWS keys and PEM private keys.
#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "enforce/detect_recognise.h"

namespace sallyport::enforce::recognise {
namespace {

constexpr std::size_t kLongestLocal = 64, kLongestDomain = 255;  // RFC 5321 §4.5.3.1

bool is_local(char c) { return is_alnum(c) || std::string_view("._%+-'~").find(c) != std::string_view::npos; }

// Letters outside ASCII may stand in addresses (RFC 6531); general and CJK punctuation may not.
std::size_t foreign_letter(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(at(text, k)); };
  const unsigned lead = byte(i);
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC3 || lead > 0xF4 || lead == 0xE2 || lead == 0xEF || (lead == 0xE3 && byte(i + 1) == 0x80)) return 0;
  for (std::size_t k = 1; k < length; ++k)
    if ((byte(i + k) & 0xC0) != 0x80) return 0;
  return length;
}

std::size_t foreign_letter_before(std::string_view text, std::size_t i) {
  for (std::size_t length = 2; length <= 4 && length <= i; ++length)
    if ((static_cast<unsigned char>(text[i - length]) & 0xC0) == 0xC0)
      return foreign_letter(text, i - length) == length ? length : 0;
  return 0;
}

std::size_t local_begin(std::string_view text, std::size_t sign) {
  const std::size_t stop = sign > kLongestLocal ? sign - kLongestLocal : 0;
  if (before(text, sign) == '"') {  // "a quoted local part"@example.com
    const std::size_t quote = text.substr(stop, sign - 1 - stop).rfind('"');
    return quote == std::string_view::npos ? sign : stop + quote;
  }
  std::size_t begin = sign;
  while (begin > stop) {
    if (is_local(text[begin - 1])) --begin;
    else if (const std::size_t length = foreign_letter_before(text, begin)) begin -= length;
    else break;
  }
  while (begin < sign && (text[begin] == '.' || text[begin] == '\'')) ++begin;
  return begin;
}

std::size_t domain_end(std::string_view text, std::size_t start) {
  if (at(text, start) == '[') {  // user@[192.0.2.1]
    const std::size_t close = text.substr(start, 64).find(']');
    const bool address = close != std::string_view::npos && close > 3 &&
                         text.substr(start + 1, close - 1).find_first_not_of("0123456789abcdefABCDEFIPv:.") == std::string_view::npos;
    return address ? start + close + 1 : 0;
  }
  std::size_t end = start, label = start, last_good = 0;
  while (end - start <= kLongestDomain) {
    const char c = at(text, end);
    if (is_alnum(c) || (c == '-' && end > label)) {
      ++end;
    } else if (const std::size_t length = foreign_letter(text, end)) {
      end += length;
    } else {
      // The end of a label: a top-level domain has two characters or more, none of them only digits.
      std::size_t tail = end;
      while (tail > label && text[tail - 1] == '-') --tail;
      const std::string_view name = text.substr(label, tail - label);
      if (name.empty()) break;
      if (label > start && name.size() >= 2 && !std::all_of(name.begin(), name.end(), is_digit)) last_good = tail;
      if (c != '.') break;
      label = ++end;
    }
  }
  return last_good;
}

bool is_secret_char(char c) { return is_alnum(c) || c == '/' || c == '+'; }

// Forty characters of base64 with nothing of the kind around them.
Span secret_at(std::string_view text, std::size_t start) {
  const std::string_view s = text.substr(std::min(start, text.size()), 40);
  if (s.size() < 40 || !std::all_of(s.begin(), s.end(), is_secret_char)) return {};
  const char behind = at(text, start + 40);
  return is_secret_char(behind) || behind == '=' ? Span{} : Span{start, start + 40};
}

// Over what may stand between a name and its value: quotes, spaces, an assignment.
std::size_t skip_assignment(std::string_view text, std::size_t i, std::size_t most) {
  const std::size_t stop = i + most;
  while (i < stop && i < text.size() && std::string_view(" \t\r\n\"'`:=,;|>()[]{}\\").find(text[i]) != std::string_view::npos) ++i;
  return i;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The length of "secret", "secret access key", "SecretKey" … at the start of `text`, 0 if it does not begin so.
std::size_t secret_name(std::string_view text) {
  std::size_t i = 0, named = 0;
  for (const std::string_view word : {"secret", "access", "key", "id"}) {
    std::size_t k = i;
    if (k > 0 && std::string_view(" _-.").find(at(text, k)) != std::string_view::npos) ++k;
    std::size_t same = 0;
    while (same < word.size() && lower(at(text, k + same)) == word[same]) ++same;
    if (same < word.size()) {
      if (named == 0) return 0;
      continue;
    }
    named = i = k + same;
  }
  return named;
}

}  // namespace

bool is_base64url(char c) { return is_alnum(c) || c == '-' || c == '_'; }

Span email(std::string_view text, std::size_t sign) {
  const std::size_t begin = local_begin(text, sign);
  if (begin == sign) return {};
  const std::size_t end = domain_end(text, sign + (text[sign] == '%' ? 3 : 1));
  return {begin, end};
}

Span jwt(std::string_view text, std::size_t start, std::size_t run_end) {
  if (at(text, run_end) != '.') return {};
  // RFC 7515 §4: the header is a JSON object with "alg".
  std::string_view header = text.substr(start, run_end - start);
  header = header.substr(0, header.size() % 4 == 1 ? header.size() - 1 : header.size());
  const auto decoded = from_base64url(header);
  if (!decoded || as_text(*decoded).find("\"alg\"") == std::string_view::npos) return {};
  std::size_t end = run_end;
  int parts = 1;  // three make a signed token, five an encrypted one
  while (parts < 5 && at(text, end) == '.') {
    ++end;
    ++parts;
    while (is_base64url(at(text, end))) ++end;
  }
  return parts >= 3 ? Span{start, end} : Span{};
}

Span aws_key_id(std::string_view text, std::size_t start) {
  const std::string_view id = text.substr(start, 20);
  if (id.size() < 20 || is_alnum(before(text, start)) || is_alnum(at(text, start + 20))) return {};
  const bool fits = std::all_of(id.begin(), id.end(), [](char c) { return (c >= 'A' && c <= 'Z') || is_digit(c); });
  return fits ? Span{start, start + 20} : Span{};
}

Span aws_secret_after_id(std::string_view text, std::size_t end) {
  const std::size_t start = skip_assignment(text, end, 8);
  return start > end ? secret_at(text, start) : Span{};
}

Span aws_secret_after_name(std::string_view text, std::size_t start) {
  const std::size_t name_end = start + secret_name(text.substr(start));
  const std::size_t value = skip_assignment(text, name_end, 16);
  return name_end > start && value > name_end ? secret_at(text, value) : Span{};
}

bool names_aws_secret(std::string_view name) {
  for (std::size_t i = 0; i + 6 <= name.size(); ++i)
    if (const std::size_t length = secret_name(name.substr(i)); length > 0 && i + length == name.size()) return true;
  return false;
}

bool is_aws_secret(std::string_view text) { return text.size() == 40 && secret_at(text, 0); }

Span private_key(std::string_view text, std::size_t start) {
  constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ";
  constexpr std::size_t kLongestLabel = 64;  // RFC 7468 §2; labels in use have at most 25
  const std::string_view rest = text.substr(start);
  if (!rest.starts_with(kBegin)) return {};
  const std::string_view label = rest.substr(kBegin.size(), kLongestLabel);
  const std::size_t close = label.find("-----");
  const std::string_view name = label.substr(0, std::min(close, label.size()));
  if (name.find("PRIVATE KEY") == std::string_view::npos) return {};
  const std::size_t end = rest.find(kEnd);
  if (close == std::string_view::npos || end == std::string_view::npos) return {start, text.size()};
  const std::size_t tail = rest.find("-----", end + kEnd.size());
  return {start, tail == std::string_view::npos || tail - end > kLongestLabel + kEnd.size() ? text.size() : start + tail + 5};
}

}  // namespace sallyport::enforce::recognise
