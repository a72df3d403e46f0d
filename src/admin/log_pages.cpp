#include "admin/log_pages.h"

#include <charconv>

namespace sallyport::admin {

using boost::asio::awaitable;

namespace {

std::optional<std::uint64_t> number_of(std::string_view text, std::size_t digits) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool plain = error == std::errc() && end == text.data() + text.size() && !text.empty();
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
    if (!value || groups > 6 || (groups == 0 && more && *value == 0)) return std::nullopt;
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

namespace {

awaitable<Answer> serve(evidence::LogReading& log, LogPage page, std::string request_id) {
  const auto absent = [&] { return problem(404, "not found", "the log's newest signed head has no such tile", request_id); };
  // An index is below 2^63 in no log there is: what is above it must not overflow.
  if (page.what != LogPage::Checkpoint && (8 * (page.level + 1) >= 63 || page.number >= std::uint64_t{1} << (63 - 8 * (page.level + 1)))) co_return absent();
  bool there = true;
  const auto text = co_await log.run([&](evidence::LogView& view) -> Result<std::string> {
    TRY(const auto head, view.head(0));
    if (page.what == LogPage::Checkpoint) return head.note;
    TRY(const auto newest, view.head());
    const auto end = (page.number * 256 + page.width) << (8 * page.level);
    // The minimum index of tlog-tiles: what ends there or before is gone with the pruned entries, or in part.
    TRY(const auto first, view.first());
    there = end <= newest.checkpoint.size && (page.level != 0 || page.number * 256 >= first);
    if (!there) return std::string();
    TRY(const auto bytes, page.what == LogPage::Tile ? view.tile(page.level, page.number, page.width) : view.bundle(page.number, page.width));
    return std::string(as_text(bytes));
  });
  if (!text) co_return problem_of(text.error(), request_id);
  if (!there) co_return absent();
  co_return Answer{200, page.what == LogPage::Checkpoint ? "text/plain; charset=utf-8" : "application/octet-stream", *text};
}

awaitable<Answer> log_page(const AdminServices& services, Call call) {
  const auto page = parse_log_path(call.param("path"));
  if (!page) co_return problem(404, "not found", "tlog-tiles has no such path: /log/checkpoint, /log/tile/L/N, /log/tile/entries/N", call.request_id);
  if (auto written = co_await services.readings->note(call, "log", call.path, true); !written) co_return problem_of(written.error(), call.request_id);
  co_return co_await serve(services.reading, *page, call.request_id);
}

}  // namespace

Routes log_routes(const AdminServices& services) {
  Routes out;
  out.push_back({.method = "GET", .pattern = "/log/{path...}", .need = Permission::EvidenceRead, .summary = "The log as C2SP tlog-tiles.", .gives = "application/octet-stream",
                 .handler = Handler([&services](Call call) { return log_page(services, std::move(call)); })});
  return out;
}

}  // namespace sallyport::admin
