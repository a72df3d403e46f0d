#include "protocol/mcp/auto_back.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

awaitable<Result<std::unique_ptr<Answers>>> AutoBack::request(target::Permit permit, const Message& request, net::Recall* recall) {
  if (older_ || request.method != "initialize") co_return co_await now().request(std::move(permit), request, recall);
  CO_TRY(auto answers, co_await http_->offer(permit, request));
  const auto status = answers->status();
  if (status != 400 && status != 404 && status != 405) co_return answers;
  auto older = co_await sse_->request(std::move(permit), request, recall);
  // What it said to the POST tells more than that it has no event stream either.
  if (!older) co_return answers;
  older_ = true;
  co_return older;
}

void AutoBack::agreed(std::string version) {
  sse_->agreed(version);
  http_->agreed(std::move(version));
}

}  // namespace sallyport::protocol::mcp
