#include "admin/log_pages.h"


namespace sallyport::admin {

using boost::asio::awaitable;
using evidence::LogPage;

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
  const auto page = evidence::parse_log_path(call.param("path"));
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
