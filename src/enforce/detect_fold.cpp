#include "enforce/detect_fold.h"

namespace sallyport::enforce {
namespace {

constexpr int kKeep = -1, kDrop = -2;

struct Range {
  char32_t first, last;
};
constexpr Range kInvisible[] = {{0x00AD, 0x00AD}, {0x034F, 0x034F}, {0x180E, 0x180E}, {0x200B, 0x200F}, {0x202A, 0x202E},
                                {0x2060, 0x2064}, {0x2066, 0x206F}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}};
constexpr Range kSpaces[] = {{0x00A0, 0x00A0}, {0x2000, 0x200A}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
constexpr Range kDashes[] = {{0x2010, 0x2015}, {0x2212, 0x2212}, {0xFE58, 0xFE58}, {0xFE63, 0xFE63}};
constexpr char32_t kZeros[] = {0x0660, 0x06F0, 0x0966};  // Arabic-Indic, its eastern form, Devanagari

template <std::size_t N>
bool in(char32_t code, const Range (&ranges)[N]) {
  for (const auto& range : ranges)
    if (code >= range.first && code <= range.last) return true;
  return false;
}

// The ASCII character that `code` is read as, kDrop or kKeep.
int folded(char32_t code) {
  if (code < 0x80) return static_cast<int>(code);
  if (in(code, kInvisible)) return kDrop;
  if (in(code, kSpaces)) return ' ';
  if (in(code, kDashes)) return '-';
  if (code >= 0xFF01 && code <= 0xFF5E) return static_cast<int>(code - 0xFEE0);
  for (const char32_t zero : kZeros)
    if (code >= zero && code < zero + 10) return static_cast<int>('0' + (code - zero));
  if (code >= 0x1D7CE && code <= 0x1D7FF) return static_cast<int>('0' + (code - 0x1D7CE) % 10);
  return kKeep;
}

// The character at `i` and its bytes; a byte that begins no character stands for itself.
char32_t character(std::string_view text, std::size_t i, std::size_t& length) {
  const auto byte = [&](std::size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u; };
  const unsigned lead = byte(i);
  length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1;
  char32_t code = lead & (length == 4 ? 0x07u : length == 3 ? 0x0Fu : length == 2 ? 0x1Fu : 0xFFu);
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(i + k) & 0xC0) != 0x80) {
      length = 1;
      return 0xFFFD;
    }
    code = code << 6 | (byte(i + k) & 0x3F);
  }
  return lead >= 0x80 && length == 1 ? 0xFFFD : code;
}

int hex4(std::string_view text) {
  int value = 0;
  if (text.size() < 4) return -1;
  for (const char c : text.substr(0, 4)) {
    const char lower = static_cast<char>(c | 0x20);
    if (c >= '0' && c <= '9') value = value << 4 | (c - '0');
    else if (lower >= 'a' && lower <= 'f') value = value << 4 | (lower - 'a' + 10);
    else return -1;
  }
  return value;
}

class Folding {
 public:
  explicit Folding(std::string_view original) : original_(original) {
    out_.text.reserve(original.size());
    out_.from.reserve(original.size() + 1);
  }

  Folded run() {
    while (at_ < original_.size()) {
      std::size_t length = 1;
      const char c = original_[at_];
      if (c == '\\') length = escape();
      else if (static_cast<unsigned char>(c) < 0x80) put(original_.substr(at_, 1));
      else put(character(original_, at_, length), original_.substr(at_, length));
      at_ += length;
    }
    out_.from.push_back(static_cast<std::uint32_t>(original_.size()));
    return std::move(out_);
  }

 private:
  void put(std::string_view bytes) {
    out_.text += bytes;
    // Each byte of a kept character has its own place, those of an escape share one.
    const bool same = !bytes.empty() && bytes.data() == original_.data() + at_;
    for (std::size_t k = 0; k < bytes.size(); ++k) out_.from.push_back(static_cast<std::uint32_t>(at_ + (same ? k : 0)));
  }

  void put(char32_t code, std::string_view kept) {
    const int as = folded(code);
    const char c = static_cast<char>(as);
    if (as >= 0) put(std::string_view(&c, 1));
    else if (as == kKeep) put(kept);
  }

  // Any number of backslashes before one escape letter: JSON within JSON doubles them. Returns the bytes read.
  std::size_t escape() {
    const std::size_t end = std::min(original_.find_first_not_of('\\', at_), original_.size());
    const std::size_t slashes = end - at_;
    const char letter = end < original_.size() ? original_[end] : '\0';
    const std::size_t simple = std::string_view("nrtbf\"/").find(letter);
    if (letter != '\0' && simple != std::string_view::npos) {
      put(std::string_view("\n\r\t\b\f\"/").substr(simple, 1));
      return slashes + 1;
    }
    int unit = letter == 'u' ? hex4(original_.substr(end + 1)) : -1;
    if (unit < 0) {
      put(original_.substr(at_, slashes));
      return slashes;
    }
    std::size_t length = slashes + 5;
    auto code = static_cast<char32_t>(unit);
    const std::string_view rest = original_.substr(at_ + length);
    if (unit >= 0xD800 && unit < 0xDC00 && rest.find_first_not_of('\\') == slashes && rest[slashes] == 'u') {
      const int low = hex4(rest.substr(slashes + 1));
      if (low >= 0xDC00 && low <= 0xDFFF) {
        code = 0x10000 + (static_cast<char32_t>(unit - 0xD800) << 10) + static_cast<char32_t>(low - 0xDC00);
        length *= 2;
      }
    }
    put(code, "\xC3\xBF");  // some letter, should it be none of ours
    return length;
  }

  std::string_view original_;
  std::size_t at_ = 0;
  Folded out_;
};

}  // namespace

Folded fold(std::string_view original) { return Folding(original).run(); }

}  // namespace sallyport::enforce
