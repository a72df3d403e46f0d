#pragma once
// Messages of a target on their way to the one who reads them: a call that waits for its answer, or a listener. Bounded: the
// target's reader waits for room. Shared by both ends; worker's thread only.
#include <deque>
#include <memory>
#include <string>

#include "net/condition.h"
#include "protocol/mcp/back.h"

namespace sallyport::protocol::mcp {

class Inbox {
 public:
  Inbox(boost::asio::io_context& context, std::size_t max_bytes) : changed_(context), max_bytes_(max_bytes) {}

  bool has_room() const { return messages_.empty() || (messages_.size() < kMessages && bytes_ < max_bytes_); }
  bool closed() const { return closed_; }
  /// Waits for room; false when there is none by the deadline or nobody reads any more.
  boost::asio::awaitable<bool> room(net::Deadline deadline);
  void put(std::string message);
  /// Nothing more comes: after what is here the reader gets the end, or `why`.
  void finish(std::optional<Error> why = {});
  void close();
  /// Somebody reads again.
  void open() { closed_ = over_ = false; }
  boost::asio::awaitable<Result<std::optional<SseEvent>>> next(net::Deadline deadline);

 private:
  static constexpr std::size_t kMessages = 256;
  net::Condition changed_;
  std::deque<std::string> messages_;
  std::size_t bytes_ = 0, max_bytes_;
  bool closed_ = false, over_ = false;
  std::optional<Error> why_;
};

/// The reader's end. Who gives it up is told to `gone`.
class InboxAnswers : public Answers {
 public:
  InboxAnswers(std::shared_ptr<Inbox> inbox, std::function<void()> gone) : inbox_(std::move(inbox)), gone_(std::move(gone)) {}
  ~InboxAnswers() override {
    inbox_->close();
    if (gone_) gone_();
  }
  boost::asio::awaitable<Result<std::optional<SseEvent>>> next(net::Deadline deadline) override { return inbox_->next(deadline); }
  void close() override { inbox_->close(); }

 private:
  std::shared_ptr<Inbox> inbox_;
  std::function<void()> gone_;
};

}  // namespace sallyport::protocol::mcp
