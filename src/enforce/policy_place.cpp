// Where a byte of a scalar's value stands in the file. The value is what is left of the text in the file after
// quoting, escapes, indentation and folding, so both are walked side by side.
#include <string_view>

#include "enforce/cel_lexer.h"
#include "enforce/policy_rule.h"

namespace sallyport::enforce {
namespace {

std::size_t position_of(yaml::Place place, std::string_view file) {
  std::size_t at = 0;
  for (std::uint32_t line = 1; line < place.line; ++line) {
    const auto end = file.find('\n', at);
    if (end == std::string_view::npos) return file.size();
    at = end + 1;
  }
  for (std::uint32_t column = 1; column < place.column && at < file.size(); ++column) {
    do ++at;
    while (at < file.size() && (static_cast<unsigned char>(file[at]) & 0xc0) == 0x80);
  }
  return at;
}

yaml::Place place_of(std::size_t at, std::string_view file) {
  yaml::Place place{1, 1};
  const auto before = file.substr(0, at);
  for (const char c : before) place.line += c == '\n';
  const auto line_start = before.rfind('\n');
  place.column += static_cast<std::uint32_t>(cel::code_points(before.substr(line_start + 1)));  // npos + 1 is 0
  return place;
}

enum class Style { Plain, Single, Double, Block };

class Walk {
 public:
  Walk(std::string_view value, std::string_view file, std::size_t at) : value_(value), file_(file), at_(at) {
    switch (peek()) {
      case '\'': style_ = Style::Single; ++at_; break;
      case '"': style_ = Style::Double; ++at_; break;
      case '|':
      case '>': style_ = Style::Block; enter_block(); break;
      default: break;
    }
  }

  /// Steps on to value byte `offset`; false when the two texts do not run side by side.
  bool to(std::size_t offset) {
    std::size_t i = 0;
    while (i < offset) {
      if (at_ >= file_.size()) return false;
      if (peek() == '\n' || peek() == '\r') {
        if (!fold(i)) return false;
      } else if (style_ == Style::Single && peek() == '\'') {
        at_ += 2;
        ++i;
      } else if (style_ == Style::Double && peek() == '\\') {
        if (!escape(i)) return false;
      } else {
        if (i >= value_.size() || peek() != value_[i]) return false;
        ++at_;
        ++i;
      }
    }
    return i == offset;
  }
  std::size_t at() const { return at_; }

 private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < file_.size() ? file_[at_ + ahead] : '\0'; }
  void next_line() {
    const auto end = file_.find('\n', at_);
    at_ = end == std::string_view::npos ? file_.size() : end + 1;
  }

  void enter_block() {
    next_line();
    while (peek(indent_) == ' ') ++indent_;
    at_ = std::min(file_.size(), at_ + indent_);
  }

  // A line break of the file is one blank or line break of the value; the next line's indentation is none of it.
  bool fold(std::size_t& i) {
    if (i >= value_.size() || (value_[i] != '\n' && value_[i] != ' ')) return false;
    ++i;
    next_line();
    std::size_t blanks = 0;
    while (peek() == ' ' && (style_ != Style::Block || blanks < indent_)) ++at_, ++blanks;
    return true;
  }

  // The value has the character itself: its length there is what tells how far to go.
  bool escape(std::size_t& i) {
    if (i >= value_.size()) return false;
    const char kind = peek(1);
    at_ += kind == 'x' ? 4 : kind == 'u' ? 6 : kind == 'U' ? 10 : 2;
    ++i;
    while (i < value_.size() && (static_cast<unsigned char>(value_[i]) & 0xc0) == 0x80) ++i;
    return kind != '\n' && kind != '\r';
  }

  std::string_view value_, file_;
  std::size_t at_;
  Style style_ = Style::Plain;
  std::size_t indent_ = 0;
};

}  // namespace

std::optional<yaml::Place> place_within(const yaml::Node& scalar, std::size_t offset, std::string_view file) {
  Walk walk(scalar.scalar, file, position_of(scalar.place, file));
  if (!walk.to(offset)) return std::nullopt;
  return place_of(walk.at(), file);
}

}  // namespace sallyport::enforce
