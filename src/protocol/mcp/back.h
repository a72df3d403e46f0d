#pragma once
// The target's end of an MCP conversation, whatever the transport: Streamable HTTP, HTTP+SSE (2024-11-05) or a process on
// stdin and stdout. A Session owns one and speaks to it in JSON-RPC messages; each is sent under the permit that holds its
// bytes. Worker's thread only; a Back outlives the Answers it gave. Errors: Unavailable (not reached, not started), Disconnected
// (it went away in between), Overloaded (too much outstanding), Malformed (a message over the limit).
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "net/deadline.h"
#include "net/recall.h"
#include "protocol/mcp/message.h"
#include "protocol/mcp/sse.h"
#include "target/permit.h"

namespace sallyport::protocol::mcp {

inline constexpr std::string_view kOwnMessage = "sallyport-own";

/// What comes back for one request, or on the stream that nobody asked a question on.
class Answers {
 public:
  virtual ~Answers() = default;
  /// The next message, as an event: its data is the JSON text, its id and retry time are the target's when the transport has
  /// such. Data may be empty (an id or retry time alone). nullopt: nothing more comes. An event named kOwnMessage is no message of the
  /// target's, whose names a transport drops, but one that the Back wants to send itself: it goes to post() with a permit, and nobody is shown it.
  virtual boost::asio::awaitable<Result<std::optional<SseEvent>>> next(net::Deadline deadline) = 0;
  /// Nobody reads any more: a next() that waits resumes with Disconnected.
  virtual void close() = 0;
  /// The HTTP status, 200 where the transport has none.
  virtual unsigned status() const { return 200; }
};

class Back {
 public:
  virtual ~Back() = default;
  /// What goes to the target for a message of the client's, to be judged and permitted as that: "" when nothing does.
  virtual Result<std::string> outgoing(const Message& message) { return std::string(message.text()); }
  /// What of the message's params is kept in the record instead of them, where they hold what no detector knows to be secret; nullopt:
  /// they are. An error refuses the message.
  virtual Result<std::optional<json::Document>> recorded(const Message& /*message*/) const { return std::nullopt; }
  /// Sends a request and resumes when it is on its way, or as far as the transport tells. `request` is what the permit's bytes say. `recall` takes it
  /// back while this waits: where closing the request's stream does that, the target sees it closed.
  virtual boost::asio::awaitable<Result<std::unique_ptr<Answers>>> request(target::Permit permit, const Message& request, net::Recall* recall = nullptr) = 0;
  /// Sends what has no answer: a notification, or the answer to a request of the target's. Errors say what the client may be told.
  virtual boost::asio::awaitable<Result<void>> post(target::Permit permit) = 0;
  /// What goes to the target to hear what it says outside of any answer.
  virtual std::string listening() { return ""; }
  /// The target's own messages outside of any answer. Errors: Unavailable when it offers none.
  virtual boost::asio::awaitable<Result<std::unique_ptr<Answers>>> listen(target::Permit permit, std::string last_event_id) = 0;
  /// What takes back a request that is on its way, for post(): "" where closing its Answers does.
  virtual std::string cancelling(const std::string& /*id*/) { return ""; }
  /// The end of the conversation at the target, where the transport has a word for it.
  virtual boost::asio::awaitable<Result<void>> end(target::Permit permit) = 0;
  virtual bool needs_end() const { return true; }
  /// The target has forgotten this conversation: nothing of it may be used again.
  virtual bool lost() const = 0;
  /// What a gateway that was restarted needs to go on with the conversation; "" when nothing can.
  virtual std::string resume_key() const { return ""; }
  /// The revision that was agreed on, from now on said with each request.
  virtual void agreed(std::string version) = 0;
};

}  // namespace sallyport::protocol::mcp
