#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "evidence/log_state.h"
#include "evidence/port_state.h"

namespace sallyport::evidence {

using boost::asio::awaitable;

namespace {

template <class Handler>
struct WaiterOf : Waiter {
  explicit WaiterOf(Handler h) : handler(std::move(h)) {}
  void complete(Result<std::uint64_t> result) override { std::move(handler)(std::move(result)); }
  Handler handler;
};

awaitable<Result<std::uint64_t>> submit(std::shared_ptr<Port::State> state, Entry entry, bool chunks_only) {
  auto& writer = *state->log.state().writer;
  if (auto refused = writer.refusal(entry, chunks_only)) co_return std::unexpected(std::move(*refused));
  auto start = [&](auto handler) {
    using Handler = decltype(handler);
    const auto slot = state->wait(std::make_unique<WaiterOf<Handler>>(std::move(handler)));
    writer.enqueue({std::move(entry), chunks_only, state, slot, nullptr});
  };
  auto result = co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Result<std::uint64_t>)>(
      start, boost::asio::use_awaitable);
  co_return result;
}

}  // namespace

std::uint32_t Port::State::wait(std::unique_ptr<Waiter> waiter) {
  if (free.empty()) {
    waiters.push_back(std::move(waiter));
    return static_cast<std::uint32_t>(waiters.size() - 1);
  }
  const auto slot = free.back();
  free.pop_back();
  waiters[slot] = std::move(waiter);
  return slot;
}

void Port::State::resume() {
  std::vector<Completion> arrived;
  {
    const std::lock_guard lock(mutex);
    arrived.swap(done);
    posted = false;
    if (context == nullptr) return;
  }
  for (auto& completion : arrived) {
    if (completion.slot >= waiters.size()) return;  // the Port went away while its coroutines were resumed
    auto waiter = std::move(waiters[completion.slot]);
    free.push_back(completion.slot);
    if (waiter) waiter->complete(std::move(completion.result));
  }
}

void Port::State::deliver() {
  const std::lock_guard lock(mutex);
  if (context != nullptr) {
    if (done.empty()) done.swap(batch);
    else std::ranges::move(batch, std::back_inserter(done));
    if (!std::exchange(posted, true)) boost::asio::post(*context, [self = shared_from_this()] { self->resume(); });
  }
  batch.clear();
}

Port::Port(Log& log, boost::asio::io_context& context) : state_(std::make_shared<State>(log, context)) {}

Port::~Port() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->context = nullptr;
    state_->done.clear();
  }
  // Whoever still waits is abandoned: its entry may become durable all the same.
  const auto abandoned = std::move(state_->waiters);
  state_->waiters.clear();
}

awaitable<Result<std::uint64_t>> Port::append(Entry entry) { return submit(state_, std::move(entry), false); }

void Port::append(Entry entry, std::move_only_function<void(Result<std::uint64_t>)> done) {
  auto& writer = *state_->log.state().writer;
  if (auto refused = writer.refusal(entry, false)) return done(std::unexpected(std::move(*refused)));
  using Handler = std::move_only_function<void(Result<std::uint64_t>)>;
  const auto slot = state_->wait(std::make_unique<WaiterOf<Handler>>(std::move(done)));
  writer.enqueue({std::move(entry), false, state_, slot, nullptr});
}

awaitable<Result<void>> Port::append_chunks(SessionPtr session, std::vector<Chunk> chunks) {
  Entry carrier(Kind::Outcome, std::move(session));
  for (auto& chunk : chunks) carrier.add_chunk(std::move(chunk));
  auto result = co_await submit(state_, std::move(carrier), true);
  if (!result) co_return std::unexpected(std::move(result).error());
  co_return Result<void>{};
}

}  // namespace sallyport::evidence
