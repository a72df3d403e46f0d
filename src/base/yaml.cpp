// What a person sees of a file's errors.
#include "base/yaml.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace sallyport::yaml {
namespace {

constexpr std::size_t kShownErrors = 100;   // more than anybody reads
constexpr std::size_t kShownColumns = 120;  // of one line

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

/// Byte of the `column`-th character (from 1), at most the line's size.
std::size_t byte_of(std::string_view line, std::size_t column) {
  std::size_t at = 0;
  for (std::size_t passed = 1; passed < column && at < line.size(); ++passed) {
    do ++at;
    while (at < line.size() && is_continuation(line[at]));
  }
  return at;
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return !is_continuation(c); }));
}

std::string_view line_of(std::string_view text, std::uint32_t number) {
  for (std::uint32_t at = 1; at < number; ++at) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  auto line = text.substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// What a terminal could take for an order is shown as '?': the file may be somebody else's.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) out += (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f ? '?' : c;
  return out;
}

/// Edit distance with transpositions (optimal string alignment), of short words.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

void Diagnostics::conceal(Place value, std::string_view scalar) {
  const auto hide = [this](std::uint32_t line, std::uint32_t column) {
    const auto [at, added] = concealed_.try_emplace(line, column);
    if (!added) at->second = std::min(at->second, column);
  };
  hide(value.line, value.column);
  // A value of several lines has no end that we know: nothing after its beginning is shown.
  if (line_of(text_, value.line).find(scalar) != std::string_view::npos) return;
  const auto lines = static_cast<std::uint32_t>(std::ranges::count(text_, '\n')) + 1;
  for (auto line = value.line + 1; line <= lines; ++line) hide(line, 1);
}

std::string Diagnostics::excerpt(Place at) const {
  auto line = line_of(text_, at.line);
  std::string_view cut;
  const auto hidden = concealed_.find(at.line);
  if (hidden != concealed_.end()) {
    line = line.substr(0, byte_of(line, hidden->second));
    cut = "…";
  }
  std::size_t column = std::min<std::size_t>(at.column == 0 ? 1 : at.column, characters(line) + 1);
  std::string_view lead;
  if (column > kShownColumns * 2 / 3) {
    const auto skipped = column - kShownColumns / 2;
    line.remove_prefix(byte_of(line, skipped + 1));
    column -= skipped;
    lead = "…";
  }
  if (const auto shown = byte_of(line, kShownColumns + 1); shown < line.size()) {
    line = line.substr(0, shown);
    cut = "…";
  }
  // Tabs before the caret are repeated, so that it stands below its character however wide they are.
  std::string caret(lead.empty() ? 0 : 1, ' ');
  for (const char c : line.substr(0, byte_of(line, column))) {
    if (!is_continuation(c)) caret += c == '\t' ? '\t' : ' ';
  }
  return fmt::format("  {}{}{}\n  {}^\n", lead, printable(line), cut, caret);
}

std::string Diagnostics::print() const {
  std::vector<const Diagnostic*> sorted;
  for (const auto& error : errors_) sorted.push_back(&error);
  std::ranges::sort(sorted, {}, [](const Diagnostic* one) { return std::tuple(one->place.line, one->place.column, one); });
  std::string out;
  std::size_t shown = 0;
  for (const auto* error : sorted) {
    const auto& [place, message] = *error;
    if (shown++ == kShownErrors) {
      out += fmt::format("{}: and {} more\n", file_, sorted.size() - kShownErrors);
      break;
    }
    if (place.line == 0) {
      out += fmt::format("{}: {}\n", file_, printable(message));
    } else {
      out += fmt::format("{}:{}:{}: {}\n{}", file_, place.line, place.column, printable(message), excerpt(place));
    }
  }
  return out;
}

const Node* Node::find(std::string_view key) const {
  const auto at = std::ranges::find(members, key, &Member::key);
  return at == members.end() ? nullptr : &at->value;
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  if (word.empty() || word.size() > 64) return "";
  std::size_t best = word.size() <= 4 ? 2 : 3;  // the first distance that is too far
  std::string found;
  for (const auto& name : known) {
    if (name.size() > word.size() + 2 || word.size() > name.size() + 2) continue;
    const auto far = distance(word, name);
    if (far >= best || far >= std::max(word.size(), name.size())) continue;
    best = far;
    found = name;
  }
  return found;
}

}  // namespace sallyport::yaml
