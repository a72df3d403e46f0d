#include "evidence/tile_path.h"

#include <fmt/format.h>

#include <charconv>

namespace sallyport::evidence {
namespace {

std::optional<std::uint64_t> number_of(std::string_view text, std::size_t digits) {
  if (text.empty()) return std::nullopt;
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool plain = error == std::errc() && end == text.data() + text.size();
  const bool canonical = digits != 0 ? text.size() == digits : text.size() == 1 || text[0] != '0';
  return plain && canonical ? std::optional(out) : std::nullopt;
}

std::string_view next(std::string_view& path) {
  const auto part = path.substr(0, path.find('/'));
  path.remove_prefix(std::min(path.size(), part.size() + 1));
  return part;
}

}  // namespace

std::optional<LogPage> parse_log_path(std::string_view path) {
  LogPage out;
  if (path == "checkpoint") return out;
  if (!path.starts_with("tile/") || path.ends_with('/')) return std::nullopt;
  path.remove_prefix(5);
  const auto level = next(path);
  out.what = level == "entries" ? LogPage::Entries : LogPage::Tile;
  if (out.what == LogPage::Tile) {
    const auto value = number_of(level, 0);
    if (!value || *value > 63) return std::nullopt;
    out.level = static_cast<unsigned>(*value);
  }
  for (std::size_t groups = 0;; ++groups) {
    auto part = next(path);
    const bool more = part.starts_with('x');
    if (more) part.remove_prefix(1);
    const bool partial = !more && part.ends_with(".p");
    if (partial) part.remove_suffix(2);
    const auto value = number_of(part, 3);
    if (!value || (groups == 0 && more && *value == 0) || out.number > (UINT64_MAX - *value) / 1000) return std::nullopt;
    out.number = out.number * 1000 + *value;
    if (more) continue;
    if (partial) {
      const auto width = number_of(path, 0);
      if (!width || *width == 0 || *width > 255) return std::nullopt;
      out.width = static_cast<std::size_t>(*width);
    } else if (!path.empty()) {
      return std::nullopt;
    }
    return out;
  }
}

std::string log_path(const LogPage& page) {
  if (page.what == LogPage::Checkpoint) return "checkpoint";
  auto number = fmt::format("{:03}", page.number % 1000);
  for (auto rest = page.number / 1000; rest != 0; rest /= 1000) number = fmt::format("x{:03}/", rest % 1000) + number;
  const auto kind = page.what == LogPage::Entries ? std::string("entries") : std::to_string(page.level);
  return "tile/" + kind + "/" + number + (page.width < 256 ? fmt::format(".p/{}", page.width) : "");
}

}  // namespace sallyport::evidence
