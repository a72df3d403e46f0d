#pragma once
// Requests that humans decide: a held command, access for a time, the review of a break-glass access. One state machine, on the
// store's thread, shared by all workers; every step is an evidence entry that is durable before the step counts, and a row
// in SQLite, so that it survives a restart. Votes fill ordered steps with distinct humans; one refusal ends it; never the
// requester under any account, never an agent or service. A command's approval is used once, before its absolute expiry.
// Errors: Denied with the reason, Malformed (a request that makes no sense), Overloaded, Unavailable.
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "enforce/access.h"
#include "enforce/policy.h"
#include "evidence/log.h"
#include "identity/principal.h"
#include "net/deadline.h"
#include "state/store.h"

namespace sallyport::enforce {

// Both are stored as numbers: only ever added to.
enum class RequestKind : std::uint8_t { Command, Access, Review };
enum class ApprovalState : std::uint8_t { Pending, Granted, Denied, Expired, Used, Withdrawn, Ended, Revoked, Reviewed };
const char* to_string(RequestKind kind);
const char* to_string(ApprovalState state);

/// What an approval of a command is for. `digest` binds it: SHA-256 over principal, target, session binding, canonical command with
/// arguments, and policy version; computed by the Gate.
struct ApprovalRequest {
  Digest digest{};
  std::string request_id;            // of the command that asked first
  identity::PrincipalPtr who;
  std::string target;
  std::string session;               // session binding, for people
  std::string summary;               // the command with masked values, for people
  std::string effect;                // JSON: what it would do, parsed: {"verb":"delete","tables":["public.t"]}, {"tool":"x"}
  std::vector<std::pair<std::string, ApprovalTerms>> terms;  // rule id, terms: all must be met
  Digest policy{};
};

/// A request for access, as somebody makes it.
struct AccessAsk {
  identity::PrincipalPtr who;
  std::string request_id, rule, reason;
  AccessTargets targets;
  std::int64_t duration_ns = 0;
  std::int64_t start_wall_ns = 0;    // 0: when it is granted
  bool for_agents = false;           // the person's agents get it as well
};

struct Vote {
  std::string person, display, email, reason;
  std::vector<std::string> groups;   // as they were when the vote was cast
  bool approve = false;
  std::int64_t wall_ns = 0;
  std::size_t step = 0;              // that it fills
};

/// The part of a request that is about access.
struct AccessTerms {
  AccessTargets targets;
  std::int64_t duration_ns = 0, start_wall_ns = 0;
  bool for_agents = false, break_glass = false;
  std::int64_t begins_wall_ns = 0, ends_wall_ns = 0;  // once granted
};

struct Approval {
  std::string id;                    // "apr_…"
  RequestKind kind = RequestKind::Command;
  ApprovalState state = ApprovalState::Pending;
  Digest digest{}, policy{};
  std::string request_id, requester, requester_display, requester_subject, requester_issuer, requester_agent, requester_email;
  std::string target, session, summary, effect;
  std::string asked_for;             // why, in the requester's words
  std::string reason;                // of its end
  std::string about;                 // the request that this one renews or reviews
  std::vector<std::pair<std::string, ApprovalTerms>> terms;
  AccessTerms access;
  std::vector<Vote> votes;
  std::int64_t created_wall_ns = 0, expires_wall_ns = 0;  // of a review: when it is due
  bool fresh = false;                // made by this call, not attached to

  /// Who has to agree, in words.
  std::string approvers() const;
};

/// Somebody's groups as they are now: nullopt when nothing is known (those of the vote count), nullptr when the person may no
/// longer come. Called on the store's thread.
using PresentPeople = std::function<std::optional<identity::PrincipalPtr>(const std::string& person)>;

/// What has happened to a request: "requested", "vote", "granted", "denied", "expired", "used", "withdrawn", "ended", "revoked",
/// "break-glass", "reviewed", "review-overdue".
struct ApprovalEvent {
  std::string what;
  Approval request;
};

struct ApprovalLinks {
  std::shared_ptr<Access> access;                      // null: one without rules
  PresentPeople present;
  std::function<void(const ApprovalEvent&)> on_event;  // on the store's thread, when the step is durable; must not block
};

/// Which requests are wanted, newest first.
struct ApprovalFilter {
  bool pending_only = true;
  std::optional<ApprovalState> state;
  std::optional<RequestKind> kind;
  std::string requester;                               // Principal::person(); "" is anybody
  std::function<bool(const Approval&)> visible;        // called on the store's thread; votes are not filled in yet
  std::size_t limit = 100;
};

struct ApprovalCounts {
  std::size_t commands = 0, access = 0, grants = 0, reviews = 0, reviews_overdue = 0;
  std::uint64_t break_glass = 0;                       // since the start
};

class Approvals {
 public:
  /// Loads what is pending or granted; ends what ran out while the gateway was down.
  static Result<std::unique_ptr<Approvals>> open(state::Store& store, evidence::Log& log, const Clock& clock = system_clock(), ApprovalLinks links = {});
  ~Approvals();

  // Callable from any worker; resume on the caller's executor.

  /// A new pending approval, or the one with the same digest that is pending or granted and unused.
  boost::asio::awaitable<Result<Approval>> request(ApprovalRequest request);
  /// Resumes when it is no longer pending or the deadline passes (then it is still pending).
  boost::asio::awaitable<Result<Approval>> wait(std::string id, net::Deadline deadline);
  /// granted -> used, exactly once, before its expiry, for that digest, and only while enough of its voters are still in their
  /// groups. Errors: Denied with the reason.
  boost::asio::awaitable<Result<Approval>> use(std::string id, Digest digest);
  /// The requester cancelled: pending, or a granted command -> withdrawn. A later vote is refused. Errors: Denied when already final.
  boost::asio::awaitable<Result<Approval>> withdraw(std::string id, std::string reason);
  /// Errors: Denied (not eligible, own request, agent, already voted, not pending any more), each with its reason.
  boost::asio::awaitable<Result<Approval>> vote(std::string id, identity::PrincipalPtr voter, bool approve, std::string reason);

  /// Access: pending, or granted at once by a break-glass rule.
  boost::asio::awaitable<Result<Approval>> ask(AccessAsk ask);
  /// The same access again, from the end of the old one. `duration_ns` 0: as long as before.
  boost::asio::awaitable<Result<Approval>> renew(std::string id, identity::PrincipalPtr who, std::int64_t duration_ns, std::string reason, std::string request_id);
  /// Ends a grant, or takes back one's own pending request: the requester, who may approve under its rule, or an administrator.
  boost::asio::awaitable<Result<Approval>> revoke(std::string id, identity::PrincipalPtr who, bool administrator, std::string reason);

  boost::asio::awaitable<Result<std::vector<Approval>>> list(bool pending_only, std::size_t limit);
  boost::asio::awaitable<Result<std::vector<Approval>>> list(ApprovalFilter filter);
  boost::asio::awaitable<Result<Approval>> get(std::string id);
  boost::asio::awaitable<ApprovalCounts> counts();
  /// Resumes at the next change of any approval after `version`, or at the deadline; yields the new version.
  boost::asio::awaitable<std::uint64_t> changed(std::uint64_t version, net::Deadline deadline);

  const std::shared_ptr<Access>& access() const;

  struct State;

 private:
  explicit Approvals(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::enforce
