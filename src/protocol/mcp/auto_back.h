#pragma once
// A target whose HTTP transport is not configured: Streamable HTTP is tried first; when the target does not take `initialize`
// there (400, 404, 405), HTTP+SSE (MCP 2025-11-25, basic/transports, backwards compatibility). See back.h.
#include "protocol/mcp/http_back.h"
#include "protocol/mcp/sse_back.h"

namespace sallyport::protocol::mcp {

class AutoBack : public Back {
 public:
  AutoBack(std::unique_ptr<HttpBack> http, std::unique_ptr<SseBack> sse) : http_(std::move(http)), sse_(std::move(sse)) {}

  Result<std::string> outgoing(const Message& message) override { return now().outgoing(message); }
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> request(target::Permit permit, const Message& request, net::Recall* recall) override;
  boost::asio::awaitable<Result<void>> post(target::Permit permit) override { return now().post(std::move(permit)); }
  std::string listening() override { return now().listening(); }
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> listen(target::Permit permit, std::string last_event_id) override { return now().listen(std::move(permit), std::move(last_event_id)); }
  std::string cancelling(const std::string& id) override { return now().cancelling(id); }
  boost::asio::awaitable<Result<void>> end(target::Permit permit) override { return now().end(std::move(permit)); }
  bool needs_end() const override { return now().needs_end(); }
  bool lost() const override { return now().lost(); }
  std::string resume_key() const override { return now().resume_key(); }
  void agreed(std::string version) override;

 private:
  Back& now() const { return older_ ? static_cast<Back&>(*sse_) : *http_; }
  std::unique_ptr<HttpBack> http_;
  std::unique_ptr<SseBack> sse_;
  bool older_ = false;
};

}  // namespace sallyport::protocol::mcp
