#pragma once
// One MCP conversation, bound to one principal and one target. Third station of the data path. Of a legacy client it is what its
// Mcp-Session-Id names; of a modern one, whose requests stand alone, what it is asked in some minutes. Lives on one worker; POSTs,
// streams and its end are coroutines there, each with a shared_ptr to it. Every message of either side passes the Gate: judged,
// recorded before it is forwarded, masked before it is shown. Split by phase: session.cpp (requests), session_server.cpp (what the
// target sends), session_streams.cpp (begin, streams, end), session_modern.cpp (what only the modern era has).
#include <boost/asio/awaitable.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/bytes.h"
#include "protocol/mcp/back.h"
#include "protocol/mcp/carried_state.h"
#include "protocol/mcp/conversation.h"
#include "protocol/mcp/held_calls.h"
#include "protocol/mcp/stdio_pool.h"

namespace sallyport::protocol::mcp {

/// In a sealed state: the call was held, and is made again to attach to its request.
inline constexpr std::string_view kHeldState = "held";

/// A request of the client between its arrival and its answer.
struct Flight {
  std::string key;                // in flights_: the id, or a number where ids may repeat
  std::string id;                 // raw JSON
  std::string method, object;
  std::string progress_token;     // raw JSON, "" when none
  enforce::Hold hold;
  std::optional<enforce::Running> running;  // while it runs on the target
  bool cancelled = false;
  bool wants_receipt = false;     // params._meta["sallyport/receipt"]
  std::optional<std::uint64_t> change;  // of a list from its beginning: what the target had said of its changes until then
  bool resumable = false;         // the target named event ids: the answer may come on another stream
  net::Recall recall;             // takes it back until its answers are there to be read
  Answers* answers = nullptr;     // while they are being read
  ClientStream* client = nullptr; // while a client waits for it
  /// Nobody wants it any more: whoever waits for the target goes on, and the target sees its stream closed.
  void drop() {
    recall.pull();
    if (answers != nullptr) answers->close();
  }
  std::string task;               // the task asked about, as the client names it
  Digest arguments{};             // of what was asked, for the state that a client brings back
};

class Session : public Conversation, public std::enable_shared_from_this<Session> {
 public:
  Session(Services& services, StdioPool& pool, Observed& observed, HeldCalls& held, std::string id, Front front = Front::Legacy)
      : services_(services), pool_(pool), observed_(observed), held_(held), id_(std::move(id)), front_(front), waiting_(services.context) {}

  const std::string& id() const override { return id_; }
  Front front() const override { return front_; }
  const identity::PrincipalPtr& who() const override { return gate_->who; }
  const std::string& target() const override { return gate_->target; }
  std::int64_t last_used_ns() const override { return last_used_ns_; }
  bool busy() const override { return !flights_.empty() || !streams_.empty(); }
  bool running() const override { return !flights_.empty(); }
  bool ready() const override { return gate_ != nullptr; }
  bool lost() const override { return lost_ || (back_ && back_->lost()); }
  void renew(identity::PrincipalPtr who) override { services_.gate.renew(*gate_, std::move(who)); }
  void on_over(std::function<void(std::string reason)> end) override { gate_->end = std::move(end); }
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
  /// One attempt at `initialize`: what the client gets, and what is recorded once it is known whether it began.
  struct Greeting {
    std::string text;
    std::optional<enforce::Running> running;
    enforce::Reply reply;
  };
  /// Where a message of the target was heard, which is what it may answer.
  struct Heard {
    std::shared_ptr<Flight> flight;        // on the stream of this request
    const Message* subscription = nullptr; // on the stream of a modern client's subscriptions/listen
    std::string resumed;                   // on a GET that goes on with the stream of this request: its id, raw
  };
  void touch();
  boost::asio::awaitable<bool> fits(ClientStream& client, const Message& message);
  boost::asio::awaitable<Result<Greeting>> greet(const Tell& tell, const Message& message);
  boost::asio::awaitable<void> pump(Back& to, Answers& stream, ClientStream& client, enforce::Running& running, enforce::Reply& reply, const Heard& heard);
  /// `still_held`: set when it has to be asked again for what its humans have not answered yet.
  boost::asio::awaitable<void> call(ClientStream& client, Message message, bool* still_held = nullptr);
  boost::asio::awaitable<void> answer(ClientStream& client, std::string text, std::optional<std::string> event_id = {});
  boost::asio::awaitable<Result<std::string>> outgoing(Message& message, Flight& flight);
  boost::asio::awaitable<void> look_again(std::string_view method);
  boost::asio::awaitable<Result<void>> list_again(std::string method, const ListKind& kind);
  void hear_change(std::string_view method);
  std::vector<std::pair<std::string, std::string>> mirrored_for(const Message& message) const;
  boost::asio::awaitable<void> run(ClientStream& client, const Message& message, std::shared_ptr<Flight> flight, target::Permit permit);
  boost::asio::awaitable<void> read_answers(ClientStream& client, std::shared_ptr<Flight> flight, Answers& answers);
  /// How it failed, masked: it may quote what the target said last.
  void failed(enforce::Running& running, enforce::Reply& reply, enforce::Outcome how, std::string why);
  boost::asio::awaitable<void> fail_flight(ClientStream& client, std::shared_ptr<Flight> flight, enforce::Outcome result, std::string why);
  boost::asio::awaitable<void> notify(ClientStream& client, Message message);
  boost::asio::awaitable<void> give_up(std::shared_ptr<Flight> flight, std::int64_t grace_ns);
  boost::asio::awaitable<void> respond_to_server(ClientStream& client, Message message);
  boost::asio::awaitable<void> notice_hold(ClientStream& client, Flight& flight, const enforce::Approval& approval, std::int64_t held_ns);

  /// A message of the target that arrived on `channel`; what the client gets of it, if anything.
  struct Delivery { std::string text; bool final = false; };
  boost::asio::awaitable<std::optional<Delivery>> from_server(std::string text, enforce::Running& channel, const Heard& heard);
  void remember_event(const std::string& event_id, const std::string& request);
  boost::asio::awaitable<Delivery> answer_from_server(Message message, std::shared_ptr<Flight> flight);
  boost::asio::awaitable<std::optional<Delivery>> request_from_server(Message message);
  std::string masked(enforce::Running& running, const Message& message, const json::Value& root);
  boost::asio::awaitable<std::string> shown_answer(enforce::Running& running, Message& message, std::string method, enforce::Reply& reply, std::shared_ptr<Flight> flight = nullptr);
  boost::asio::awaitable<Result<std::string>> shown_list(enforce::Running& running, const Message& message, const ListKind& kind, enforce::Reply& reply, const Flight* flight);
  static Message refused(const Message& answer, const Error& why);
  bool learn_annotations(const json::Value& tool);
  void remember_answered(const Flight& flight);
  boost::asio::awaitable<void> refuse_server_request(std::string id, std::string reason);
  enforce::Action server_action(const Message& request) const;
  std::shared_ptr<Flight> answered_by(const Message& answer, const Heard& heard);

  // The modern era.
  Result<std::string> greeting(const Message& initialize);
  boost::asio::awaitable<bool> turns_out_modern();
  boost::asio::awaitable<Result<Back*>> reach();
  boost::asio::awaitable<Result<void>> open_conversation();
  struct Told { Message answer; std::string error; };  // `error`: its error's message, masked
  boost::asio::awaitable<Result<Told>> ask_target(Back& back, std::string what, std::string text, std::string* request_id = nullptr);
  boost::asio::awaitable<Result<bool>> is_modern(Back& back);
  boost::asio::awaitable<Result<void>> carry_on(Back& back, SseEvent& event);
  Result<Message> prepared(Message message, Flight& flight);
  static Digest arguments_of(const Message& message);
  boost::asio::awaitable<Result<void>> judge_input(const Message& answer);
  std::string sealed_state(const Flight& flight, CarriedState carried);
  std::string state_binding() const;
  std::string sealed_task(std::string_view id) const;
  std::string with_task(const Message& answer, const Flight& flight) const;
  boost::asio::awaitable<std::optional<std::string>> url_to_connect(std::string id, const Flight* flight);
  std::optional<std::string> url_for_held(const Message& message, const Flight& flight, const enforce::Denial& denial);

  /// Sends what needs no answer; records how it went. Errors: what the client should be told.
  boost::asio::awaitable<Result<void>> post_one_way(enforce::Allowed allowed);
  Result<Back*> back();
  const target::McpTarget* settings() const;
  std::int64_t silence_limit() const;

  Services& services_;
  StdioPool& pool_;
  Observed& observed_;
  HeldCalls& held_;
  std::string id_;
  const Front front_;
  std::shared_ptr<enforce::Session> gate_;
  std::string client_info_ = "{}", client_capabilities_ = "{}";  // raw, as the client said; "{}" for both after a restart
  net::Condition waiting_;                 // changed when begin_modern(), open_conversation() or list_again() ends
  bool begun_ = false, opening_ = false, looking_ = false;
  bool bridged_ = false;                   // `initialize` went over a bridge
  std::uint64_t flight_number_ = 0;
  std::unique_ptr<Back> back_;             // made when it is first needed
  std::string resume_key_, version_;       // of a conversation that goes on after a restart
  std::string asked_version_;              // by a legacy client
  std::map<std::string, std::shared_ptr<Flight>> flights_;                // by raw id
  std::map<std::string, std::string> answered_;                           // answers that may be replayed: raw id -> method
  std::deque<std::string> answered_order_;
  std::map<std::string, std::string> events_;                             // ids that the target gave to events: the request on whose stream they came
  std::deque<std::string> events_order_;
  std::map<std::string, std::pair<std::string, enforce::Running>> asked_; // the target's requests: raw id -> method, record
  std::int64_t last_used_ns_ = 0;
  std::set<Answers*> streams_;             // GET streams that are open; closed at the session's end
  bool lost_ = false, ended_ = false, released_ = false;
};

}  // namespace sallyport::protocol::mcp
