#pragma once
// The checked recognisers, one per class: each is given a candidate's place and says from where to where the value
// reaches, or nothing. Pure, any thread; each looks at a bounded stretch (a private key without an end aside).
#include <cstddef>
#include <string_view>

namespace sallyport::enforce::recognise {

struct Span {
  std::size_t begin = 0, end = 0;
  explicit operator bool() const { return end > begin; }
};

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_alpha(char c) { return static_cast<unsigned char>((c | 0x20) - 'a') < 26; }
inline bool is_alnum(char c) { return is_digit(c) || is_alpha(c); }
inline bool is_hex(char c) { return is_digit(c) || static_cast<unsigned char>((c | 0x20) - 'a') < 6; }
inline char at(std::string_view text, std::size_t i) { return i < text.size() ? text[i] : '\0'; }
inline char before(std::string_view text, std::size_t i) { return i > 0 && i <= text.size() ? text[i - 1] : '\0'; }

/// `sign` is the place of '@' or "%40" (detect_token.cpp).
Span email(std::string_view text, std::size_t sign);
/// `digit` is the first of a run (detect_number.cpp).
Span pan(std::string_view text, std::size_t digit);
Span iban(std::string_view text, std::size_t digit);
Span ssn(std::string_view text, std::size_t digit);
Span phone(std::string_view text, std::size_t digit);  // detect_phone.cpp
Span ipv4(std::string_view text, std::size_t digit);   // detect_ip.cpp
/// `judged` becomes the place up to which other colons would have the same answer.
Span ipv6(std::string_view text, std::size_t colon, std::size_t& judged);
/// `start` is the place of "eyJ", `run_end` the end of the base64url characters from there on.
Span jwt(std::string_view text, std::size_t start, std::size_t run_end);
/// `start` is the place of "AKIA" or "ASIA".
Span aws_key_id(std::string_view text, std::size_t start);
/// The 40 characters after an access key id that ends at `end`, or after a name that begins with "secret" at `start`.
Span aws_secret_after_id(std::string_view text, std::size_t end);
Span aws_secret_after_name(std::string_view text, std::size_t start);
/// True when `name` is one under which an AWS secret is kept: "SecretAccessKey", "aws_secret", ….
bool names_aws_secret(std::string_view name);
/// True when all of `text` is what an AWS secret looks like.
bool is_aws_secret(std::string_view text);
/// `start` is the first of five hyphens. A key that is cut off reaches to the end of the text.
Span private_key(std::string_view text, std::size_t start);

/// A card number without separators: length, a known issuer and Luhn's check digit.
bool is_card_number(std::string_view digits);
bool is_base64url(char c);

}  // namespace sallyport::enforce::recognise
