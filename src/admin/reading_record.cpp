#include "admin/reading_record.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/clock.h"

namespace sallyport::admin {

using boost::asio::awaitable;

namespace {

constexpr std::int64_t kFold = 60'000'000'000;
constexpr std::size_t kKept = 4096;  // readings remembered; beyond it the old ones go, and are entries again

}  // namespace

void ReadingRecord::forget_old(std::int64_t now) {
  if (readings_.size() < kKept) return;
  std::erase_if(readings_, [&](const auto& one) { return one.second.since != 0 && now - one.second.since > kFold; });
  if (readings_.size() < kKept) return;
  std::erase_if(readings_, [](const auto& one) { return one.second.since != 0; });
}

awaitable<Result<void>> ReadingRecord::note(const Call& call, std::string action, std::string object, bool once) {
  using evidence::Field;
  const auto key = call.who->person() + "\n" + call.who->agent + "\n" + action + (once ? "" : "\n" + object);
  for (;;) {
    const auto found = readings_.find(key);
    if (found == readings_.end()) break;
    if (found->second.since != 0 && system_clock().mono_ns() - found->second.since <= kFold) co_return Result<void>{};
    if (found->second.since != 0) break;
    // Somebody else's entry for the same is under way: what it says of ours is known when it is durable.
    const auto waiting = found->second.waiting;
    boost::system::error_code ignored;
    co_await waiting->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }
  forget_old(system_clock().mono_ns());
  const auto done = std::make_shared<boost::asio::steady_timer>(co_await boost::asio::this_coro::executor, std::chrono::seconds(30));
  readings_[key] = {0, done};
  evidence::Entry entry(evidence::Kind::EvidenceRead);
  entry.text(Field::RequestId, call.request_id).text(Field::Subject, call.who->subject).text(Field::Issuer, call.who->issuer).text(Field::Agent, call.who->agent);
  entry.text(Field::Peer, call.peer).text(Field::Action, action).text(Field::Object, object.substr(0, 200));
  auto written = co_await port_.append(std::move(entry));
  if (written) readings_[key] = {system_clock().mono_ns(), nullptr};
  else readings_.erase(key);
  done->cancel();
  if (!written) co_return std::unexpected(std::move(written).error());
  co_return Result<void>{};
}

}  // namespace sallyport::admin
