#include "enforce/mask_style.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "base/bytes.h"
#include "enforce/detect_recognise.h"

namespace sallyport::enforce {
namespace {

using recognise::is_alnum;
using recognise::is_alpha;
using recognise::is_digit;

constexpr std::size_t kTokenDigits = 16;
constexpr std::string_view kStars = "***";

Digest keyed_hash(std::string_view kind, std::string_view value) {
  static const Digest kKey = [] {
    Digest key;
    random_bytes(key);
    return key;
  }();
  std::string message(kind);
  message += '\0';
  message += value;
  Digest out;
  unsigned size = 0;
  if (!HMAC(EVP_sha256(), kKey.data(), static_cast<int>(kKey.size()), as_bytes(message).data(), message.size(), out.data(), &size))
    std::abort();
  return out;
}

// "[pan:6b1f…]": letters g to v for hexadecimal digits, so that no detector of digits can see a value in a token.
std::string token(std::string_view kind, std::string_view value) {
  std::string digits = hex(keyed_hash(kind, value)).substr(0, kTokenDigits);
  for (char& c : digits) c = static_cast<char>('g' + (is_digit(c) ? c - '0' : c - 'a' + 10));
  return fmt::format("[{}:{}]", kind, digits);
}

// One value has many spellings; a token must not depend on them.
std::string plain(std::string_view value, Detector what) {
  std::string out;
  const bool squeeze = what == Detector::Pan || what == Detector::Iban || what == Detector::Ssn || what == Detector::Phone;
  for (const char c : value) {
    if (squeeze && !is_alnum(c) && c != '+') continue;
    const bool fold = what == Detector::Email || what == Detector::Iban || what == Detector::Ip;
    out += fold && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  }
  return out;
}

// Stars for digits but the last ones: four of nine or more, two of six to eight, else none.
std::string star_digits(std::string_view text) {
  std::string out(text);
  const auto counts = [](char c) { return is_digit(c) || c == '*'; };
  const auto total = std::count_if(out.begin(), out.end(), counts);
  auto hidden = total - (total >= 9 ? 4 : total >= 6 ? 2 : 0);
  for (char& c : out)
    if (counts(c) && hidden-- > 0) c = '*';
  return out;
}

std::string partial_email(std::string_view value) {
  const std::size_t sign = value.rfind('@'), escaped = value.rfind("%40");
  const std::size_t local = std::min(sign, escaped);
  std::string out;
  if (local != std::string_view::npos && local > 1 && is_alnum(value[0])) out += value[0];
  out += "***@***";
  const std::size_t dot = value.rfind('.');
  const std::string_view domain = dot == std::string_view::npos ? std::string_view() : value.substr(dot + 1);
  if (domain.size() >= 2 && domain.size() <= 6 && std::all_of(domain.begin(), domain.end(), is_alpha)) out.append(".").append(domain);
  return out;
}

std::string partial_iban(std::string_view value) {
  std::string out(value);
  std::size_t seen = 0;
  const auto total = static_cast<std::size_t>(std::count_if(out.begin(), out.end(), is_alnum));
  for (char& c : out)
    if (is_alnum(c) && ++seen > 2 && seen + 4 <= total) c = '*';
  return out;
}

std::string partial(std::string_view value, Detector what) {
  switch (what) {
    case Detector::Email: return partial_email(value);
    case Detector::Pan:
    case Detector::Ssn:
    case Detector::Phone: return star_digits(value);
    case Detector::Iban: return partial_iban(value);
    case Detector::Ip: {
      const std::size_t end = value.find_first_of(".:");
      return std::string(value.substr(0, end)) + (value.contains(':') ? ":***" : ".***.***.***");
    }
    case Detector::Jwt: return "eyJ***";
    case Detector::AwsKey:
      return value.starts_with("AKIA") || value.starts_with("ASIA") ? std::string(value.substr(0, 4)) + "****************" : "***";
    case Detector::PrivateKey: return "[private_key]";
  }
  return std::string(kStars);
}

bool is_token(std::string_view s) {
  const std::size_t colon = s.find(':');
  if (!s.starts_with('[') || !s.ends_with(']') || colon == std::string_view::npos || s.size() - colon - 2 != kTokenDigits) return false;
  const std::string_view digits = s.substr(colon + 1, kTokenDigits), kind = s.substr(1, colon - 1);
  return std::all_of(digits.begin(), digits.end(), [](char c) { return c >= 'g' && c <= 'v'; }) && (kind == "field" || detector_of(kind));
}

// The forms above, which a field rule meets when it masks what is masked already. None shows more than Partial may.
bool is_partial_form(std::string_view s) {
  if (s == kStars || s == "eyJ***" || s == "AKIA****************" || s == "ASIA****************" || s == "[private_key]") return true;
  if (const std::size_t sign = s.find("***@***"); sign <= 1) {
    const std::string_view rest = s.substr(sign + 7);
    if (rest.empty()) return sign == 0 || is_alnum(s[0]);
    return (sign == 0 || is_alnum(s[0])) && rest[0] == '.' && rest.size() >= 3 && rest.size() <= 7 &&
           std::all_of(rest.begin() + 1, rest.end(), is_alpha);
  }
  if (s.size() >= 15 && is_alpha(s[0]) && is_alpha(s[1]) && s.size() <= 42) {  // an IBAN
    const auto shown = std::count_if(s.begin(), s.end(), is_alnum), stars = std::count(s.begin(), s.end(), '*');
    return shown == 6 && stars >= 9 && s.substr(2, s.find_first_of("0123456789") - 2).find_first_not_of("* -") == std::string_view::npos;
  }
  if (s.ends_with(".***.***.***")) return s.size() <= 15 && std::all_of(s.begin(), s.end() - 12, is_digit);
  if (s.ends_with(":***")) return s.size() <= 8 && std::all_of(s.begin(), s.end() - 4, recognise::is_hex);
  return false;
}

// A telephone number, a date, a customer number: digits and what is written between them.
bool is_digit_shape(std::string_view s) {
  std::size_t digits = 0;
  for (const char c : s) {
    if (is_digit(c) || c == '*') ++digits;
    else if (std::string_view(" +-./()").find(c) == std::string_view::npos) return false;
  }
  return digits >= 6;
}

std::string partial_whole(std::string_view value) {
  if (is_partial_form(value)) return std::string(value);
  std::vector<Hit> hits;
  find_hits(value, DetectorSet::all(), hits);
  if (hits.size() == 1 && hits[0].whole && hits[0].begin == 0 && hits[0].end == value.size()) return partial(hits[0].clean, hits[0].what);
  if (is_digit_shape(value)) return star_digits(value);
  // One character of four or more; a byte outside ASCII is only a part of one.
  const bool shows = value.size() >= 4 && static_cast<unsigned char>(value[0]) < 0x80 && value[0] >= ' ';
  return std::string(shows ? value.substr(0, 1) : std::string_view()) + std::string(kStars);
}

}  // namespace

MaskWith stricter(MaskWith a, MaskWith b) {
  const auto rank = [](MaskWith with) {
    switch (with) {
      case MaskWith::Partial: return 0;
      case MaskWith::Hash: return 1;
      case MaskWith::Redact: return 2;
      case MaskWith::Null: return 3;
    }
    return 3;
  };
  return rank(a) >= rank(b) ? a : b;
}

std::string mask_hit(const Hit& hit, MaskWith with) {
  const std::string_view name = detector_name(hit.what);
  if (with == MaskWith::Partial && hit.whole) return partial(hit.clean, hit.what);
  if (with == MaskWith::Hash && hit.whole) return token(name, plain(hit.clean, hit.what));
  return fmt::format("[{}]", name);
}

std::string mask_whole(std::string_view value, MaskWith with) {
  if (value.empty()) return "";
  if (with == MaskWith::Partial) return is_token(value) || value == "[masked]" ? std::string(value) : partial_whole(value);
  if (with == MaskWith::Hash) return is_token(value) ? std::string(value) : token("field", value);
  return "[masked]";
}

std::string mask_card_number(std::string_view digits, MaskWith with) {
  if (with == MaskWith::Null) return "null";
  if (with == MaskWith::Hash) return mask_number(digits, with);
  if (with == MaskWith::Redact) return "0";
  std::string last(digits.substr(digits.size() - 4));
  last.erase(0, std::min(last.find_first_not_of('0'), last.size() - 1));
  return last;
}

std::string mask_number(std::string_view raw, MaskWith with) {
  if (with == MaskWith::Null) return "null";
  if (with != MaskWith::Hash) return "0";
  const Digest hash = keyed_hash("number", raw);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8 | hash[i];
  return std::to_string(value % 1'000'000'000);
}

}  // namespace sallyport::enforce
