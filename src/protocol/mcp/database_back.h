#pragma once
// A database of the gateway's own as an MCP server of the modern era (back.h): tools/list is made here, a tools/call becomes a statement
// that runs through the database's own door as the same person (protocol/database.h, ADR 8). Nothing is kept between calls.
#include "enforce/gate.h"
#include "protocol/database.h"
#include "protocol/mcp/back.h"

namespace sallyport::protocol::mcp {

class DatabaseBack : public Back {
 public:
  DatabaseBack(boost::asio::io_context& context, Databases& databases, std::shared_ptr<const enforce::Session> session)
      : context_(context), databases_(databases), session_(std::move(session)) {}

  Result<std::optional<json::Document>> recorded(const Message& message) const override;
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> request(target::Permit permit, const Message& request, net::Recall* recall = nullptr) override;
  boost::asio::awaitable<Result<void>> post(target::Permit permit) override;
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> listen(target::Permit permit, std::string last_event_id) override;
  boost::asio::awaitable<Result<void>> end(target::Permit permit) override;
  bool needs_end() const override { return false; }
  bool lost() const override { return false; }
  void agreed(std::string) override {}

 private:
  boost::asio::io_context& context_;
  Databases& databases_;
  std::shared_ptr<const enforce::Session> session_;
};

}  // namespace sallyport::protocol::mcp
