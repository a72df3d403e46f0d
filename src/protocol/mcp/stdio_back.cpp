#include "protocol/mcp/stdio_back.h"

#include "protocol/mcp/era.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

std::unexpected<Error> StdioBack::unknown() {
  lost_ = true;
  return fail(ErrorKind::Unavailable, "the server's process of this session is gone");
}

awaitable<Result<std::unique_ptr<Answers>>> StdioBack::request(target::Permit permit, const Message& request, net::Recall* recall) {
  if (channel_ && request.method != "initialize") co_return co_await channel_->request(guest_, std::move(permit), recall);
  CO_TRY(const auto document, json::Document::parse(permit.bytes()));
  const auto root = document.root();
  const bool greets = root["method"].as_string() == "initialize";
  // In the modern era a conversation begins with any request.
  if (!greets && version_ != kModern) co_return unknown();
  // It was asked in the words of the modern era and does not speak it: a process that was greeted like that serves nobody.
  if (channel_ && greets) channel_->retire();
  leave();
  const auto meta = root["params"]["_meta"];
  CO_TRY(channel_, pool_->channel(permit.target(), owner_, greets ? root["params"]["protocolVersion"].as_string() : version_, greets ? root["params"]["capabilities"] : meta[kMetaCapabilities]));
  guest_ = channel_->join();
  co_return greets ? co_await channel_->initialize(guest_, std::move(permit)) : co_await channel_->request(guest_, std::move(permit), recall);
}

/// On this transport a closed stream says nothing: a request is taken back in words, in either era.
std::string StdioBack::cancelling(const std::string& id) {
  return R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":)" + id + "}}";
}

awaitable<Result<void>> StdioBack::post(target::Permit permit) {
  if (!channel_) co_return unknown();
  co_return co_await channel_->post(guest_, std::move(permit));
}

awaitable<Result<std::unique_ptr<Answers>>> StdioBack::listen(target::Permit, std::string) {
  if (!channel_) co_return unknown();
  if (channel_->dead()) co_return std::unexpected(channel_->why_dead());
  co_return channel_->listen(guest_);
}

awaitable<Result<void>> StdioBack::end(target::Permit) {
  leave();
  co_return Result<void>{};
}

void StdioBack::leave() {
  if (!channel_) return;
  channel_->leave(guest_);
  pool_->left(channel_);
  guest_.reset();
  channel_.reset();
}

}  // namespace sallyport::protocol::mcp
