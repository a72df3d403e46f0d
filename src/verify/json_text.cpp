#include "verify/json_text.h"

#include <charconv>

namespace sallyport::verify {

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte < 0x20) out += "\\u00" + hex(View(&byte, 1));
    else if (c == '"' || c == '\\') out += {'\\', c};
    else out += c;
  }
  return out + "\"";
}

std::string json_list(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const auto& one : items) out += (out.size() > 1 ? "," : "") + one;
  return out + "]";
}

bool JsonCursor::eat(std::string_view literal) {
  ok_ = next_is(literal);
  if (ok_) rest_.remove_prefix(literal.size());
  return ok_;
}

std::string JsonCursor::string() {
  std::string out;
  eat("\"");
  while (ok_) {
    if (rest_.empty() || static_cast<unsigned char>(rest_[0]) < 0x20) return ok_ = false, "";
    if (rest_[0] == '"') break;
    if (rest_[0] != '\\') {
      out += rest_[0];
      rest_.remove_prefix(1);
      continue;
    }
    const auto escape = rest_.substr(1, 1);
    if (escape == "\"" || escape == "\\") {
      out += escape;
      rest_.remove_prefix(2);
      continue;
    }
    unsigned value = 0;
    const auto digits = rest_.substr(0, 6);
    if (digits.size() != 6 || digits.substr(0, 4) != "\\u00") return ok_ = false, "";
    const auto [end, error] = std::from_chars(digits.data() + 4, digits.data() + 6, value, 16);
    if (error != std::errc() || end != digits.data() + 6 || value >= 0x20) return ok_ = false, "";
    out += static_cast<char>(value);
    rest_.remove_prefix(6);
  }
  eat("\"");
  if (ok_ && !is_utf8(out)) ok_ = false;
  return out;
}

std::uint64_t JsonCursor::number() {
  std::uint64_t out = 0;
  if (!ok_) return 0;
  const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), out);
  const auto size = static_cast<std::size_t>(end - rest_.data());
  if (error != std::errc() || size == 0 || (size > 1 && rest_[0] == '0')) return ok_ = false, 0;
  rest_.remove_prefix(size);
  return out;
}

bool JsonCursor::boolean() {
  const bool value = next_is("true");
  eat(value ? "true" : "false");
  return value;
}

}  // namespace sallyport::verify
