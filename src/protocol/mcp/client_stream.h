#pragma once
// The client's side of one answer: one message, or a stream of events once something must be said before the end. Over HTTP
// it is HttpClientStream; a virtual server puts its own in between its members and the client. Owned by the coroutine that
// serves the request; used on its worker only. A client that is gone is not an error here: what it would have got is still
// recorded, and the caller goes on.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "net/condition.h"
#include "net/http.h"
#include "protocol/mcp/sse.h"

namespace sallyport::protocol::mcp {

class ClientStream {
 public:
  virtual ~ClientStream() = default;
  /// The client accepts text/event-stream.
  virtual bool may_stream() const = 0;
  virtual bool gone() const = 0;
  /// Looks at the connection itself: true when the client has closed it, or has gone on to something else.
  virtual bool peer_gone() const = 0;
  /// The client has closed its side: in the modern era that takes its request back.
  virtual bool closed_by_client() const = 0;
  virtual bool answered() const = 0;
  /// An event; begins the stream when it has not begun. Dropped when the client does not accept streams.
  virtual boost::asio::awaitable<void> event(SseEvent event) = 0;
  /// ": text" keeps idle connections open; begins the stream.
  virtual boost::asio::awaitable<void> comment(std::string text) = 0;
  /// The final message: a JSON body when nothing was streamed, else an event.
  virtual boost::asio::awaitable<void> answer(std::string text, std::optional<std::string> id = {}, unsigned status = 200) = 0;
  /// Ends what was begun; an answer that never came is 202 for `accepted`, else an empty stream.
  virtual boost::asio::awaitable<void> finish(bool accepted = false) = 0;
  /// Ends a stream that was begun and left open, as by an error in the middle of an answer.
  virtual boost::asio::awaitable<void> end_stream() { co_return; }
  /// Resumes when the client goes, or close() is called. At most one at a time.
  virtual boost::asio::awaitable<void> until_gone() = 0;
  virtual void close() = 0;

  /// Called with the request's id when what the client waits for is held for approval: whoever set it may let the client go.
  void on_hold(std::function<void(const std::string& approval)> held) { on_hold_ = std::move(held); }
  void held(const std::string& approval) {
    if (auto told = std::exchange(on_hold_, nullptr)) told(approval);
  }
  /// The client gets this as its answer and is gone; from now on the answer is collected here instead.
  virtual boost::asio::awaitable<void> leave(std::string text) { return answer(std::move(text)); }
  virtual std::string take_collected() { return ""; }

 private:
  std::function<void(const std::string&)> on_hold_;
};

class HttpClientStream : public ClientStream {
 public:
  /// `must_stream`: more than one answer is coming.
  HttpClientStream(net::HttpServerConnection& http, boost::asio::io_context& context, bool may_stream, bool must_stream = false)
      : http_(&http), turn_(context), may_stream_(may_stream), must_stream_(must_stream) {}

  bool may_stream() const override { return may_stream_; }
  bool gone() const override { return !left_ && gone_; }
  bool peer_gone() const override { return !left_ && (gone_ || !http_->is_open() || !http_->stream().idle_and_healthy()); }
  bool closed_by_client() const override { return !left_ && (gone_ || http_->stream().peer_closed()); }
  bool answered() const override { return answered_ || streaming_; }
  boost::asio::awaitable<void> event(SseEvent event) override;
  boost::asio::awaitable<void> comment(std::string text) override;
  boost::asio::awaitable<void> answer(std::string text, std::optional<std::string> id = {}, unsigned status = 200) override;
  /// Within a batch others may follow, so that only end_batch() ends it.
  boost::asio::awaitable<void> finish(bool accepted = false) override;
  boost::asio::awaitable<void> end_batch();
  boost::asio::awaitable<void> end_stream() override;
  boost::asio::awaitable<void> until_gone() override { return http_->client_gone(); }
  void close() override { http_->close(); }
  boost::asio::awaitable<void> leave(std::string text) override;
  std::string take_collected() override { return std::exchange(collected_, {}); }

 private:
  boost::asio::awaitable<void> send(std::string bytes);
  boost::asio::awaitable<void> put(std::string text, std::optional<std::string> id, unsigned status);
  boost::asio::awaitable<void> end();
  net::HttpServerConnection* http_;   // null once the client has been let go
  std::string collected_;             // the answer that came after that
  net::Condition turn_;               // whoever writes holds `writing_`; others wait here
  bool may_stream_, must_stream_;
  bool left_ = false;                 // the client is being let go, or has been: what comes now is for collected_
  bool streaming_ = false, answered_ = false, gone_ = false, writing_ = false, ended_ = false;
};

}  // namespace sallyport::protocol::mcp
