#include "enforce/cel_lexer.h"

#include <fmt/format.h>

#include <optional>

namespace sallyport::enforce::cel {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool starts_name(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool in_name(char c) { return starts_name(c) || is_digit(c); }
std::uint32_t hex_digit(char c) { return static_cast<std::uint32_t>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10); }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::expected<std::vector<Token>, Problem> run() {
    while (skip_blank(), at_ < source_.size()) {
      if (!next()) return std::unexpected(std::move(problem_));
    }
    tokens_.push_back({Word::End, position(at_), position(at_), ""});
    return std::move(tokens_);
  }

 private:
  static std::uint32_t position(std::size_t at) { return static_cast<std::uint32_t>(at); }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  bool starts_with(std::string_view text) const { return source_.substr(at_).starts_with(text); }

  bool fail(std::size_t at, std::string message) {
    problem_ = {position(at), std::move(message)};
    return false;
  }
  bool add(Word word, std::size_t begin, std::string text) {
    tokens_.push_back({word, position(begin), position(at_), std::move(text)});
    return true;
  }

  void skip_blank() {
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r') {
        ++at_;
      } else if (starts_with("//")) {
        while (at_ < source_.size() && source_[at_] != '\n') ++at_;
      } else {
        return;
      }
    }
  }

  bool next() {
    const char c = peek();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    if (const auto prefix = string_prefix()) return string(*prefix);
    if (starts_name(c)) return identifier();
    if (c == '`') return quoted_identifier();
    static constexpr std::string_view kSigns[] = {"==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%",
                                                  "!",  "?",  ":",  ".",  ",",  "(",  ")", "[", "]", "{", "}"};
    for (const auto sign : kSigns) {
      if (!starts_with(sign)) continue;
      const auto begin = at_;
      at_ += sign.size();
      return add(Word::Sign, begin, std::string(sign));
    }
    return fail(at_, unexpected(c));
  }

  static std::string unexpected(char c) {
    switch (c) {
      case '=': return "\"=\" is no operator; compare with \"==\"";
      case '&': return "\"&\" is no operator; write \"&&\"";
      case '|': return "\"|\" is no operator; write \"||\"";
      default: break;
    }
    if (c < 0x20 || c == 0x7f || static_cast<unsigned char>(c) >= 0x80) {
      return "a character that has no meaning outside a string";
    }
    return fmt::format("the character '{}' has no meaning here", c);
  }

  bool identifier() {
    const auto begin = at_;
    while (in_name(peek())) ++at_;
    return add(Word::Identifier, begin, std::string(source_.substr(begin, at_ - begin)));
  }

  bool quoted_identifier() {
    const auto begin = at_++;
    while (in_name(peek()) || peek() == '.' || peek() == '-' || peek() == '/' || peek() == ' ') ++at_;
    if (peek() != '`') return fail(begin, "a field name in backquotes has letters, digits, _ . - / and blanks, and ends with a backquote");
    if (at_ == begin + 1) return fail(begin, "an empty field name");
    ++at_;
    return add(Word::QuotedIdentifier, begin, std::string(source_.substr(begin + 1, at_ - begin - 2)));
  }

  bool number() {
    const auto begin = at_;
    Word word = Word::Int;
    if (peek() == '0' && (peek(1) == 'x' || peek(1) == 'X') && is_hex(peek(2))) {
      at_ += 2;
      while (is_hex(peek())) ++at_;
    } else {
      while (is_digit(peek())) ++at_;
      if (peek() == '.' && is_digit(peek(1))) {
        word = Word::Double;
        ++at_;
        while (is_digit(peek())) ++at_;
      }
      const std::size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
      if ((peek() == 'e' || peek() == 'E') && is_digit(peek(1 + sign))) {
        word = Word::Double;
        at_ += 1 + sign;
        while (is_digit(peek())) ++at_;
      }
    }
    std::string digits(source_.substr(begin, at_ - begin));
    if (word == Word::Int && (peek() == 'u' || peek() == 'U')) {
      word = Word::Uint;
      ++at_;
    }
    if (in_name(peek())) return fail(begin, "a number ends in a letter");
    return add(word, begin, std::move(digits));
  }

  struct Prefix { std::size_t length; bool raw, bytes; };
  std::optional<Prefix> string_prefix() const {
    Prefix prefix{0, false, false};
    for (; prefix.length < 2; ++prefix.length) {
      const char c = peek(prefix.length);
      if ((c == 'r' || c == 'R') && !prefix.raw) {
        prefix.raw = true;
      } else if ((c == 'b' || c == 'B') && !prefix.bytes && !prefix.raw) {
        prefix.bytes = true;
      } else {
        break;
      }
    }
    const char quote = peek(prefix.length);
    if (quote == '"' || quote == '\'') return prefix;
    return std::nullopt;
  }

  bool string(Prefix prefix) {
    const auto begin = at_;
    if (prefix.bytes) return fail(begin, "byte strings are not part of this subset of CEL");
    at_ += prefix.length;
    const char quote = peek();
    const std::string triple(3, quote);
    const bool is_triple = starts_with(triple);
    at_ += is_triple ? 3 : 1;
    std::string out;
    while (true) {
      if (at_ >= source_.size()) return fail(begin, "this string has no end");
      if (is_triple ? starts_with(triple) : peek() == quote) break;
      const char c = peek();
      if (!is_triple && (c == '\n' || c == '\r')) return fail(begin, "this string has no end on its line");
      if (c == '\\' && !prefix.raw) {
        if (!escape(out)) return false;
      } else {
        out += c;
        ++at_;
      }
    }
    at_ += is_triple ? 3 : 1;
    return add(Word::String, begin, std::move(out));
  }

  bool escape(std::string& out) {
    const auto begin = at_;
    const char c = peek(1);
    static constexpr std::string_view kFrom = "abfnrtv\\?\"'`", kTo = "\a\b\f\n\r\t\v\\?\"'`";
    if (const auto at = c == '\0' ? std::string_view::npos : kFrom.find(c); at != std::string_view::npos) {
      out += kTo[at];
      at_ += 2;
      return true;
    }
    std::size_t digits = 0, skip = 2;
    std::uint32_t base = 16;
    if (c == 'x' || c == 'X') digits = 2;
    if (c == 'u') digits = 4;
    if (c == 'U') digits = 8;
    if (c >= '0' && c <= '3') digits = 3, skip = 1, base = 8;
    if (digits == 0) return fail(begin, "no escape sequence of CEL; write \\\\ for a backslash, or a raw string r\"…\"");
    std::uint32_t code_point = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char digit = peek(skip + i);
      if (base == 16 ? !is_hex(digit) : digit < '0' || digit > '7') {
        return fail(begin, fmt::format("this escape sequence wants {} {} digits", digits, base == 16 ? "hexadecimal" : "octal"));
      }
      code_point = code_point * base + hex_digit(digit);
    }
    if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff)) {
      return fail(begin, "no Unicode code point");
    }
    append_utf8(out, code_point);
    at_ += skip + digits;
    return true;
  }

  std::string_view source_;
  std::size_t at_ = 0;
  std::vector<Token> tokens_;
  Problem problem_;
};

}  // namespace

std::expected<std::vector<Token>, Problem> lex(std::string_view source) {
  if (const auto bad = first_invalid_utf8(source); bad != std::string_view::npos) {
    return std::unexpected(Problem{static_cast<std::uint32_t>(bad), "the expression is not valid UTF-8"});
  }
  return Lexer(source).run();
}

void append_utf8(std::string& out, std::uint32_t c) {
  const auto byte = [&out](std::uint32_t value) { out += static_cast<char>(value); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xc0 | c >> 6), byte(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f));
  } else {
    byte(0xf0 | c >> 18), byte(0x80 | (c >> 12 & 0x3f)), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f));
  }
}

std::size_t first_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t length = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : (lead & 0xf0) == 0xe0 ? 3
                               : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
    if (length == 0 || at + length > text.size()) return at;
    std::uint32_t code_point = length == 1 ? lead : lead & (0xffu >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
      const auto next = static_cast<unsigned char>(text[at + i]);
      if ((next & 0xc0) != 0x80) return at;
      code_point = code_point << 6 | (next & 0x3f);
    }
    if ((length == 3 && code_point < 0x800) || (length == 4 && (code_point < 0x10000 || code_point > 0x10ffff)) ||
        (code_point >= 0xd800 && code_point <= 0xdfff)) {
      return at;
    }
    at += length;
  }
  return std::string_view::npos;
}

std::size_t code_points(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

}  // namespace sallyport::enforce::cel
