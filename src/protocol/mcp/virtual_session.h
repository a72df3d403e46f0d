#pragma once
// One client's conversation with a virtual server: several targets behind one name, or one whose tools are found by search. It owns
// one Session for each member, with its own evidence session, policy and masking, and only renames and merges; nothing passes it
// that has not passed a member's Gate. A member that is away is left out with a note and comes back by itself. Lives on one
// worker, coroutines hold a shared_ptr. Split: virtual_session.cpp (begin, end), virtual_members.cpp (a member's life),
// virtual_requests.cpp (one member's requests), virtual_lists.cpp (what is merged), virtual_listen.cpp (streams).
#include <functional>
#include <map>
#include <set>

#include "protocol/mcp/session.h"
#include "protocol/mcp/tool_search.h"
#include "protocol/mcp/virtual_names.h"
#include "protocol/mcp/virtual_streams.h"

namespace sallyport::protocol::mcp {

class VirtualSession : public Conversation, public std::enable_shared_from_this<VirtualSession> {
 public:
  /// `make` gives a Session with this id, for a member.
  using Make = std::function<std::shared_ptr<Session>(std::string id)>;
  VirtualSession(Services& services, Observed& observed, HeldCalls& held, Make make, std::string id, Front front, const target::VirtualServer& server);

  const std::string& id() const override { return id_; }
  Front front() const override { return front_; }
  const identity::PrincipalPtr& who() const override { return who_; }
  const std::string& target() const override { return name_; }
  std::int64_t last_used_ns() const override { return last_used_ns_; }
  bool busy() const override { return running() || !listeners_.empty(); }
  bool running() const override;
  bool ready() const override { return ready_; }
  /// Also when the configuration has made it another server.
  bool lost() const override;
  void renew(identity::PrincipalPtr who) override;
  void on_over(std::function<void(std::string reason)> end) override { over_ = std::move(end); }
  void cut() override;
  void close_streams() override;
  void leave() override { lost_ = true; }
  void release_holds() override;
  void cancel_abandoned() override;

  boost::asio::awaitable<bool> begin(const Tell& tell, std::string peer, identity::PrincipalPtr who, std::string target, Message message) override;
  boost::asio::awaitable<Result<void>> resume(identity::PrincipalPtr who, std::string peer, enforce::RememberedSession remembered) override;
  boost::asio::awaitable<Result<void>> begin_modern(identity::PrincipalPtr who, std::string target, std::string peer, const Message& first) override;
  boost::asio::awaitable<void> begun() override;
  boost::asio::awaitable<void> post(ClientStream& client, Message message) override;
  boost::asio::awaitable<void> post_as_task(std::shared_ptr<ClientStream> client, Message message) override;
  bool knows_tasks() const override;
  boost::asio::awaitable<void> listen(ClientStream& client, std::string last_event_id, std::optional<Message> request) override;
  boost::asio::awaitable<void> listen(ClientStream& client) override;
  boost::asio::awaitable<bool> end(std::string reason, bool remote) override;

 private:
  struct Member {
    std::shared_ptr<Session> session;  // null while there is none
    bool opening = false;
    bool denied = false;               // not there for this person
    bool down = false;                 // it was asked and did not answer
    std::string why;                   // it is down, or could not be opened
    std::int64_t retry_at_ns = 0, wait_ns = 0, answered_ns = 0;
    Message greeted;                   // what it answered to `initialize` or server/discover
  };
  struct ListWork;

  // A member's life.
  std::string member_name(std::size_t at) const { return server_.members[at].name; }
  boost::asio::awaitable<void> open(std::size_t at);
  boost::asio::awaitable<void> open_legacy(std::size_t at);
  boost::asio::awaitable<void> open_modern(std::size_t at);
  void adopt(std::size_t at, std::shared_ptr<Session> session);
  void drop(std::size_t at, std::string reason);
  void failed(std::size_t at, std::string why);
  void answered(std::size_t at, bool spoken = true);
  /// The token that came last is not good for this member: to it the member is not there.
  bool lacks_scope(std::size_t at) const;
  void begin_opening(std::size_t at, bool again);
  boost::asio::awaitable<bool> open_all(net::Deadline until);
  boost::asio::awaitable<std::shared_ptr<Session>> reach(std::size_t at, net::Deadline until);
  boost::asio::awaitable<Result<Message>> ask(std::size_t at, std::string method, std::string members, net::Deadline until);
  boost::asio::awaitable<void> watch_members();
  boost::asio::awaitable<void> probe(std::size_t at);
  Error not_begun() const;

  // Requests of the client.
  boost::asio::awaitable<void> request(ClientStream& client, Message message);
  boost::asio::awaitable<void> notify(ClientStream& client, Message message);
  boost::asio::awaitable<void> call(ClientStream& client, Message message, const json::Value& name);
  boost::asio::awaitable<void> hand_on(ClientStream& client, Message message, std::size_t at, std::shared_ptr<ClientStream> as_task = {});
  boost::asio::awaitable<void> task(ClientStream& client, Message message);
  boost::asio::awaitable<void> resource(ClientStream& client, Message message, const json::Value& uri);
  boost::asio::awaitable<void> complete(ClientStream& client, Message message);
  boost::asio::awaitable<void> set_level(ClientStream& client, Message message);
  boost::asio::awaitable<void> unknown(ClientStream& client, const Message& request, std::string prefix);
  boost::asio::awaitable<void> refuse(ClientStream& client, const Message& request, int code, std::string what);
  boost::asio::awaitable<void> result(ClientStream& client, const Message& request, std::string members);
  void learn_links(std::size_t at, const std::string& answer);
  std::optional<std::size_t> owner_of_uri(std::string_view uri) const;

  // Of all members.
  boost::asio::awaitable<void> list(ClientStream& client, Message message, const ListKind& kind);
  boost::asio::awaitable<void> list_one(std::shared_ptr<ListWork> work, std::size_t at);
  boost::asio::awaitable<std::shared_ptr<ListWork>> gather(const std::string& method, std::optional<Cursors> cursors, bool all_pages);
  void merge(ListWork& work, const ListKind& kind);
  bool owns_listed(std::size_t at, const ListKind& kind, const json::Value& element);
  boost::asio::awaitable<void> search(ClientStream& client, Message message);
  boost::asio::awaitable<void> discover(ClientStream& client, Message message);
  std::string description() const;
  std::vector<Missing> missing() const;
  std::string meta_of(const std::vector<Missing>& missing, std::string_view more = "") const;

  // Streams.
  boost::asio::awaitable<void> hear(std::shared_ptr<Listener> listener);
  boost::asio::awaitable<void> follow(std::shared_ptr<Listener> listener, std::size_t at);
  boost::asio::awaitable<void> acknowledge(Listener& listener);
  std::optional<Message> listen_request(const Listener& listener, std::size_t at) const;
  boost::asio::awaitable<void> tell_changed();
  void lists_changed();

  Services& services_;
  Observed& observed_;
  HeldCalls& held_;
  const Make make_;
  const std::string id_;
  const Front front_;
  const target::VirtualServer server_;  // as it was when this began
  std::string name_, peer_;
  identity::PrincipalPtr who_;
  std::string greeting_;                // raw params of the client's initialize, or the _meta of a modern one's first request
  std::string version_, level_;
  bool initialized_ = false;
  std::vector<Member> members_;
  std::map<std::string, std::size_t, std::less<>> listed_, linked_, templates_;  // URIs (and templates) to members
  std::set<std::shared_ptr<Listener>> listeners_;
  net::Condition changed_;                      // of members
  std::function<void(std::string)> over_;
  std::uint64_t last_id_ = 0;
  std::size_t pending_ = 0;             // merged requests that run
  std::int64_t last_used_ns_ = 0;
  bool ready_ = false, begun_ = false, lost_ = false, ended_ = false, watching_ = false, told_ = false;
};

}  // namespace sallyport::protocol::mcp
