#include "base/text.h"

#include "base/bytes.h"

namespace sallyport {

std::string ascii_lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return out;
}

std::string markup_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string random_name(std::string_view prefix) {
  std::array<std::uint8_t, 10> random;
  random_bytes(random);
  return std::string(prefix) + hex(random);
}

}  // namespace sallyport
