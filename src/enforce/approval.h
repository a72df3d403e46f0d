#pragma once
// Approvals: a held command waits for N distinct humans. One state machine, on the store's thread, shared by all
// workers: pending -> granted -> used, or denied, expired, withdrawn; every step is an evidence entry that is durable
// before the step counts, and a row in SQLite, so that it survives a restart. Single use; absolute expiry; reject beats
// approve; never the requester (the same person under any token), never an agent or service.
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "enforce/policy.h"
#include "evidence/log.h"
#include "identity/principal.h"
#include "net/deadline.h"
#include "state/store.h"

namespace sallyport::enforce {

enum class ApprovalState : std::uint8_t { Pending, Granted, Denied, Expired, Used, Withdrawn };
const char* to_string(ApprovalState state);

/// What an approval is for. `digest` binds it: SHA-256 over principal, target, session binding, canonical command with
/// arguments, and policy version; computed by the Gate.
struct ApprovalRequest {
  Digest digest{};
  std::string request_id;            // of the command that asked first
  identity::PrincipalPtr who;
  std::string target;
  std::string session;               // session binding, for people
  std::string summary;               // the command with masked values, for people
  std::vector<std::pair<std::string, ApprovalTerms>> terms;  // rule id, terms: all must be met
  Digest policy{};
};

struct Vote {
  std::string person, display, reason;
  std::vector<std::string> groups;   // as they were when the vote was cast
  bool approve = false;
  std::int64_t wall_ns = 0;
};

struct Approval {
  std::string id;                    // "apr_…"
  ApprovalState state = ApprovalState::Pending;
  Digest digest{};
  std::string request_id, requester, requester_display, target, session, summary, reason;
  std::vector<std::pair<std::string, ApprovalTerms>> terms;
  std::vector<Vote> votes;
  std::int64_t created_wall_ns = 0, expires_wall_ns = 0;
  bool fresh = false;                // made by this call, not attached to
};

class Approvals {
 public:
  /// Loads what is pending or granted; expires what ran out while the gateway was down.
  static Result<std::unique_ptr<Approvals>> open(state::Store& store, evidence::Log& log, const Clock& clock = system_clock());
  ~Approvals();

  // Callable from any worker; resume on the caller's executor.

  /// A new pending approval, or the one with the same digest that is pending or granted and unused.
  boost::asio::awaitable<Result<Approval>> request(ApprovalRequest request);
  /// Resumes when it is no longer pending or the deadline passes (then it is still pending).
  boost::asio::awaitable<Result<Approval>> wait(std::string id, net::Deadline deadline);
  /// granted -> used, exactly once, before its expiry, for that digest. Errors: Denied with the reason.
  boost::asio::awaitable<Result<Approval>> use(std::string id, Digest digest);
  /// The requester cancelled: pending or granted -> withdrawn. A later vote is refused. Errors: Denied when already final.
  boost::asio::awaitable<Result<Approval>> withdraw(std::string id, std::string reason);
  /// Errors: Denied (not eligible, own request, agent, already voted, not pending any more), each with its reason.
  boost::asio::awaitable<Result<Approval>> vote(std::string id, identity::PrincipalPtr voter, bool approve, std::string reason);
  boost::asio::awaitable<Result<std::vector<Approval>>> list(bool pending_only, std::size_t limit);
  boost::asio::awaitable<Result<Approval>> get(std::string id);
  /// Resumes at the next change of any approval after `version`, or at the deadline; yields the new version.
  boost::asio::awaitable<std::uint64_t> changed(std::uint64_t version, net::Deadline deadline);

  struct State;

 private:
  explicit Approvals(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::enforce
