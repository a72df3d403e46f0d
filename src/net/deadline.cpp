#include "net/deadline.h"

#include "base/clock.h"
#include "net/deadline_wheel.h"

namespace sallyport::net {

boost::asio::execution_context::id DeadlineWheel::id;

Deadline after(std::int64_t duration_ns) {
  const auto now = system_clock().mono_ns();
  return duration_ns >= kNever - now ? kNever : now + duration_ns;
}

DeadlineWheel::DeadlineWheel(boost::asio::execution_context& context)
    : service(context), timer_(static_cast<boost::asio::io_context&>(context)) {
  for (auto& head : buckets_) head.next = head.previous = &head;
}

void DeadlineWheel::shutdown() {
  down_ = true;
  timer_.cancel();
}

void DeadlineWheel::arm(Node& node, Deadline deadline) {
  if (node.armed()) disarm(node);
  node.deadline = deadline;
  node.fired = false;
  if (deadline == kNever || down_) return;
  // Rounded up, and never into a bucket that this turn has passed already.
  const auto bucket = static_cast<std::size_t>(std::max(deadline / kTick + 1, system_clock().mono_ns() / kTick + 1)) % kBuckets;
  auto& head = buckets_[bucket];
  node.next = &head;
  node.previous = head.previous;
  head.previous->next = &node;
  head.previous = &node;
  ++armed_;
  if (!ticking_) schedule();
}

void DeadlineWheel::disarm(Node& node) {
  if (!node.armed()) return;
  node.previous->next = node.next;
  node.next->previous = node.previous;
  node.next = node.previous = nullptr;
  --armed_;
}

void DeadlineWheel::schedule() {
  if (!ticking_) at_ = system_clock().mono_ns() / kTick;
  ticking_ = true;
  timer_.expires_after(std::chrono::nanoseconds(kTick));
  timer_.async_wait([this](const boost::system::error_code& stopped) {
    if (!stopped && !down_) tick();
  });
}

void DeadlineWheel::tick() {
  const auto now = system_clock().mono_ns();
  const auto last = now / kTick;
  // A stalled thread looks at each bucket once at most, however long it stalled.
  const auto from = std::max(at_ + 1, last - static_cast<std::int64_t>(kBuckets) + 1);
  for (auto t = from; t <= last; ++t) {
    auto& head = buckets_[static_cast<std::size_t>(t) % kBuckets];
    for (Node* node = head.next; node != &head;) {
      Node* const next = node->next;
      if (node->deadline <= now) {
        disarm(*node);
        node->fired = true;
        node->fire(*node);  // cancels a wait: resumes nothing at once, so `next` stays what it was
      }
      node = next;
    }
  }
  at_ = last;
  if (armed_ > 0) schedule();
  else ticking_ = false;
}

}  // namespace sallyport::net
