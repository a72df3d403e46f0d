#pragma once
// Words of a `when` expression: the lexis of CEL (cel-spec, langdef "Syntax"), less byte strings.
// First step of compiling a rule at load; never on the data path. Pure, any thread. What is no CEL word is reported
// with its byte offset and never skipped.
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::enforce::cel {

/// What is wrong with an expression, and where in its text (byte offset).
struct Problem {
  std::uint32_t offset = 0;
  std::string message;
};

enum class Word : std::uint8_t { End, Identifier, QuotedIdentifier, Int, Uint, Double, String, Sign };

struct Token {
  Word word = Word::End;
  std::uint32_t begin = 0, end = 0;  // bytes in the source
  std::string text;                  // decoded string, identifier, digits without suffix, or the sign itself

  bool is(std::string_view sign) const { return word == Word::Sign && text == sign; }
};

/// Every token and a final End; the first problem otherwise.
std::expected<std::vector<Token>, Problem> lex(std::string_view source);

/// Appends a code point as UTF-8.
void append_utf8(std::string& out, std::uint32_t code_point);
/// Byte offset of the first byte that is not well-formed UTF-8 (no overlong forms, no surrogates), or npos.
std::size_t first_invalid_utf8(std::string_view text);
/// Code points in well-formed UTF-8.
std::size_t code_points(std::string_view text);

}  // namespace sallyport::enforce::cel
