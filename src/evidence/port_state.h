#pragma once
// What a Port shares with the writer: entries on their way there and back, and who waits for them. Waiters are made, resumed and
// destroyed on the worker's thread only; the writer knows them by number. An entry comes back with its result, for what one
// thread allocates and another frees costs more than hashing it does.
#include <future>
#include <mutex>

#include "evidence/log.h"

namespace sallyport::evidence {

using Waiter = std::move_only_function<void(Result<std::uint64_t>)>;

/// One entry, from the queue to its result.
struct Op {
  Entry entry;
  bool chunks_only = false;
  std::shared_ptr<Port::State> port;  // or
  std::promise<Result<std::uint64_t>>* waiting = nullptr;
  std::uint32_t slot = 0;
  std::size_t bytes = 0;              // what it weighs in the queue
  Result<std::uint64_t> result;       // the writer's, until it is told
};
using OpPtr = std::unique_ptr<Op>;

struct Port::State : std::enable_shared_from_this<Port::State> {
  State(Log& l, boost::asio::io_context& c) : log(l), context(&c) {}

  Log& log;
  std::mutex mutex;                   // what follows, up to the next comment
  boost::asio::io_context* context;   // nullptr once the Port is gone: nothing may be posted any more
  bool posted = false;
  std::vector<OpPtr> done;
  // The writer's alone: what the batch at hand has for this port.
  std::vector<OpPtr> batch;
  // The worker's alone.
  std::vector<Waiter> waiters;
  std::vector<std::uint32_t> free;
  std::vector<OpPtr> spare;           // told and emptied; each still names its port, so ~Port lets go of them
  std::vector<OpPtr> arrived;
  std::vector<OpPtr> leaving;         // for the writer, once what else is ready on this worker has added to them

  OpPtr make(Entry entry, bool chunks_only);
  void recycle(OpPtr op);
  std::uint32_t wait(Waiter waiter);
  void send(OpPtr op);
  void send_all();
  void resume();   // worker: the results that arrived
  void deliver();  // writer: hands over `batch` in one post
};

}  // namespace sallyport::evidence
