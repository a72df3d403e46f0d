#pragma once
// The wheel behind deadline.h: one per io_context, found by use_service. 256 buckets of 50 ms; a node sits in the bucket
// of its time and is looked at once a turn. Arming and disarming are a list operation, without allocation. The timer runs
// only while something is armed. Worker's thread only.
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <array>

#include "net/deadline.h"

namespace sallyport::net {

class DeadlineWheel : public boost::asio::execution_context::service {
 public:
  using key_type = DeadlineWheel;
  static boost::asio::execution_context::id id;

  /// Embedded in what waits; must be disarmed before it is destroyed.
  struct Node {
    Node* next = nullptr;
    Node* previous = nullptr;
    Deadline deadline = kNever;
    bool fired = false;
    void (*fire)(Node&) = nullptr;   // called on the worker's thread, after the node has left the wheel
    bool armed() const { return next != nullptr; }
  };

  explicit DeadlineWheel(boost::asio::execution_context& context);
  void arm(Node& node, Deadline deadline);
  void disarm(Node& node);

 private:
  void shutdown() override;
  void tick();
  void schedule();

  static constexpr std::int64_t kTick = 50'000'000;
  static constexpr std::size_t kBuckets = 256;
  boost::asio::steady_timer timer_;
  std::array<Node, kBuckets> buckets_;   // heads of circular lists
  std::size_t armed_ = 0;
  std::int64_t at_ = 0;                  // the tick looked at last
  bool ticking_ = false, down_ = false;
};

}  // namespace sallyport::net
