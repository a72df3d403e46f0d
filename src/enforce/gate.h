#pragma once
// Fourth station of the data path, the only one that says yes: policy, approval, intent entry, permit, in this order,
// in ask(). Answers pass reply(): masked, then recorded. One Gate a worker, used on its thread only; policy and
// catalog are immutable and swapped whole by reconfigure(). When evidence cannot be written every ask() is a refusal.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/clock.h"
#include "enforce/action.h"
#include "enforce/approval.h"
#include "enforce/budget.h"
#include "enforce/mask.h"
#include "enforce/policy.h"
#include "enforce/sql_masking.h"
#include "evidence/log_reading.h"
#include "evidence/session.h"
#include "identity/directory.h"
#include "identity/principal.h"
#include "target/permit.h"

namespace sallyport::enforce {

/// One client session on one target, as the Gate knows it. Made by open(), owned by the protocol's session.
struct Session {
  identity::PrincipalPtr who;            // with the access that is granted now; the Gate keeps it so
  identity::PrincipalPtr signed_in;      // as authentication gave it
  std::string target;       // name; looked up at every command, for a reload may take it away
  std::string binding;      // stable across a restart of the gateway: what approvals are bound to
  std::string peer, software;   // of the client, as its session.open says
  evidence::SessionPtr record;
  std::string id() const;   // hexadecimal, as `sallyport sessions` shows it

  /// Ends it from the Gate's side, with a native error: set by the protocol as soon as it can, on the worker's thread. It may be
  /// called from recheck() and must not end the session before it returns.
  std::function<void(std::string reason)> end;
  bool over = false;               // end() was called

  // The Gate's: who is asked anew when the grants change or the clock passes `access_until_ns`.
  std::uint64_t access_version = 0;
  std::int64_t access_until_ns = INT64_MAX;
  std::string lost_access;         // the rule of a grant that it had and has no more

  // The same for the person and the credential, when the directory changes.
  std::uint64_t standing_version = 0;
  std::string lost_group;          // a group that it had, that a rule for the target names, and that it has no more
  std::string fallen;              // why nothing may come of this credential any more; "" while it stands

  // The Gate's: nothing of a session may come after its close in the record, and each command has its outcome before.
  std::size_t open_commands = 0;   // asked and neither refused nor finished
  bool closed = false;
  std::vector<std::uint64_t> last_entries;         // of the command that ended last: its intent and its outcome
  std::optional<boost::asio::steady_timer> quiet;  // cancelled when open_commands becomes 0
};

/// A running command between its intent and its outcome. Dropping it without reply/finish is recorded as interrupted.
class Running {
 public:
  Running(Running&&) noexcept;
  Running& operator=(Running&&) noexcept;
  ~Running();
  const std::string& request_id() const;

 private:
  friend class Gate;
  struct State;
  explicit Running(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct Denial {
  ErrorKind kind = ErrorKind::Denied;  // Denied; Unavailable when evidence or state cannot be written
  std::string request_id;
  std::vector<std::string> rules;
  std::string reason;       // one sentence
  std::string message;      // of the rule, "" when it has none
  bool pending = false;     // held and neither granted nor denied yet: the same command again attaches to it
  bool cancelled = false;   // the requester withdrew it while it was held
  std::string approval;     // id, when one was asked for
  std::optional<std::uint64_t> entry;  // of the refusal, when it could be written
  std::int64_t expires_wall_ns = 0;
  std::optional<target::Permit> substitute;  // what goes to the target instead, when the command has such a thing
};

struct Allowed {
  target::Permit permit;
  Running running;
};
using Verdict = std::variant<Denial, Allowed>;  // a default one is a denial

/// The wire's side of a hold. Owned by the session and alive until ask() returns.
struct Hold {
  /// Called when the hold begins and every few seconds while it lasts, to keep the client informed.
  std::function<boost::asio::awaitable<void>(const Approval&, std::int64_t held_ns)> notify;
  /// True when nobody waits for the answer any more: the approval then stays open for the same command made again,
  /// and nothing runs unseen.
  std::function<bool()> gone;
  std::string approval;     // set by the Gate once known
  bool cancelled = false;   // set by Gate::cancel
  bool over = false;        // set by the session: answer now, the approval stays open (the gateway stops)
};

using Outcome = evidence::Outcome;

struct Reply {
  Outcome result = Outcome::Ok;
  std::string error;            // error text for the record (already safe)
  std::uint64_t items = 0;
  std::uint64_t bytes = 0;      // as sent to the client
  std::map<std::string, std::string> facts;  // what else is known of the answer: SQLSTATE, tag, …
  std::shared_ptr<std::vector<std::uint64_t>> entries;  // when set, filled with the entries of intent and outcome
};

/// What a command is made of besides its Action.
struct Message {
  std::string bytes;            // what goes to the target when it is allowed
  json::Value record;           // what is kept of it (masked first); of a Statement its text and parameters are
  /// For a protocol whose target must see that a command was refused, to stay in step with the client: what it gets.
  std::function<std::string(const std::string& request_id)> substitute;
  /// When set, a statement proven free of effects may be let go while its entry becomes durable (`commit: overlapped`):
  /// `done` is then called at once and this when the entry is, or is not, durable. No answer may be shown before.
  std::move_only_function<void(Result<void>)> overlapped;
};

class Gate {
 public:
  Gate(boost::asio::io_context& context, evidence::Log& log, evidence::Port& port, Approvals& approvals, PolicyPtr policy,
       target::CatalogPtr catalog, const Clock& clock = system_clock());
  ~Gate();

  void reconfigure(PolicyPtr policy, target::CatalogPtr catalog);

  struct Connection {
    std::string peer, protocol, software, resumes;
    std::string cause = {};   // request id of the command of another protocol that it is opened for
  };
  /// session.open, durable. Errors: Denied (no such target, or nothing on it is allowed), Unavailable (evidence).
  boost::asio::awaitable<Result<std::shared_ptr<Session>>> open(identity::PrincipalPtr who, std::string target,
                                                                std::string binding, Connection connection);
  /// Whether open() would let them in: nothing is opened, and nothing recorded.
  bool may_open(const identity::Principal& who, const std::string& target);
  /// The same person came with another credential: its groups and its end count from now on.
  void renew(Session& session, identity::PrincipalPtr who);
  /// Looks at every open session of this worker and ends those that why_over() names. Called every second.
  void recheck();
  /// Why this session may not go on, if it may not: what it was let in for is gone.
  std::optional<std::string> why_over(Session& session);

  /// session.close with its totals, after the outcomes of what still runs; no command is taken from now on. A session whose
  /// outcomes cannot be written stays open in the record and is closed as interrupted at the next start.
  boost::asio::awaitable<void> close(std::shared_ptr<Session> session, std::string reason);

  /// May `action` happen, and its `bytes` go to the target? Returns when the answer is durable; a held command waits
  /// here. `record` is what is kept of the request (masked first).
  boost::asio::awaitable<Verdict> ask(std::shared_ptr<Session> session, const Action& action, std::string bytes,
                                      json::Value record, Hold* hold);
  /// The same for commands in a pipeline: `done` is called once, in the order of the calls unless a command is held, and
  /// maybe before this returns. `action` and `hold` must live until then.
  void submit(std::shared_ptr<Session> session, const Action& action, Message message, Hold* hold,
              std::move_only_function<void(Verdict)> done);
  /// The gateway's own message to the target (an error for a refused server request, the end of a session):
  /// recorded like any other, masked by every rule that could apply, judged by nobody. `recorded`: what is kept of it instead of its
  /// bytes, when they hold what a client said: that has been recorded, masked, when it came.
  boost::asio::awaitable<Verdict> own(std::shared_ptr<Session> session, std::string what, std::string bytes, std::optional<std::string> recorded = {});

  /// For the control messages of a session that open() has recorded.
  target::SessionPermit session_permit(const Session& session) const { return target::SessionPermit(session.target); }

  /// The requester takes back a held command. Resolves against a vote exactly once.
  boost::asio::awaitable<void> cancel(Hold& hold);

  /// Would this be listed for this session? Facts may hold Unknown.
  bool visible(const Session& session, const Facts& facts) const;

  /// Masks free text or parts of a JSON text in place, counting into the running command.
  void mask(Running& running, std::string& text);
  /// Returns the text with every root masked.
  std::string mask(Running& running, const json::Document& document, const std::vector<json::Value>& roots);
  bool masks(const Running& running) const;
  /// Whether it runs ahead of its entry: only what `Message::overlapped` allowed, and it is told when that is durable.
  bool runs_ahead(const Running& running) const;
  /// How results of the running statement are masked, and how many rows and recorded bytes it may have.
  const SqlMaskingPtr& sql_masking(const Running& running) const;
  const ResultLimits& limits(const Running& running) const;
  MaskCounts& counts(Running& running) const;

  /// A piece of the answer, as the client gets it (masked): recorded under the running command. Must precede its delivery.
  void observe(Running& running, std::string_view masked);
  /// The same for a stream of bytes with a limit: what is beyond limits().record_bytes is counted and hashed.
  void observe_bytes(Running& running, std::string_view masked);
  bool has_chunks(const Running& running) const;
  /// Writes observed chunks that are complete; back-pressure of long streams.
  boost::asio::awaitable<Result<void>> flush(Running& running);
  /// The outcome, durable; the client's final bytes go out after it. On an error it is written later, without the answer,
  /// as soon as the log can be written again; the caller withholds the answer.
  boost::asio::awaitable<Result<void>> finish(Running running, Reply reply);
  void finish(Running running, Reply reply, std::move_only_function<void(Result<void>)> done);

  /// Receipts of these entries (docs/formats/receipt.md), once they are under a signed head: within 100 ms, or an error.
  boost::asio::awaitable<Result<std::string>> receipts(std::vector<std::uint64_t> entries);
  void read_receipts_with(evidence::LogReading& reading) { reading_ = &reading; }
  void keep_to(Budgets& budgets) { budgets_ = &budgets; }
  /// Who tells whether people and credentials still stand; without it they stand as they came (tests).
  void ask_standing_of(const identity::Directory& directory) { directory_ = &directory; }

  const target::CatalogPtr& catalog() const { return catalog_; }
  bool evidence_writable() const;

 private:
  struct Judged;
  boost::asio::awaitable<std::optional<Denial>> hold_for_approval(Session& session, const Action& action,
                                                                  const std::string& request_id, Judged& judged,
                                                                  const std::string& summary, Hold* hold);
  using OnVerdict = std::move_only_function<void(Verdict)>;
  void admit(std::shared_ptr<Session> session, const Action& action, Message message, std::string record, std::string request_id,
             Judged judged, OnVerdict done);
  void refuse(std::shared_ptr<Session> session, const Action& action, std::string record, Judged judged, Denial denial,
              const Message& message, OnVerdict done);
  boost::asio::awaitable<void> hold_and_go_on(std::shared_ptr<Session> session, const Action& action, Message message, Hold* hold,
                                              Judged judged, std::string request_id, std::string recorded, OnVerdict done);
  Result<std::string> record_of(const Action& action, const json::Value& record, Judged& judged);
  static Denial without_entry(Session& session, std::string request_id, const Error& why);
  static Denial denial_of(const Judged& judged, std::string request_id);
  Judged judge(Session& session, const Action& action);
  void refresh(Session& session);
  void read_access(Session& session);
  void read_standing(Session& session);
  void note_lost_groups(Session& session, const identity::Principal& now) const;
  void judge_budget(const Session& session, const Action& action, Judged& judged);
  std::vector<const MaskRule*> masks_of_any(const Session& session, const target::Target& target) const;
  void judge_masking(const Statement& statement, Judged& judged);
  static void judge_trust(const Action& action, Judged& judged);
  std::shared_ptr<const Masker> masker(const std::vector<const MaskRule*>& rules);
  void interrupted(Running::State& state);
  static void ended(Session& session);
  boost::asio::awaitable<void> owe(std::shared_ptr<Session> session, std::string request_id, evidence::Place command, Outcome result, std::shared_ptr<bool> lost);
  friend class Running;

  boost::asio::io_context& context_;
  evidence::Log& log_;
  evidence::Port& port_;
  Approvals& approvals_;
  PolicyPtr policy_;
  target::CatalogPtr catalog_;
  const Clock& clock_;
  evidence::LogReading* reading_ = nullptr;
  const identity::Directory* directory_ = nullptr;
  Budgets* budgets_ = nullptr;
  std::map<Session*, std::weak_ptr<Session>> open_;  // this worker's, for recheck()
  std::map<std::vector<const MaskRule*>, std::shared_ptr<const Masker>> maskers_;
  SqlMaskings sql_maskings_;
};

}  // namespace sallyport::enforce
