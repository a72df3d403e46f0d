#include "protocol/mcp/inbox.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

awaitable<bool> Inbox::room(net::Deadline deadline) {
  while (!closed_ && !has_room())
    if (!co_await changed_.wait(deadline)) break;
  co_return !closed_ && has_room();
}

void Inbox::put(std::string message) {
  bytes_ += message.size();
  messages_.push_back(std::move(message));
  changed_.changed();
}

void Inbox::finish(std::optional<Error> why) {
  if (over_) return;
  over_ = true;
  why_ = std::move(why);
  changed_.changed();
}

void Inbox::close() {
  closed_ = true;
  changed_.changed();
}

awaitable<Result<std::optional<SseEvent>>> Inbox::next(net::Deadline deadline) {
  while (messages_.empty()) {
    if (closed_) co_return fail(ErrorKind::Disconnected, "nobody reads any more");
    if (over_ && why_) co_return std::unexpected(*why_);
    if (over_) co_return std::nullopt;
    if (!co_await changed_.wait(deadline)) co_return fail(ErrorKind::Unavailable, "the target was silent for too long");
  }
  if (closed_) co_return fail(ErrorKind::Disconnected, "nobody reads any more");
  SseEvent event;
  event.data = std::move(messages_.front());
  messages_.pop_front();
  bytes_ -= event.data.size();
  changed_.changed();
  co_return event;
}

}  // namespace sallyport::protocol::mcp
