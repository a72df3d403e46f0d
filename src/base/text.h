#pragma once
// Small things about text that many need. Pure but for random_name's randomness, any thread.
#include <string>
#include <string_view>

namespace sallyport {

/// A to Z become a to z, all else stays: for names whose case does not count in their protocol.
std::string ascii_lower(std::string_view text);
/// The code point at the start of a text that is valid UTF-8, taken from it; of a byte that is none U+FFFD. The text is not empty.
char32_t take_code_point(std::string_view& text);
/// For HTML and XML, between tags and in quoted attributes.
std::string markup_escaped(std::string_view text);
/// The prefix and 20 random hexadecimal digits: "req_…", "apr_…", "tok_…".
std::string random_name(std::string_view prefix);

}  // namespace sallyport
