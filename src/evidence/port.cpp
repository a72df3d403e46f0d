#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "evidence/log_state.h"
#include "evidence/port_state.h"

namespace sallyport::evidence {

using boost::asio::awaitable;

namespace {

/// No coroutine of its own: each costs an allocation for every entry.
awaitable<Result<std::uint64_t>> submit(std::shared_ptr<Port::State> state, OpPtr op) {
  auto start = [](auto handler, std::shared_ptr<Port::State> to, OpPtr it) {
    auto& writer = *to->log.state().writer;
    if (auto refused = writer.refusal(it->entry, it->chunks_only)) {
      return boost::asio::post(*to->context, [h = std::move(handler), why = std::move(*refused)]() mutable {
        std::move(h)(Result<std::uint64_t>(std::unexpected(std::move(why))));
      });
    }
    it->slot = to->wait(std::move(handler));
    to->send(std::move(it));
  };
  return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Result<std::uint64_t>)>(
      start, boost::asio::use_awaitable, std::move(state), std::move(op));
}

}  // namespace

OpPtr Port::State::make(Entry entry, bool chunks_only) {
  if (spare.empty()) return std::make_unique<Op>(std::move(entry), chunks_only, shared_from_this());
  auto op = std::move(spare.back());
  spare.pop_back();
  op->entry = std::move(entry);
  op->chunks_only = chunks_only;
  return op;
}

void Port::State::recycle(OpPtr op) {
  constexpr std::size_t kKept = 4096;
  op->entry.retire();
  if (spare.size() < kKept) spare.push_back(std::move(op));
}

/// Woken for each entry, the writer would sync a batch of one while the next are being made: those of one turn of the worker go
/// together, in one lock and one wake-up.
void Port::State::send(OpPtr op) {
  constexpr std::size_t kMost = 256;
  log.state().writer->reckon(*op);
  leaving.push_back(std::move(op));
  if (leaving.size() >= kMost) send_all();
  else if (leaving.size() == 1) boost::asio::post(*context, [self = shared_from_this()] { self->send_all(); });
}

void Port::State::send_all() {
  if (!leaving.empty()) log.state().writer->enqueue(leaving);
  leaving.clear();
}

std::uint32_t Port::State::wait(Waiter waiter) {
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
  std::vector<OpPtr> all = std::exchange(arrived, {});
  {
    const std::lock_guard lock(mutex);
    all.swap(done);
    posted = false;
    if (context == nullptr) return;
  }
  for (auto& op : all) {
    if (op->slot >= waiters.size()) return;  // the Port went away while its coroutines were resumed
    auto waiter = std::exchange(waiters[op->slot], nullptr);
    free.push_back(op->slot);
    auto result = std::exchange(op->result, std::uint64_t{0});
    recycle(std::move(op));
    if (waiter) waiter(std::move(result));
  }
  all.clear();
  arrived = std::move(all);  // its memory, for the next time
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
  state_->send_all();
  // Whoever still waits is abandoned: its entry may become durable all the same.
  const auto abandoned = std::move(state_->waiters);
  state_->waiters.clear();
  state_->spare.clear();
}

awaitable<Result<std::uint64_t>> Port::append(Entry entry) { return submit(state_, state_->make(std::move(entry), false)); }

void Port::append(Entry entry, std::move_only_function<void(Result<std::uint64_t>)> done) {
  auto& writer = *state_->log.state().writer;
  if (auto refused = writer.refusal(entry, false)) return done(std::unexpected(std::move(*refused)));
  auto op = state_->make(std::move(entry), false);
  op->slot = state_->wait(std::move(done));
  state_->send(std::move(op));
}

awaitable<Result<void>> Port::append_chunks(SessionPtr session, std::vector<Chunk> chunks) {
  Entry carrier(Kind::Outcome, std::move(session));
  for (auto& chunk : chunks) carrier.add_chunk(std::move(chunk));
  auto result = co_await submit(state_, state_->make(std::move(carrier), true));
  if (!result) co_return std::unexpected(std::move(result).error());
  co_return Result<void>{};
}

}  // namespace sallyport::evidence
