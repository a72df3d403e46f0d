#include "admin/log_pages.h"

namespace sallyport::admin {

using evidence::LogPage;

boost::asio::awaitable<Answer> serve_log(evidence::LogReading& log, LogPage page, std::string request_id) {
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
  co_return Answer{200, page.what == LogPage::Checkpoint ? "text/plain; charset=utf-8" : "application/octet-stream", *text, {}};
}

}  // namespace sallyport::admin
