#pragma once
// One session's end of a server that is a process: its guest at a channel of the pool. See back.h and stdio_channel.h.
// Nothing of a conversation outlives its process, so none goes on after a restart of the gateway.
#include "protocol/mcp/back.h"
#include "protocol/mcp/stdio_pool.h"

namespace sallyport::protocol::mcp {

class StdioBack : public Back {
 public:
  StdioBack(std::shared_ptr<StdioPool> pool, Owner owner) : pool_(std::move(pool)), owner_(std::move(owner)) {}
  ~StdioBack() override { leave(); }
  StdioBack(const StdioBack&) = delete;

  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> request(target::Permit permit, const Message& request, net::Recall* recall) override;
  boost::asio::awaitable<Result<void>> post(target::Permit permit) override;
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> listen(target::Permit permit, std::string last_event_id) override;
  boost::asio::awaitable<Result<void>> end(target::Permit permit) override;
  bool needs_end() const override { return false; }  // nothing is said to the server; leaving is enough
  bool lost() const override { return lost_ || (channel_ && channel_->dead()); }
  void agreed(std::string version) override { version_ = std::move(version); }
  std::string cancelling(const std::string& id) override;

 private:
  void leave();
  std::unexpected<Error> unknown();
  std::shared_ptr<StdioPool> pool_;
  Owner owner_;
  std::shared_ptr<Channel> channel_;
  Multiplex::GuestPtr guest_;
  std::string version_;
  bool lost_ = false;
};

}  // namespace sallyport::protocol::mcp
