#pragma once
// What the endpoint knows of one client's conversation: with one target (session.h), or with several behind one name
// (virtual_session.h). Lives on one worker; its calls are coroutines there, each keeping it alive. A legacy conversation
// begins with `initialize` and has an id that the client names; a modern one begins with any request.
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "enforce/remembered.h"
#include "protocol/mcp/client_stream.h"
#include "protocol/mcp/era.h"
#include "protocol/mcp/message.h"
#include "protocol/mcp/sights.h"
#include "protocol/protocol.h"

namespace sallyport::protocol::mcp {

enum class Front { Legacy, Modern };

/// What a worker has seen of its targets, so that it need not be asked each time. Lost on reload and restart.
struct Observed {
  Sights& sights;                                                // what all workers have
  struct One {
    std::optional<bool> modern;                                  // it speaks the modern era
    bool modern_only = false;                                    // and was seen not to speak the other
  };
  std::map<std::string, One> targets = {};
};

class Conversation {
 public:
  virtual ~Conversation() = default;
  virtual const std::string& id() const = 0;
  virtual Front front() const = 0;
  virtual const identity::PrincipalPtr& who() const = 0;
  virtual const std::string& target() const = 0;
  virtual std::int64_t last_used_ns() const = 0;
  virtual bool busy() const = 0;
  virtual bool running() const = 0;
  virtual bool ready() const = 0;  // false while it begins
  virtual bool lost() const = 0;
  /// The same person and agent came with another credential: its groups and its end count from now on.
  virtual void renew(identity::PrincipalPtr who) = 0;
  /// What happens when the Gate says that it is over.
  virtual void on_over(std::function<void(std::string reason)> end) = 0;
  /// Nothing that runs is waited for any more: its clients are told now.
  virtual void cut() = 0;
  /// Ends its streams: the credential they were opened with has run out. The client may open them again.
  virtual void close_streams() = 0;
  /// From now on nobody finds it: it is about to end.
  virtual void leave() = 0;
  /// Held calls are answered now with their pending request, which stays open: the gateway stops.
  virtual void release_holds() = 0;
  /// What its clients have given up by closing their connections is cancelled.
  virtual void cancel_abandoned() = 0;

  /// `initialize` from a client: false when there is no conversation afterwards. `tell` gets the HTTP status, the message and the
  /// conversation's id, "" when there is none.
  using Tell = std::function<boost::asio::awaitable<void>(unsigned status, std::string text, std::string session)>;
  virtual boost::asio::awaitable<bool> begin(const Tell& tell, std::string peer, identity::PrincipalPtr who, std::string target, Message message) = 0;
  /// Goes on after a restart of the gateway with what was remembered. Errors as Gate::open.
  virtual boost::asio::awaitable<Result<void>> resume(identity::PrincipalPtr who, std::string peer, enforce::RememberedSession remembered) = 0;
  /// A modern client's first request. `ready()` is true after it. Errors as Gate::open.
  virtual boost::asio::awaitable<Result<void>> begin_modern(identity::PrincipalPtr who, std::string target, std::string peer, const Message& first) = 0;
  /// Resumes when begin_modern() has ended, well or not.
  virtual boost::asio::awaitable<void> begun() = 0;

  /// One message of the client; the answer goes to `client`.
  virtual boost::asio::awaitable<void> post(ClientStream& client, Message message) = 0;
  /// The same for a client that knows tasks: what has to wait for a human becomes one.
  virtual boost::asio::awaitable<void> post_as_task(std::shared_ptr<ClientStream> client, Message message) = 0;
  virtual bool knows_tasks() const = 0;
  /// The client's GET stream; with a `request`, a modern client's subscriptions/listen. `client` is closed at its end.
  virtual boost::asio::awaitable<void> listen(ClientStream& client, std::string last_event_id, std::optional<Message> request) = 0;
  /// What is said outside of answers goes to this stream, which the client has open anyway, until the conversation ends.
  virtual boost::asio::awaitable<void> listen(ClientStream& client) = 0;
  /// The end: forgotten and deleted at the target when `remote`, open commands are recorded as interrupted. Only the first
  /// call does it and returns true when it is done.
  virtual boost::asio::awaitable<bool> end(std::string reason, bool remote) = 0;
};

}  // namespace sallyport::protocol::mcp
