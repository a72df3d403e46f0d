#pragma once
// HTTP+SSE towards a target, the transport of revision 2024-11-05: one GET whose stream names the address for messages
// ("endpoint") and carries everything the target says, and a POST for each message. The stream is opened under the permit of
// the first message and lives as long as the conversation: when it ends, the conversation is lost. See back.h.
#include <map>

#include "protocol/mcp/multiplex.h"
#include "target/link.h"

namespace sallyport::protocol::mcp {

/// No session id of HTTP looks like this: a conversation of this transport, which a restart of the gateway ended.
inline constexpr std::string_view kSseResumeKey = "\nsse";

class SseBack : public Back {
 public:
  SseBack(boost::asio::io_context& context, std::shared_ptr<target::Link> link, const target::McpTarget& settings);
  ~SseBack() override;
  SseBack(const SseBack&) = delete;

  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> request(target::Permit permit, const Message& request, net::Recall* recall) override;
  boost::asio::awaitable<Result<void>> post(target::Permit permit) override;
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> listen(target::Permit permit, std::string last_event_id) override;
  boost::asio::awaitable<Result<void>> end(target::Permit permit) override;
  std::string cancelling(const std::string& id) override;
  bool needs_end() const override { return false; }
  bool lost() const override;
  std::string resume_key() const override { return std::string(kSseResumeKey); }
  void agreed(std::string version) override { version_ = std::move(version); }

 private:
  struct Stream;
  boost::asio::awaitable<Result<void>> open(const target::Permit& permit);
  boost::asio::awaitable<Result<void>> send(target::Permit permit, net::Recall* recall = nullptr);
  static boost::asio::awaitable<void> read(std::shared_ptr<Stream> stream);

  boost::asio::io_context& context_;
  std::shared_ptr<target::Link> link_;
  std::size_t max_message_;
  std::int64_t timeout_ns_;
  std::shared_ptr<Stream> stream_;
  std::string version_;
  bool lost_ = false;
};

}  // namespace sallyport::protocol::mcp
