#pragma once
// What the halves of the approvals share; included by approval*.cpp only. Everything in it belongs to the store's thread. One
// step at a time: between its entry and its row nothing else happens.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>

#include "enforce/approval.h"
#include "enforce/approval_machine.h"
#include "enforce/approval_rows.h"
#include "state/turns.h"

namespace sallyport::enforce {

struct Approvals::State : std::enable_shared_from_this<Approvals::State> {
  State(state::Store& s, evidence::Log& l, const Clock& c, ApprovalLinks around);

  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  state::Store& store;
  const Clock& clock;
  ApprovalLinks links;
  std::unique_ptr<evidence::Port> port;
  std::map<std::string, Approval> live;             // pending and granted, by id
  std::map<Digest, std::string> commands;           // those of commands, by digest
  std::set<std::string> told_overdue;
  std::uint64_t break_glass = 0;
  std::set<boost::asio::steady_timer*> waiting;     // cancelled at every change
  std::uint64_t version = 1;
  bool ended = false;
  state::Turns turns;
  boost::asio::steady_timer look;

  void changed_now();
  awaitable<void> wait_for_change(std::int64_t ns);

  /// One shape for all kinds (docs/formats/entry.md, "Requests").
  awaitable<Result<void>> record(evidence::Kind kind, const Approval& approval, const Vote* vote, std::string reason);
  /// The entry first, then the row: a step that the evidence does not hold has not happened.
  awaitable<Result<Approval>> step(Approval next, evidence::Kind kind, const Vote* vote, std::string reason, std::string what);
  void keep(const Approval& approval);
  void tell(std::string what, const Approval& approval);
  Result<Approval> find(const std::string& id);
  std::string full() const;

  awaitable<Result<Approval>> request(ApprovalRequest asked);
  awaitable<Result<Approval>> expire(Approval approval);
  awaitable<Result<Approval>> wait(std::string id, net::Deadline deadline);
  awaitable<Result<Approval>> use(std::string id, Digest digest);
  awaitable<Result<Approval>> withdraw(std::string id, std::string reason);
  awaitable<Result<Approval>> vote(std::string id, identity::PrincipalPtr voter, bool approve, std::string reason);
  awaitable<std::uint64_t> changed(std::uint64_t after_version, net::Deadline deadline);
  awaitable<void> expire_on_time();

  // approval_access.cpp
  awaitable<Result<Approval>> ask(AccessAsk asked);
  awaitable<Result<Approval>> renew(std::string id, identity::PrincipalPtr who, std::int64_t duration_ns, std::string reason, std::string request_id);
  awaitable<Result<Approval>> revoke(std::string id, identity::PrincipalPtr who, bool administrator, std::string reason);
  awaitable<Result<Approval>> new_access(AccessAsk asked, std::string renews);
  awaitable<Result<Approval>> open_glass(Approval approval, const AccessRule& rule);
  awaitable<Result<Approval>> end_grant(Approval approval, ApprovalState next, std::string reason, const Vote* by);
  void look_for_overdue(std::int64_t now);
  ApprovalCounts count() const;
};

Grant grant_of(const Approval& approval);
/// Fills in who asks.
void ask_as(Approval& approval, const identity::Principal& who);
std::string cut_reason(const std::string& reason);

}  // namespace sallyport::enforce
