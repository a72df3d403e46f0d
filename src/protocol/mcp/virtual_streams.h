#pragma once
// What stands in for a client towards the members of a virtual server (see client_stream.h): one that hands on with names made
// right, one that keeps an answer for the gateway itself, and one for each member that a client listens to. Worker's thread only.
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "protocol/mcp/client_stream.h"
#include "protocol/mcp/message.h"
#include "net/condition.h"

namespace sallyport::protocol::mcp {

/// Hands on what one member says in the course of a request.
class MemberStream : public ClientStream {
 public:
  /// `seen` is shown every answer before the client is. `kept`: the client's, where nobody else keeps it.
  MemberStream(ClientStream& client, std::string member, std::function<void(const std::string& answer)> seen = {}, std::shared_ptr<ClientStream> kept = {})
      : client_(client), member_(std::move(member)), seen_(std::move(seen)), kept_(std::move(kept)) {}
  bool may_stream() const override { return client_.may_stream(); }
  bool gone() const override { return client_.gone(); }
  bool peer_gone() const override { return client_.peer_gone(); }
  bool closed_by_client() const override { return client_.closed_by_client(); }
  bool answered() const override { return client_.answered(); }
  boost::asio::awaitable<void> event(SseEvent event) override;
  boost::asio::awaitable<void> comment(std::string text) override { return client_.comment(std::move(text)); }
  boost::asio::awaitable<void> answer(std::string text, std::optional<std::string> id, unsigned status) override;
  boost::asio::awaitable<void> finish(bool accepted) override { return client_.finish(accepted); }
  boost::asio::awaitable<void> end_stream() override { return client_.end_stream(); }
  boost::asio::awaitable<void> until_gone() override { return client_.until_gone(); }
  void close() override { client_.close(); }
  boost::asio::awaitable<void> leave(std::string text) override { return client_.leave(std::move(text)); }
  std::string take_collected() override { return client_.take_collected(); }

 private:
  std::optional<std::string> our_id(std::optional<std::string> id) const;
  ClientStream& client_;
  std::string member_;
  std::function<void(const std::string&)> seen_;
  std::shared_ptr<ClientStream> kept_;
};

/// Takes the answer to a request of the gateway's own, or to one that is merged with others.
class KeptAnswer : public ClientStream {
 public:
  explicit KeptAnswer(boost::asio::io_context& context) : done(context) {}
  bool may_stream() const override { return true; }
  bool gone() const override { return given_up; }
  bool peer_gone() const override { return given_up; }
  bool closed_by_client() const override { return given_up; }
  bool answered() const override { return text.has_value(); }
  boost::asio::awaitable<void> event(SseEvent) override { co_return; }
  boost::asio::awaitable<void> comment(std::string) override { co_return; }
  boost::asio::awaitable<void> answer(std::string said, std::optional<std::string>, unsigned) override;
  boost::asio::awaitable<void> finish(bool) override { co_return; }
  boost::asio::awaitable<void> until_gone() override { (void)co_await done.wait(net::kNever); }
  void close() override { done.changed(); }

  std::optional<std::string> text;
  bool over = false, given_up = false;
  net::Condition done;
};

class ListenStream;

/// One stream of a client's that hears all members.
struct Listener {
  Listener(ClientStream& to, boost::asio::io_context& context) : client(to), changed(context) {}
  ClientStream& client;
  std::optional<Message> request;      // subscriptions/listen of a modern client
  std::string subscriptions;           // what members have agreed to: URIs (raw), joined
  std::set<std::string> heard;         // members that have said what they agree to, or that they offer nothing
  bool open = true;                    // the client may be told things; a modern one once it has been acknowledged
  bool over = false;
  std::size_t running = 0;             // coroutines that use it
  std::set<ListenStream*> members;
  net::Condition changed;
};

class ListenStream : public ClientStream {
 public:
  ListenStream(std::shared_ptr<Listener> listener, std::string member, boost::asio::io_context& context)
      : listener_(std::move(listener)), member_(std::move(member)), closed_(context) { listener_->members.insert(this); }
  ~ListenStream() override { listener_->members.erase(this); }
  bool may_stream() const override { return true; }
  bool gone() const override { return listener_->over || is_closed_; }
  bool peer_gone() const override { return gone(); }
  bool closed_by_client() const override { return gone(); }
  bool answered() const override { return heard_; }
  boost::asio::awaitable<void> event(SseEvent event) override;
  boost::asio::awaitable<void> comment(std::string) override { co_return; }  // the listener's own keeps it open
  boost::asio::awaitable<void> answer(std::string text, std::optional<std::string> id, unsigned status) override;
  boost::asio::awaitable<void> finish(bool) override { co_return; }
  boost::asio::awaitable<void> until_gone() override;
  void close() override;

  bool refused() const { return refused_; }

 private:
  std::shared_ptr<Listener> listener_;
  std::string member_;
  bool heard_ = false, refused_ = false, is_closed_ = false;
  net::Condition closed_;
};

}  // namespace sallyport::protocol::mcp
