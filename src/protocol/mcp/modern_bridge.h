#pragma once
// A modern target (2026-07-28) as a legacy one (up to 2025-11-25): `initialize` becomes server/discover, every request says who the
// client is, a result that needs input becomes requests to the client and, when they are answered, the call made again; what the
// modern era has no word for is answered here. What has no counterpart is documented in docs/protocols/mcp.md. See back.h.
#include <map>
#include <set>

#include "protocol/mcp/back.h"

namespace sallyport::protocol::mcp {

class ModernBridge : public Back {
 public:
  explicit ModernBridge(std::unique_ptr<Back> inner) : inner_(std::move(inner)) {}
  ~ModernBridge() override;

  Result<std::string> outgoing(const Message& message) override;
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> request(target::Permit permit, const Message& request, net::Recall* recall) override;
  boost::asio::awaitable<Result<void>> post(target::Permit permit) override;
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> listen(target::Permit permit, std::string last_event_id) override;
  std::string listening() override;
  boost::asio::awaitable<Result<void>> end(target::Permit) override { co_return Result<void>{}; }
  bool needs_end() const override { return false; }
  Result<std::optional<json::Document>> recorded(const Message& message) const override { return inner_->recorded(message); }
  bool lost() const override { return inner_->lost(); }
  void agreed(std::string) override {}

 private:
  class CallAnswers;
  class ListenAnswers;
  std::string meta() const;
  std::string next_id() { return "\"sallyport-" + std::to_string(++last_id_) + "\""; }

  std::unique_ptr<Back> inner_;
  std::string client_info_ = "{}", capabilities_ = "{}", level_;  // raw; the level as a word
  std::string asked_version_;
  std::set<std::string, std::less<>> subscribed_;                 // URIs
  std::uint64_t last_id_ = 0;
  std::map<std::string, CallAnswers*, std::less<>> calls_;        // by the client's raw id
  std::map<std::string, CallAnswers*, std::less<>> asked_;        // by the raw id of a request that the client was sent
  std::map<std::string, CallAnswers*, std::less<>> retries_;      // by the raw id of a call that is about to be made again
  std::set<ListenAnswers*> listeners_;
};

}  // namespace sallyport::protocol::mcp
