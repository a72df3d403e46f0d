#include "admin/percent.h"

#include <algorithm>

#include "evidence/cbor.h"

namespace sallyport::admin {
namespace {

constexpr std::size_t kMaxPairs = 64;

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<std::string> percent_decoded(std::string_view text, bool plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? digit(text[i + 1]) : -1, low = i + 2 < text.size() ? digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return fail(ErrorKind::Malformed, "a % is not followed by two hexadecimal digits");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (plus && c == '+') {
      c = ' ';
    }
    // Line ends may stand in a form's text; nothing else that drives a terminal or ends a C string.
    if ((static_cast<unsigned char>(c) < 0x20 && !(plus && (c == '\n' || c == '\r' || c == '\t'))) || c == 0x7F)
      return fail(ErrorKind::Malformed, "a control character");
    out += c;
  }
  if (!evidence::cbor::is_utf8(out)) return fail(ErrorKind::Malformed, "not UTF-8");
  return out;
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) out += c;
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Result<Form> parse_form(std::string_view text) {
  Form out;
  while (!text.empty()) {
    const auto pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const auto mark = pair.find('=');
    TRY(auto name, percent_decoded(pair.substr(0, mark), true));
    TRY(auto value, percent_decoded(mark == std::string_view::npos ? std::string_view{} : pair.substr(mark + 1), true));
    if (std::ranges::any_of(out, [&](const auto& other) { return other.first == name; })) return fail(ErrorKind::Malformed, "\"" + name.substr(0, 40) + "\" comes twice");
    if (out.size() == kMaxPairs) return fail(ErrorKind::Malformed, "too many names");
    out.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

std::string_view form_value(const Form& form, std::string_view name) {
  const auto at = std::ranges::find(form, name, &Form::value_type::first);
  return at == form.end() ? std::string_view{} : std::string_view(at->second);
}

}  // namespace sallyport::admin
