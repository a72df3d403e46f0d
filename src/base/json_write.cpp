// The writing half of base/json.h: literals, splices and the canonical form.
#include <simdjson.h>

#include <charconv>
#include <stdexcept>

#include "base/json.h"

namespace sallyport::json {
namespace {

// Bytes of the well-formed UTF-8 sequence at the start of `text` (RFC 3629, no overlong form, no surrogate); 0 if none.
std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto tail = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) { return byte(i) >= low && byte(i) <= high; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF)
    return tail(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF) && tail(2) ? 3 : 0;
  if (lead >= 0xF0 && lead <= 0xF4)
    return tail(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF) && tail(2) && tail(3) ? 4 : 0;
  return 0;
}

// A text that is no UTF-8 would make the whole message unreadable: each bad byte becomes U+FFFD.
std::string repaired(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text);
    if (length == 0) out += "\xEF\xBF\xBD";
    else out += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

/// How many bytes at the start need no escape, in whole words of eight.
std::size_t plain_words(std::string_view text) {
  constexpr std::uint64_t kOnes = 0x0101010101010101, kHigh = 0x8080808080808080;
  std::size_t at = 0;
  for (; text.size() - at >= 8; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    const std::uint64_t quote = word ^ kOnes * '"', slash = word ^ kOnes * '\\';
    if ((((word - kOnes * 0x20) & ~word) | ((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash)) & kHigh) break;
  }
  return at;
}

void append_quoted(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out.reserve(out.size() + text.size() + 2);
  out += '"';
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i % 8 == 0) i += plain_words(text.substr(i));
    if (i == text.size()) break;
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') [[likely]] continue;
    out += text.substr(done, i - done);
    done = i + 1;
    out += '\\';
    switch (c) {
      case '\b': out += 'b'; break;
      case '\t': out += 't'; break;
      case '\n': out += 'n'; break;
      case '\f': out += 'f'; break;
      case '\r': out += 'r'; break;
      case '"': case '\\': out += static_cast<char>(c); break;
      default:
        out += "u00";
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
  }
  out += text.substr(done);
  out += '"';
}

// UTF-16 code units sort supplementary characters (lead byte F0 and up) below U+E000 to U+FFFF (lead bytes EE and EF);
// everything else sorts as its bytes do.
bool before_in_utf16(std::string_view a, std::string_view b) {
  const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (x == a.end() || y == b.end()) return x == a.end() && y != b.end();
  const auto left = static_cast<unsigned char>(*x), right = static_cast<unsigned char>(*y);
  if (left >= 0xEE && right >= 0xEE && (left >= 0xF0) != (right >= 0xF0)) return left >= 0xF0;
  return left < right;
}

// Number::toString of ECMAScript: the shortest digits that read back, plain between 1e-7 and 1e21.
void append_number(std::string& out, double value) {
  if (value == 0) {
    out += '0';
    return;
  }
  char buffer[32];
  const auto written = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<std::size_t>(written.ptr - buffer));
  if (text.front() == '-') {
    out += '-';
    text.remove_prefix(1);
  }
  const std::size_t e = text.find('e');
  std::string_view power = text.substr(e + 1);
  if (power.front() == '+') power.remove_prefix(1);
  int exponent = 0;
  std::from_chars(power.data(), power.data() + power.size(), exponent);
  std::string digits(1, text.front());
  if (e > 2) digits += text.substr(2, e - 2);
  const int count = static_cast<int>(digits.size()), point = exponent + 1;
  if (point >= count && point <= 21) {
    out += digits.append(static_cast<std::size_t>(point - count), '0');
  } else if (point > 0 && point <= 21) {
    out += digits.insert(static_cast<std::size_t>(point), 1, '.');
  } else if (point > -6 && point <= 0) {
    out.append("0.").append(static_cast<std::size_t>(-point), '0').append(digits);
  } else {
    if (count > 1) digits.insert(1, 1, '.');
    out.append(digits).append(exponent < 0 ? "e-" : "e+").append(std::to_string(std::abs(exponent)));
  }
}

void append_canonical(std::string& out, const Value& value) {
  switch (value.kind()) {
    case Kind::Null:
    case Kind::Bool: out += value.raw(); return;
    // Integers keep all their digits: as doubles, two different ones above 2^53 would share a digest.
    case Kind::Int: out += std::to_string(value.as_int()); return;
    case Kind::Double:
      if (value.raw().find_first_of(".eE") == std::string_view::npos) out += value.raw();
      else append_number(out, value.as_double());
      return;
    case Kind::String: append_quoted(out, value.as_string()); return;
    case Kind::Array: {
      char separator = '[';
      for (const Value element : value) {
        out += std::exchange(separator, ',');
        append_canonical(out, element);
      }
      out += value.size() == 0 ? "[]" : "]";
      return;
    }
    case Kind::Object: {
      std::vector<Value> members;
      members.reserve(value.size());
      for (const Value member : value) members.push_back(member);
      std::sort(members.begin(), members.end(),
                [](const Value& a, const Value& b) { return before_in_utf16(a.key(), b.key()); });
      char separator = '{';
      for (const Value& member : members) {
        out += std::exchange(separator, ',');
        append_quoted(out, member.key());
        out += ':';
        append_canonical(out, member);
      }
      out += members.empty() ? "{}" : "}";
      return;
    }
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool same_but_for_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           const char u = static_cast<char>(x | 0x20);
           return x == y || ((x ^ y) == 0x20 && u >= 'a' && u <= 'z');
         });
}

}  // namespace

void Splice::replace(std::size_t offset, std::size_t length, std::string with) {
  edits_.push_back({offset, length, std::move(with)});
}

std::string Splice::apply(std::string_view text) const {
  std::vector<const Edit*> order;
  order.reserve(edits_.size());
  std::size_t added = 0;
  for (const Edit& edit : edits_) {
    order.push_back(&edit);
    added += edit.with.size();
  }
  // At one place insertions come first, in the order of adding.
  std::sort(order.begin(), order.end(), [](const Edit* a, const Edit* b) {
    return std::tuple(a->offset, a->length != 0, a) < std::tuple(b->offset, b->length != 0, b);
  });
  std::string out;
  out.reserve(text.size() + added);
  std::size_t done = 0;
  for (const Edit* edit : order) {
    if (edit->offset < done || edit->offset > text.size() || edit->length > text.size() - edit->offset)
      throw std::logic_error("json::Splice: edits overlap or lie outside of the text");
    out += text.substr(done, edit->offset - done);
    out += edit->with;
    done = edit->offset + edit->length;
  }
  out += text.substr(done);
  return out;
}

std::string quote(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  if (simdjson::validate_utf8(text.data(), text.size())) append_quoted(out, text);
  else append_quoted(out, repaired(text));
  return out;
}

bool has_case_variant_keys(const Value& object) {
  if (!object.is_object()) return false;
  if (object.size() <= 16) {
    for (auto a = object.begin(); a != object.end(); ++a)
      for (auto b = std::next(a); b != object.end(); ++b)
        if (same_but_for_case((*a).key(), (*b).key())) return true;
    return false;
  }
  std::vector<std::string> keys;
  keys.reserve(object.size());
  for (const Value member : object) keys.push_back(lower(member.key()));
  std::sort(keys.begin(), keys.end());
  return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
}

std::string canonical(const Value& value) {
  std::string out;
  if (!value.valid()) return out;
  out.reserve(value.raw().size());
  append_canonical(out, value);
  return out;
}

}  // namespace sallyport::json
