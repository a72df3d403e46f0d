#pragma once
// A legacy target (up to 2025-11-25) as a modern one (2026-07-28): its handshake has been made, its requests to the client become
// results that need input, its GET stream becomes subscriptions/listen. A call that waits for input is kept here, unanswered, until the
// client comes back with its name in its requestState. What has no counterpart is documented in docs/protocols/mcp.md. See back.h.
#include <map>
#include <vector>

#include "protocol/mcp/back.h"

namespace sallyport::protocol::mcp {

class LegacyBridge : public Back {
 public:
  /// `initialized`: the target's answer to `initialize`.
  LegacyBridge(std::unique_ptr<Back> inner, Message initialized);
  ~LegacyBridge() override;

  Result<std::string> outgoing(const Message& message) override;
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> request(target::Permit permit, const Message& request, net::Recall* recall) override;
  /// The gateway's own messages: a request's answer is read and dropped, "" opens the target's stream.
  boost::asio::awaitable<Result<void>> post(target::Permit permit) override;
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> listen(target::Permit permit, std::string last_event_id) override;
  boost::asio::awaitable<Result<void>> end(target::Permit permit) override { return inner_->end(std::move(permit)); }
  std::string cancelling(const std::string& id) override;
  bool needs_end() const override { return inner_->needs_end(); }
  bool lost() const override { return inner_->lost(); }
  void agreed(std::string) override {}

  /// A call on its way, from its first message to its answer, over as many rounds as it takes.
  struct Call {
    std::string id, wire_id;         // the client's newest and the target's only one, raw
    std::string method, token, level;
    std::unique_ptr<Answers> answers;
    std::string asked_id, asked_key, asked;  // what it waits for: the target's id, its key in inputRequests, method and params as an object
    std::int64_t parked_until_ns = 0;
  };
  /// The target's stream outside of calls, read once for all that listen.
  struct Stream;

 private:
  class CallAnswers;
  class ListenAnswers;
  std::string discovered(const Message& request) const;
  std::string acknowledged(const Message& request) const;

  std::unique_ptr<Back> inner_;
  Message initialized_;
  std::uint64_t last_id_ = 0;
  std::map<std::string, std::shared_ptr<Call>, std::less<>> parked_;  // by names that no other conversation's calls have
  std::vector<std::weak_ptr<Call>> running_;
  std::shared_ptr<Stream> stream_;
};

}  // namespace sallyport::protocol::mcp
