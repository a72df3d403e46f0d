#include "evidence/log_reading.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "evidence/reader.h"

namespace sallyport::evidence {

using boost::asio::awaitable;

awaitable<Result<std::string>> LogReading::run(Work work) {
  auto task = [](LogView& view, Work what) -> awaitable<Result<std::string>> { co_return what(view); };
  co_return co_await boost::asio::co_spawn(pool_, task(view_, std::move(work)), boost::asio::use_awaitable);
}

awaitable<Result<bool>> LogReading::receipt_is_of(std::string receipts, std::string subject) {
  const auto said = co_await run([&](LogView& view) -> Result<std::string> {
    TRY(const auto names, load_names(view.directory(), origin_));
    return evidence::receipt_is_of(receipts, subject, names) ? "yes" : "no";
  });
  if (!said) co_return std::unexpected(said.error());
  co_return *said == "yes";
}

awaitable<Result<std::string>> LogReading::receipts(std::vector<std::uint64_t> indices) {
  if (indices.empty()) co_return std::string();
  const auto last = *std::ranges::max_element(indices);
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  // A head is due within 100 ms; nothing tells a worker of it.
  while (log_.status().signed_size <= last) {
    if (std::chrono::steady_clock::now() > until) co_return fail(ErrorKind::Unavailable, fmt::format("entry {} is not under a signed head yet: {}", last, log_.status().why_not));
    timer.expires_after(std::chrono::milliseconds(5));
    boost::system::error_code ignored;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }
  co_return co_await run([indices = std::move(indices)](LogView& view) -> Result<std::string> {
    std::string out;
    for (const auto index : indices) {
      TRY(const auto one, view.receipt(index));
      out += (out.empty() ? "" : "\n") + one;
    }
    return out;
  });
}

awaitable<Result<std::string>> LogReading::receipts(std::string request_id) {
  // Anybody may ask for an id that is not there: the log is not read through for that, and not by the thread that all wait for.
  constexpr int kSegments = 16;
  std::vector<std::uint64_t> found;
  int looked_at = 0;
  const auto looked = co_await run([&](LogView& view) -> Result<std::string> {
    TRY_VOID(view.each_segment_backwards([&](std::uint64_t first, std::uint64_t count) -> Result<bool> {
      bool command = false;
      std::vector<std::uint64_t> here;
      TRY_VOID(view.entries(first, count, [&](std::uint64_t index, ByteView leaf) {
        const auto entry = decode_entry(leaf);
        if (!entry || (entry->kind != Kind::Command && entry->kind != Kind::Outcome) || entry->text(Field::RequestId) != request_id) return;
        here.push_back(index);
        command = command || entry->kind == Kind::Command;
      }));
      found.insert(found.begin(), here.begin(), here.end());
      return !command && ++looked_at < kSegments;
    }));
    return std::string();
  });
  if (!looked) co_return std::unexpected(looked.error());
  if (found.empty()) co_return fail(ErrorKind::Denied, "there is no entry of request " + request_id.substr(0, 64));
  co_return co_await receipts(std::move(found));
}

}  // namespace sallyport::evidence
