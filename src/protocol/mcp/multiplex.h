#pragma once
// One stream of messages from a target, given to those they are for: where a transport does not say what a message belongs
// to (a process's stdout, the event stream of 2024-11-05), and where several sessions share one process. Answers go to who
// asked, under the id it asked with; progress to the request of its token; the rest to the session that is meant beyond
// doubt: the only one that runs something, else the only one there is. Between strangers nothing is guessed: it is dropped.
// Owned by the transport's end, with the sessions' ends as guests; worker's thread only.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "protocol/mcp/inbox.h"
#include "protocol/mcp/message.h"

namespace sallyport::protocol::mcp {

class Multiplex {
 public:
  /// One session's part. Its listener reads `strays`; until there is one, a few messages wait there.
  struct Guest {
    Guest(boost::asio::io_context& context, std::size_t max_bytes) : strays(std::make_shared<Inbox>(context, max_bytes)) {}
    std::shared_ptr<Inbox> strays;
    std::size_t waiting = 0;    // messages in `strays` that came while nobody listened
    bool listens = false;
    std::set<std::string, std::less<>> subscribed;  // URIs
  };
  using GuestPtr = std::shared_ptr<Guest>;

  /// A request under way. Ids and tokens are raw JSON: as the session wrote them, and (the keys) as the target knows them.
  struct Flight {
    GuestPtr guest;
    std::string id, token, token_at_target;
    std::shared_ptr<Inbox> inbox;
    std::uint64_t order = 0;
  };

  /// `strangers`: the guests may be different people.
  Multiplex(boost::asio::io_context& context, std::size_t max_message, bool strangers) : context_(context), max_message_(max_message), strangers_(strangers) {}

  GuestPtr join();
  void leave(const GuestPtr& guest);
  std::size_t guests() const { return guests_.size(); }

  /// The request `id_at_target` of `guest` is on its way; its messages come in the inbox.
  std::shared_ptr<Inbox> expect(const GuestPtr& guest, std::string id_at_target, Flight flight);
  void forget(const std::string& id_at_target) { flights_.erase(id_at_target); }
  /// A request of the guest's that changes what it is told of resources.
  void subscribe(const GuestPtr& guest, const json::Value& request);
  /// Under which id the target knows a guest's request; "" when it is not under way.
  std::string id_at_target(const GuestPtr& guest, std::string_view id) const;
  /// The guest answers a request of the target's: true when it was asked, which is then over.
  bool answers(const GuestPtr& guest, const std::string& id);
  std::shared_ptr<Inbox> listen(const GuestPtr& guest);
  void stop_listening(const GuestPtr& guest, const std::shared_ptr<Inbox>& inbox) { guest->listens = guest->listens && guest->strays != inbox; }

  /// A message of the target. Waits for room where it goes. Returns why it went nowhere, or "".
  boost::asio::awaitable<std::string> take(Message message);
  /// Nothing comes any more.
  void fail_all(const Error& why);

 private:
  struct Place { GuestPtr guest; std::shared_ptr<Inbox> inbox; };
  std::vector<Place> places_for(const Message& message) const;
  Place place_of(const GuestPtr& guest) const;
  boost::asio::awaitable<std::string> deliver(Place place, std::string text);
  boost::asio::awaitable<std::string> take_answer(Message message);
  boost::asio::awaitable<std::string> take_progress(Message message);
  boost::asio::awaitable<std::string> take_subscribed(Message message);

  boost::asio::io_context& context_;
  std::size_t max_message_;
  bool strangers_;
  std::vector<GuestPtr> guests_;
  std::map<std::string, Flight> flights_;    // by the id at the target
  std::map<std::string, GuestPtr> asked_;    // the target's requests: raw id -> who got it
  std::uint64_t orders_ = 0;
};

}  // namespace sallyport::protocol::mcp
