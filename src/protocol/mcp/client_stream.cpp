#include "protocol/mcp/client_stream.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

/// It takes as long as the client takes to read, and the call may end meanwhile: its answer is not for this connection any more.
awaitable<void> HttpClientStream::leave(std::string text) {
  left_ = true;
  co_await put(std::move(text), {}, 200);
  if (streaming_) co_await end();
  http_ = nullptr;
}

awaitable<void> HttpClientStream::send(std::string bytes) {
  while (writing_ && !gone_) (void)co_await turn_.wait(net::kNever);
  if (gone_ || ended_) co_return;
  writing_ = true;
  if (!streaming_) {
    streaming_ = true;
    net::Headers headers;
    headers.add("Content-Type", "text/event-stream");
    headers.add("Cache-Control", "no-cache, no-transform");
    headers.add("X-Accel-Buffering", "no");
    if (!(co_await http_->begin(200, headers))) gone_ = true;
  }
  if (!gone_ && !bytes.empty() && !(co_await http_->chunk(bytes))) gone_ = true;
  writing_ = false;
  turn_.changed();
}

awaitable<void> HttpClientStream::event(SseEvent event) {
  if (may_stream_ && !left_) co_await send(encode(event));
}

awaitable<void> HttpClientStream::comment(std::string text) {
  if (may_stream_ && !left_ && !writing_) co_await send(": " + text + "\n\n");
}

awaitable<void> HttpClientStream::answer(std::string text, std::optional<std::string> id, unsigned status) {
  if (left_) collected_ = std::move(text);
  else co_await put(std::move(text), std::move(id), status);
}

awaitable<void> HttpClientStream::put(std::string text, std::optional<std::string> id, unsigned status) {
  if (streaming_ || must_stream_) {
    SseEvent event;
    event.event = "message";
    event.data = std::move(text);
    event.id = std::move(id);
    co_await send(encode(event));
    co_return;
  }
  answered_ = true;
  net::Headers headers;
  headers.add("Content-Type", "application/json");
  if (!gone_ && !(co_await http_->respond(status, headers, text))) gone_ = true;
}

awaitable<void> HttpClientStream::end_batch() {
  must_stream_ = false;
  co_await finish();
}

awaitable<void> HttpClientStream::end_stream() {
  if (streaming_) co_await finish();
}

awaitable<void> HttpClientStream::finish(bool accepted) {
  if (answered_ || ended_ || must_stream_ || left_) co_return;
  if (!streaming_ && accepted) {
    answered_ = true;
    if (!(co_await http_->respond(202, {}, ""))) gone_ = true;
    co_return;
  }
  if (!streaming_) co_await send("");  // a request that was cancelled has no answer: the stream just ends
  co_await end();
}

awaitable<void> HttpClientStream::end() {
  ended_ = true;
  if (!gone_ && !(co_await http_->end())) gone_ = true;
}

}  // namespace sallyport::protocol::mcp
