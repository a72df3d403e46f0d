#pragma once
// The client's side of one HTTP answer: one JSON body, or a stream of server-sent events once something must be said
// before the end. Owned by the coroutine that serves the request; used on its worker only. A client that is gone is
// not an error here: what it would have got is still recorded, and the caller goes on.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <string>
#include <utility>

#include "net/http.h"
#include "protocol/mcp/sse.h"

namespace sallyport::protocol::mcp {

class ClientStream {
 public:
  /// `may_stream`: the client accepts text/event-stream. `must_stream`: more than one answer is coming.
  ClientStream(net::HttpServerConnection& http, boost::asio::io_context& context, bool may_stream, bool must_stream = false)
      : http_(&http), turn_(context), may_stream_(may_stream), must_stream_(must_stream) {}

  bool may_stream() const { return may_stream_; }
  bool gone() const { return gone_; }
  /// Looks at the connection itself: true when the client has closed it, or has gone on to something else.
  bool peer_gone() const { return http_ != nullptr && (gone_ || !http_->is_open() || !http_->stream().idle_and_healthy()); }
  /// The client has closed its side: in the modern era that takes its request back.
  bool closed_by_client() const { return http_ != nullptr && (gone_ || http_->stream().peer_closed()); }
  /// An event; begins the stream when it has not begun. Dropped when the client does not accept streams.
  boost::asio::awaitable<void> event(SseEvent event);
  /// ": text" keeps idle connections open; begins the stream.
  boost::asio::awaitable<void> comment(std::string text);
  /// The final message: a JSON body when nothing was streamed, else an event.
  boost::asio::awaitable<void> answer(std::string text, std::optional<std::string> id = {}, unsigned status = 200);
  /// Ends what was begun; an answer that never came is 202 for `accepted`, else an empty stream. Within a batch others
  /// may follow, so that only end_batch() ends it.
  boost::asio::awaitable<void> finish(bool accepted = false);
  boost::asio::awaitable<void> end_batch();
  /// Ends a stream that was begun and left open, as by an error in the middle of an answer.
  boost::asio::awaitable<void> end_stream();
  bool answered() const { return answered_ || streaming_; }

  /// Called with the request's id when what the client waits for is held for approval: whoever set it may let the client go.
  void on_hold(std::function<void(const std::string& approval)> held) { on_hold_ = std::move(held); }
  void held(const std::string& approval) {
    if (auto told = std::exchange(on_hold_, nullptr)) told(approval);
  }
  /// The client gets this as its answer and is gone; from now on the answer is collected here instead.
  boost::asio::awaitable<void> leave(std::string text);
  const std::string& collected() const { return collected_; }
  std::string take_collected() { return std::exchange(collected_, {}); }

 private:
  boost::asio::awaitable<void> send(std::string bytes);
  net::HttpServerConnection* http_;   // null once the client has been let go
  std::string collected_;             // the answer that came after that
  std::function<void(const std::string&)> on_hold_;
  boost::asio::steady_timer turn_;  // whoever writes holds `writing_`; others wait here
  bool may_stream_, must_stream_;
  bool streaming_ = false, answered_ = false, gone_ = false, writing_ = false, ended_ = false;
};

}  // namespace sallyport::protocol::mcp
