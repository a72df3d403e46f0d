#pragma once
// What goes to the client, in order, with gates in it: bytes behind a gate wait until what the gate stands for (an outcome,
// an intent) is durable. Owned by a session, its worker's thread.
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

namespace sallyport::protocol::postgres {

class ClientOut {
 public:
  struct Gate {
    std::uint64_t at = 0;
    bool open = false;
  };
  using GatePtr = std::shared_ptr<Gate>;

  std::string& buffer() { return bytes_; }
  void append(std::string_view bytes) { bytes_.append(bytes); }
  /// Nothing that is appended from now on leaves before the gate opens.
  GatePtr close_gate() {
    auto gate = std::make_shared<Gate>(Gate{base_ + bytes_.size(), false});
    gates_.push_back(gate);
    return gate;
  }
  /// The same with a gate that exists already.
  void close_gate(const GatePtr& gate) {
    gate->at = base_ + bytes_.size();
    gates_.push_back(gate);
  }
  bool gated() {
    while (!gates_.empty() && gates_.front()->open) gates_.pop_front();
    return !gates_.empty();
  }
  /// The bytes that may leave now.
  std::string_view sendable() {
    const std::uint64_t until = gated() ? gates_.front()->at : base_ + bytes_.size();
    return std::string_view(bytes_).substr(sent_, static_cast<std::size_t>(until - base_ - sent_));
  }
  void sent(std::size_t n) {
    sent_ += n;
    if (sent_ == bytes_.size()) {
      base_ += sent_;
      sent_ = 0;
      bytes_.clear();
      if (bytes_.capacity() > kKeep) bytes_.shrink_to_fit();
    } else if (sent_ >= kCompact) {
      bytes_.erase(0, sent_);
      base_ += sent_;
      sent_ = 0;
    }
  }
  std::size_t waiting() const { return bytes_.size() - sent_; }
  void drop() {
    gates_.clear();
    bytes_.clear();
    sent_ = 0;
  }

 private:
  static constexpr std::size_t kKeep = 16u << 10, kCompact = 1u << 20;
  std::string bytes_;
  std::size_t sent_ = 0;
  std::uint64_t base_ = 0;   // offset of bytes_[0] in all that was ever appended
  std::deque<GatePtr> gates_;
};

}  // namespace sallyport::protocol::postgres
