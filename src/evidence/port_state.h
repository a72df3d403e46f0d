#pragma once
// What a Port shares with the writer: results on their way back, and who waits for them. Waiters are made, resumed and
// destroyed on the worker's thread only; the writer knows them by number.
#include <mutex>

#include "evidence/log.h"

namespace sallyport::evidence {

struct Waiter {
  virtual ~Waiter() = default;
  virtual void complete(Result<std::uint64_t> result) = 0;
};

struct Completion {
  std::uint32_t slot;
  Result<std::uint64_t> result;
};

struct Port::State : std::enable_shared_from_this<Port::State> {
  State(Log& l, boost::asio::io_context& c) : log(l), context(&c) {}

  Log& log;
  std::mutex mutex;                   // what follows, up to the next comment
  boost::asio::io_context* context;   // nullptr once the Port is gone: nothing may be posted any more
  bool posted = false;
  std::vector<Completion> done;
  // The writer's alone: what the batch at hand has for this port.
  std::vector<Completion> batch;
  // The worker's alone.
  std::vector<std::unique_ptr<Waiter>> waiters;
  std::vector<std::uint32_t> free;

  std::uint32_t wait(std::unique_ptr<Waiter> waiter);
  void resume();   // worker: the results that arrived
  void deliver();  // writer: hands over `batch` in one post
};

}  // namespace sallyport::evidence
