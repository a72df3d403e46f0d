#pragma once
// One client on one database: a straight run() from greeting to end, with one coroutine for each direction. The client's
// messages are judged in order and wait as Outgoing for their permits; answers are matched with Expected, masked, recorded
// and handed to the client behind the outcome's gate. The server alone decides transaction state and error skipping: what
// is denied reaches it as a text it must refuse (substitute.h). Split by direction: session_front.cpp (client to target),
// session_commands.cpp (judging), session_back.cpp (target to client), session_errors.cpp. What the gateway answers by itself:
// session_receipt.cpp. Owned by its coroutines, one worker's thread.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "protocol/postgres/client_out.h"
#include "protocol/postgres/receipt_names.h"
#include "protocol/postgres/shared.h"
#include "protocol/postgres/state.h"
#include "protocol/postgres/upstream.h"

namespace sallyport::protocol::postgres {

class Session : public std::enable_shared_from_this<Session> {
 public:
  struct Begin {
    std::optional<net::Stream> client;
    Upstream upstream;
    std::shared_ptr<enforce::Session> record;
    target::CatalogPtr catalog;           // keeps the target alive over a reload
    const target::Target* target = nullptr;
    std::string database;
    BackendKey key;                       // ours, as the client knows it
    std::string greeting;                 // what the client gets once everything is ready
  };
  Session(Shared& shared, Begin begin);
  ~Session();

  /// Ends when either side has ended and everything under way has its outcome.
  boost::asio::awaitable<void> run();
  /// A CancelRequest with our key: withdraws what is held, else cancels at the target what runs.
  void cancel();
  /// Nobody waits for the answer: what runs is cancelled at the target, and what is held stays asked for.
  void abandon();
  /// The gateway stops: no new statements; the session ends when what runs has ended, or at once.
  void stop(bool now);
  bool idle() const { return expected_.empty() && outgoing_.empty(); }
  std::uint32_t pid() const { return key_.pid; }
  std::string record_id() const { return record_->id(); }

 private:
  // Client to target.
  boost::asio::awaitable<void> read_client();
  boost::asio::awaitable<bool> take_messages();
  bool message(Head head, std::string_view body, std::string_view whole);
  bool waits(char type) const;
  boost::asio::awaitable<bool> long_message(Head head);
  boost::asio::awaitable<bool> long_bind(Head head);
  boost::asio::awaitable<bool> pass(std::uint64_t left, bool forward, const CommandPtr& command);
  boost::asio::awaitable<bool> copy_message(Head head, std::string_view whole);
  boost::asio::awaitable<bool> more();
  boost::asio::awaitable<bool> settle();
  void query(std::string_view whole, std::string_view text);
  void parse(const Parse& parse, std::string_view whole);
  void flush_parse();
  void bind(const Bind& bind, std::string_view whole);
  void execute(const Execute& execute, std::string_view whole);
  void describe(const Named& named, std::string_view whole);
  void close(const Named& named, std::string_view whole);
  void call(std::string_view body, std::string_view whole);
  void give_up(Portal& portal);
  void count(Command& command);
  boost::asio::awaitable<bool> known_name(std::string bind);
  // SHOW sallyport.receipt (session_receipt.cpp).
  boost::asio::awaitable<bool> receipt_message(char type, std::string body);
  boost::asio::awaitable<bool> show_receipt(std::string& out);
  boost::asio::awaitable<void> leave(std::string reason);
  void ask_for_answers();
  void control(std::string bytes, std::vector<Expected> expects, bool sync = false);
  bool violation(std::string what);

  // Judging.
  CommandPtr command(std::string text, std::string_view how);
  void understand(Command& command);
  enforce::SqlEffectsPtr resolve(const sql::AnalysisPtr& analysis, Command& command);
  void submit(CommandPtr command, std::string bytes, std::function<std::string(const std::string&)> substitute, std::vector<Expected> expects);
  void on_verdict(const CommandPtr& command, enforce::Verdict verdict);
  void pump();
  void drop_outgoing(Outgoing& outgoing);
  bool without_evidence(Outgoing& outgoing);
  PreparedPtr prepared(std::string_view name) const;
  std::uint64_t transaction_of(const Command& command, enforce::Outcome outcome);
  bool in_transaction() const { return status_ != 'I' || begins_ > 0; }

  // Target to client.
  boost::asio::awaitable<void> read_server();
  bool server_messages(std::string_view& bytes);
  bool answer(Head head, std::string_view body, std::string_view whole);
  void hold_for_intent();
  bool row(Command& command, std::string_view body, std::string_view whole);
  bool describe_answer(Head head, std::string_view body, std::string_view whole);
  bool completed(Head head, std::string_view body, std::string_view whole);
  void refusal(std::string& text, Command& command, const NoticeFields& fields);
  bool error(std::string_view body, std::string_view whole);
  bool ready(std::string_view body, std::string_view whole);
  bool copy_answer(Head head, std::string_view body, std::string_view whole);
  void notice(std::string_view body, std::string_view whole);
  void parameter(std::string_view body, std::string_view whole);
  void to_client(std::string_view whole);
  void record_rows();
  void succeeded(Command& command, std::string_view tag);
  bool prepare_rows(Command& command);
  static std::string without_values(const std::string& text, const NoticeFields& fields, const Command& command);
  void masked_notice(std::string& out, char type, const NoticeFields& fields, Command* command);
  void finish(const CommandPtr& command, enforce::Outcome outcome);
  void skip_to_sync();
  bool forget(const Expected& expected);
  PortalPtr portal_of(const Command& command) const;
  void unbind(const Command& command);
  void limit_error(Command& command);
  CommandPtr current() const { return expected_.empty() ? nullptr : expected_.front().command; }
  bool lied(std::string what);

  // Both.
  void pump_client();
  void pump_server();
  boost::asio::awaitable<void> write_client();
  boost::asio::awaitable<void> write_server();
  boost::asio::awaitable<bool> wait_for(std::function<bool()> condition);
  void notify();
  void fatal(const char* code, std::string message, std::string hint = "");
  void end(std::string reason);

  Shared& shared_;
  net::Stream client_;
  std::unique_ptr<target::Wire> wire_;
  std::shared_ptr<enforce::Session> record_;
  target::SessionPermit permit_;
  target::CatalogPtr catalog_;
  const target::Target* target_;
  const target::PostgresTarget* server_;
  std::string database_;
  BackendKey key_, server_key_;

  sql::SchemaPtr schema_;
  std::uint64_t schema_changes_ = UINT64_MAX;
  std::unordered_map<std::string, PreparedPtr> prepared_;
  struct Pending { PreparedPtr prepared; std::uint64_t sync = 0; };
  std::unordered_map<std::string, Pending> defining_;     // Parse and PREPARE on the way
  std::unordered_map<std::string, PortalPtr> portals_;
  std::unordered_map<std::string, enforce::SqlEffectsPtr> cursors_;
  struct HeldParse { PreparedPtr prepared; std::string name, bytes; };
  std::optional<HeldParse> parse_;                        // maybe to go with the Bind that follows

  ReceiptNames receipts_;

  std::string front_;                 // the client's bytes that are no whole message yet
  std::size_t front_at_ = 0;
  std::string back_;                  // the target's
  std::deque<Outgoing> outgoing_;
  std::deque<Expected> expected_;
  ClientOut out_;
  std::string notices_;               // for the client, once no message is half on its way
  std::uint64_t syncs_ = 0, readies_ = 0;   // ends of batches that the client sent, that the server answered
  std::size_t barriers_ = 0, begins_ = 0;
  std::uint64_t back_stream_ = 0;     // bytes of a long message that pass as they come
  char status_ = 'I';
  std::size_t rows_from_ = std::string::npos;   // in out_: rows of the current command that are not recorded yet
  std::int64_t schema_checked_ns_ = 0;
  bool ddl_ = false;                  // DDL in the open transaction: the catalog's snapshot does not show it
  bool in_block_ = false;             // a transaction block is open, as far as the answers tell
  std::uint64_t transactions_ = 0;
  bool target_deaf_ = false;          // nothing can be written to it any more
  int cancelling_ = 0;                // requests to cancel that are on their way
  bool unsettled_ = false;            // and it may have moved a masked column
  bool utf8_ = true, plain_strings_ = true;   // as the server reported
  bool skipping_ = false;             // the server skips to the next Sync
  bool swallowing_ = false;           // the client got an error of ours: nothing more before ReadyForQuery
  CommandPtr copy_in_;                // the command whose rows the client sends
  bool leaving_ = false, client_ended_ = false, terminated_ = false, ended_ = false, stopping_ = false;
  bool writing_client_ = false, writing_server_ = false;
  std::string why_;
  std::optional<boost::asio::steady_timer> changed_;  // cancelled by notify()
  std::size_t waiters_ = 0;
};

}  // namespace sallyport::protocol::postgres
