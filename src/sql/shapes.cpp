#include "sql/shapes.h"

#include <array>

namespace sallyport::sql {
namespace {

constexpr std::size_t kLongest = 64u << 10;  // longer texts are their own shape
constexpr char kVerbatim = '\x01', kNumber = '\x02', kString = '\x03';

enum : std::uint8_t { kOther, kWord, kDigit, kQuote, kIdentifier, kDoubt, kDollar, kDash, kSlash };

constexpr std::array<std::uint8_t, 256> kClass = [] {
  std::array<std::uint8_t, 256> out{};
  for (int c = 0; c < 256; ++c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_') out[c] = kWord;
    else if (c >= '0' && c <= '9') out[c] = kDigit;
    else if (c == '\'') out[c] = kQuote;
    else if (c == '"') out[c] = kIdentifier;
    else if (c == '$') out[c] = kDollar;
    else if (c == '-') out[c] = kDash;
    else if (c == '/') out[c] = kSlash;
    else if (c == '\\' || c >= 0x7F || (c < 0x20 && c != '\t' && c != '\n' && c != '\r')) out[c] = kDoubt;
    else out[c] = kOther;
  }
  return out;
}();

std::uint8_t kind(char c) { return kClass[static_cast<unsigned char>(c)]; }
bool is_word(char c) { return kind(c) == kWord || kind(c) == kDigit || c == '$' || static_cast<unsigned char>(c) >= 0x80; }

bool begins_plainly(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r')) ++at;
  if (text.size() - at < 7) return false;
  char word[6];
  for (int i = 0; i < 6; ++i) word[i] = static_cast<char>(text[at + i] | 0x20);
  const std::string_view begin(word, 6);
  return !is_word(text[at + 6]) && (begin == "select" || begin == "insert" || begin == "update" || begin == "delete");
}

}  // namespace

bool shape_of(std::string_view text, std::string& out) {
  out.clear();
  if (text.size() > kLongest || !begins_plainly(text)) return false;
  const std::size_t size = text.size();
  std::size_t at = 0, copied = 0;
  const auto replace = [&](std::size_t from, std::size_t to, char with) {
    out.append(text.substr(copied, from - copied));
    out += with;
    copied = to;
  };
  while (at < size) {
    switch (kind(text[at])) {
      case kWord:
        while (at < size && is_word(text[at])) {
          if (kind(text[at]) == kDoubt) return false;
          ++at;
        }
        // E'…', B'…', X'…', N'…' and U&'…' are strings of other rules.
        if (at < size && (text[at] == '\'' || text[at] == '&')) return false;
        break;
      case kDigit: {
        const auto from = at;
        while (at < size && kind(text[at]) == kDigit) ++at;
        if (at < size && text[at] == '.') {
          ++at;
          while (at < size && kind(text[at]) == kDigit) ++at;
        }
        if (at < size && (text[at] == 'e' || text[at] == 'E')) {
          ++at;
          if (at < size && (text[at] == '+' || text[at] == '-')) ++at;
          if (at == size || kind(text[at]) != kDigit) return false;
          while (at < size && kind(text[at]) == kDigit) ++at;
        }
        if (at < size && (is_word(text[at]) || text[at] == '.')) return false;
        replace(from, at, kNumber);
        break;
      }
      case kQuote: {
        const auto from = at++;
        for (;; ++at) {
          if (at == size || text[at] == '\\' || text[at] == '\0') return false;
          if (text[at] != '\'') continue;
          if (at + 1 == size || text[at + 1] != '\'') break;
          ++at;
        }
        ++at;
        if (at < size && is_word(text[at])) return false;
        replace(from, at, kString);
        break;
      }
      case kIdentifier:
        for (++at;; ++at) {
          if (at == size || text[at] == '\0') return false;
          if (text[at] != '"') continue;
          if (at + 1 == size || text[at + 1] != '"') break;
          ++at;
        }
        ++at;
        break;
      case kDollar:
        // $1 is a parameter; anything else a dollar may begin is not for us.
        if (++at == size || kind(text[at]) != kDigit) return false;
        while (at < size && kind(text[at]) == kDigit) ++at;
        if (at < size && is_word(text[at])) return false;
        break;
      case kDash:
        if (++at < size && text[at] == '-') return false;
        break;
      case kSlash:
        if (++at < size && text[at] == '*') return false;
        break;
      case kDoubt: return false;
      default: ++at; break;
    }
  }
  out.append(text.substr(copied));
  return true;
}

Result<AnalysisPtr> Shapes::find(const std::string& text) {
  bool shaped = shape_of(text, scratch_);
  if (!shaped) scratch_.assign(1, kVerbatim).append(text);  // no shape begins like this
  if (const auto at = by_key_.find(scratch_); at != by_key_.end()) {
    ++hits_;
    if (at->second != order_.begin()) order_.splice(order_.begin(), order_, at->second);
    return at->second->analysis;
  }
  ++misses_;
  TRY(auto analysis, analyse(text));
  // The shape of a text whose facts depend on its literals stays unknown: every text of it is parsed.
  if (!shaped || !analysis->by_text) keep(scratch_, analysis);
  return analysis;
}

void Shapes::keep(std::string key, AnalysisPtr analysis) {
  // An Analysis is a few times its text.
  const std::size_t bytes = key.size() * 6 + 2048;
  if (bytes > limit_ / 8) return;
  order_.push_front({std::move(key), std::move(analysis), bytes});
  by_key_[order_.front().key] = order_.begin();
  bytes_ += bytes;
  while (bytes_ > limit_) {
    bytes_ -= order_.back().bytes;
    by_key_.erase(order_.back().key);
    order_.pop_back();
  }
}

}  // namespace sallyport::sql
