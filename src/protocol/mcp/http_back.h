#pragma once
// Streamable HTTP towards a target (revisions 2025-03-26 to 2025-11-25): each message is a POST whose answer is one JSON
// body or a stream of events; a GET listens; a DELETE ends. Keeps the target's Mcp-Session-Id. See back.h.
#include "protocol/mcp/back.h"
#include "target/link.h"

namespace sallyport::protocol::mcp {

class HttpBack : public Back {
 public:
  /// `resume_key`: the target's session id of a conversation that goes on after a restart, or "".
  HttpBack(std::shared_ptr<target::Link> link, const target::McpTarget& settings, std::string resume_key)
      : link_(std::move(link)), session_(std::move(resume_key)), silence_ns_(settings.timeout_ns), max_message_(settings.max_message) {}

  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> request(target::Permit permit, const Message& request, net::Recall* recall) override;
  /// `initialize` to a target that may not take it here: the permit is left when it did not (status 400, 404 or 405).
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> offer(target::Permit& permit, const Message& initialize);
  boost::asio::awaitable<Result<void>> post(target::Permit permit) override;
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> listen(target::Permit permit, std::string last_event_id) override;
  boost::asio::awaitable<Result<void>> end(target::Permit permit) override;
  bool needs_end() const override { return !session_.empty(); }
  bool lost() const override { return lost_; }
  std::string resume_key() const override { return session_; }
  void agreed(std::string version) override { version_ = std::move(version); }

 private:
  net::Headers headers(bool stream_only) const;
  net::Headers naming(const Message& request) const;
  std::unique_ptr<Answers> answers_to(const Message& request, net::HttpExchange exchange);
  std::shared_ptr<target::Link> link_;
  std::string session_, version_;
  std::int64_t silence_ns_;
  std::size_t max_message_;
  bool lost_ = false;
};

}  // namespace sallyport::protocol::mcp
