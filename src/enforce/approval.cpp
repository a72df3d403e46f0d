#include "enforce/approval.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <set>

#include "enforce/approval_machine.h"
#include "enforce/approval_rows.h"

namespace sallyport::enforce {

using boost::asio::awaitable;
using boost::asio::steady_timer;

namespace {

constexpr std::size_t kMaxPending = 10'000;
constexpr std::int64_t kLook = 1'000'000'000;  // how late an expiry may be noticed

std::string new_id() {
  std::array<std::uint8_t, 10> random;
  random_bytes(random);
  return "apr_" + hex(random);
}

awaitable<void> sleep_until_cancelled(steady_timer& timer, std::int64_t ns) {
  timer.expires_after(std::chrono::nanoseconds(std::max<std::int64_t>(ns, 0)));
  boost::system::error_code ignored;
  co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
}

}  // namespace

/// Everything in it belongs to the store's thread.
struct Approvals::State : std::enable_shared_from_this<Approvals::State> {
  State(state::Store& s, evidence::Log& l, const Clock& c) : store(s), clock(c), port(std::make_unique<evidence::Port>(l, s.context())), look(s.context()) {}

  state::Store& store;
  const Clock& clock;
  std::unique_ptr<evidence::Port> port;
  std::map<std::string, Approval> live;       // pending and granted, by id
  std::set<steady_timer*> waiting;            // cancelled at every change
  std::uint64_t version = 1;
  bool busy = false, ended = false;           // one step at a time: between its entry and its row nothing else happens
  std::vector<steady_timer*> turns;
  steady_timer look;

  /// Holds the turn for its life; made by take_turn only.
  struct Turn {
    explicit Turn(State* owner) : state(owner) {}
    Turn(Turn&& other) noexcept : state(std::exchange(other.state, nullptr)) {}
    ~Turn() {
      if (state == nullptr) return;
      state->busy = false;
      if (!state->turns.empty()) state->turns.front()->cancel();
    }
    State* state;
  };
  awaitable<Turn> take_turn() {
    while (busy) {
      steady_timer timer(store.context());
      turns.push_back(&timer);
      co_await sleep_until_cancelled(timer, 3'600'000'000'000);
      std::erase(turns, &timer);
    }
    busy = true;
    co_return Turn(this);
  }

  void changed_now() {
    ++version;
    for (auto* timer : waiting) timer->cancel();
  }
  awaitable<void> wait_for_change(std::int64_t ns) {
    steady_timer timer(store.context());
    waiting.insert(&timer);
    co_await sleep_until_cancelled(timer, ns);
    waiting.erase(&timer);
  }

  awaitable<Result<void>> record(evidence::Kind kind, const Approval& approval, const identity::Principal* who, std::string reason) {
    using evidence::Field;
    evidence::Entry entry(kind);
    entry.text(Field::RequestId, approval.request_id);
    if (who != nullptr) entry.text(Field::Subject, who->subject).text(Field::Issuer, who->issuer).text(Field::Agent, who->agent);
    std::vector<std::string> rules;
    std::int64_t quorum = 0;
    for (const auto& [rule, terms] : approval.terms) {
      rules.push_back(rule);
      quorum = std::max(quorum, terms.quorum);
    }
    entry.text(Field::Target, approval.target).texts(Field::Rules, rules).text(Field::Approval, approval.id).text(Field::Reason, reason.substr(0, 1024));
    entry.uint(Field::Quorum, static_cast<std::uint64_t>(quorum));
    if (!approval.votes.empty() && (kind == evidence::Kind::ApprovalGranted || kind == evidence::Kind::ApprovalDenied))
      entry.text(Field::Approver, approval.votes.back().display);
    entry.uint(Field::ExpiresWallNs, static_cast<std::uint64_t>(approval.expires_wall_ns)).bytes(Field::Digest, approval.digest);
    auto index = co_await port->append(std::move(entry));
    if (!index) co_return std::unexpected(std::move(index).error());
    co_return Result<void>{};
  }

  /// The entry first, then the row: a step that the evidence does not hold has not happened.
  awaitable<Result<Approval>> step(Approval next, evidence::Kind kind, const identity::Principal* who, std::string reason) {
    CO_TRY_VOID(co_await record(kind, next, who, std::move(reason)));
    CO_TRY_VOID(update_approval(store.database(), next, clock.wall_ns()));
    keep(next);
    co_return next;
  }
  void keep(const Approval& approval) {
    if (approval.state == ApprovalState::Pending || approval.state == ApprovalState::Granted) live[approval.id] = approval;
    else live.erase(approval.id);
    changed_now();
  }

  Result<Approval> find(const std::string& id) {
    if (const auto at = live.find(id); at != live.end()) return at->second;
    TRY(auto stored, load_one(store.database(), id));
    if (!stored) return fail(ErrorKind::Denied, "there is no request " + id);
    return std::move(*stored);
  }

  awaitable<Result<Approval>> request(ApprovalRequest asked) {
    const auto turn = co_await take_turn();
    const auto now = clock.wall_ns();
    for (const auto& [id, approval] : live)
      if (approval.digest == asked.digest && !expired(approval, now)) {
        auto attached = approval;
        attached.fresh = false;
        co_return attached;
      }
    if (live.size() >= kMaxPending) co_return fail(ErrorKind::Overloaded, "too many requests wait for approval; answer some of them first");
    // One that has run out but is not yet marked would hold the digest.
    for (auto at = live.begin(); at != live.end();) {
      auto stale = (at++)->second;
      if (stale.digest != asked.digest) continue;
      CO_TRY([[maybe_unused]] const auto ended_now, co_await expire(std::move(stale)));
    }
    Approval approval;
    approval.id = new_id();
    approval.digest = asked.digest;
    approval.request_id = asked.request_id;
    approval.requester = asked.who->person();
    approval.requester_display = asked.who->display();
    approval.target = asked.target;
    approval.session = asked.session;
    approval.summary = asked.summary;
    approval.terms = asked.terms;
    approval.created_wall_ns = now;
    std::int64_t valid = INT64_MAX;
    for (const auto& [rule, terms] : asked.terms) valid = std::min(valid, terms.valid_ns);
    approval.expires_wall_ns = now + (asked.terms.empty() ? 0 : valid);
    CO_TRY_VOID(co_await record(evidence::Kind::ApprovalRequested, approval, asked.who.get(), asked.summary));
    CO_TRY_VOID(insert_approval(store.database(), approval, asked, now));
    keep(approval);
    approval.fresh = true;
    co_return approval;
  }

  awaitable<Result<Approval>> expire(Approval approval) {
    approval.state = ApprovalState::Expired;
    approval.reason = "nobody decided in time";
    co_return co_await step(std::move(approval), evidence::Kind::ApprovalExpired, nullptr, "expired");
  }

  awaitable<Result<Approval>> wait(std::string id, net::Deadline deadline) {
    for (;;) {
      CO_TRY(auto approval, find(id));
      const auto left = deadline - net::after(0);
      if (approval.state != ApprovalState::Pending || left <= 0) co_return approval;
      co_await wait_for_change(left);
    }
  }

  awaitable<Result<Approval>> use(std::string id, Digest digest) {
    const auto turn = co_await take_turn();
    CO_TRY(auto approval, find(id));
    if (auto why = why_no_use(approval, digest, clock.wall_ns()); !why.empty()) co_return fail(ErrorKind::Denied, why);
    // The row first: should this process die now, the consent is spent without having run, never the other way round.
    approval.state = ApprovalState::Used;
    CO_TRY_VOID(update_approval(store.database(), approval, clock.wall_ns()));
    keep(approval);
    CO_TRY_VOID(co_await record(evidence::Kind::ApprovalUsed, approval, nullptr, ""));
    co_return approval;
  }

  awaitable<Result<Approval>> withdraw(std::string id, std::string reason) {
    const auto turn = co_await take_turn();
    CO_TRY(auto approval, find(id));
    if (auto why = why_no_withdrawal(approval); !why.empty()) co_return fail(ErrorKind::Denied, why);
    approval.state = ApprovalState::Withdrawn;
    approval.reason = reason;
    co_return co_await step(std::move(approval), evidence::Kind::ApprovalDenied, nullptr, "withdrawn: " + reason);
  }

  awaitable<Result<Approval>> vote(std::string id, identity::PrincipalPtr voter, bool approve, std::string reason) {
    const auto turn = co_await take_turn();
    CO_TRY(auto approval, find(id));
    const auto now = clock.wall_ns();
    if (auto why = why_no_vote(approval, *voter, now); !why.empty()) co_return fail(ErrorKind::Denied, why);
    approval.state = cast(approval, Vote{voter->person(), voter->display(), reason.substr(0, 1024), voter->groups, approve, now});
    if (!approve) approval.reason = reason.substr(0, 1024);
    const auto left = [&] {
      std::int64_t most = 0;
      for (const auto& [rule, terms] : approval.terms) most = std::max(most, missing(approval, terms));
      return most;
    }();
    std::string said = reason;
    if (approve && left > 0) said += (said.empty() ? "" : "; ") + std::to_string(left) + " more needed";
    co_return co_await step(std::move(approval), approve ? evidence::Kind::ApprovalGranted : evidence::Kind::ApprovalDenied, voter.get(), said);
  }

  awaitable<std::uint64_t> changed(std::uint64_t after_version, net::Deadline deadline) {
    while (version <= after_version) {
      const auto left = deadline - net::after(0);
      if (left <= 0) break;
      co_await wait_for_change(left);
    }
    co_return version;
  }

  awaitable<void> expire_on_time() {
    const auto self = shared_from_this();
    while (!ended) {
      co_await sleep_until_cancelled(look, kLook);
      if (ended) co_return;
      const auto turn = co_await take_turn();
      const auto now = clock.wall_ns();
      std::vector<Approval> over;
      for (const auto& [id, approval] : live)
        if (expired(approval, now)) over.push_back(approval);
      // An expiry that cannot be recorded is tried again at the next look; why_no_use and why_no_vote refuse it meanwhile.
      for (auto& approval : over) (void)co_await expire(std::move(approval));
    }
  }
};

namespace {

/// Runs on the store's thread, resumes on the caller's.
template <class T>
awaitable<T> on_store(std::shared_ptr<Approvals::State> state, awaitable<T> work) {
  co_return co_await boost::asio::co_spawn(state->store.context(), std::move(work), boost::asio::use_awaitable);
}

}  // namespace

Approvals::Approvals(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Approvals>> Approvals::open(state::Store& store, evidence::Log& log, const Clock& clock) {
  auto begin = [](state::Store& s, evidence::Log& l, const Clock& c) -> awaitable<std::pair<std::shared_ptr<State>, std::string>> {
    auto state = std::make_shared<State>(s, l, c);  // here, for its port belongs to this thread
    auto live = load_live(s.database());
    if (!live) co_return std::pair(state, live.error().what);
    for (auto& approval : *live) state->live[approval.id] = approval;
    for (auto& approval : *live) {
      if (!expired(approval, c.wall_ns())) continue;
      if (auto ended = co_await state->expire(approval); !ended) co_return std::pair(state, ended.error().what);
    }
    boost::asio::co_spawn(s.context(), state->expire_on_time(), boost::asio::detached);
    co_return std::pair(state, std::string());
  };
  auto [state, why] = boost::asio::co_spawn(store.context(), begin(store, log, clock), boost::asio::use_future).get();
  std::unique_ptr<Approvals> out(new Approvals(std::move(state)));
  if (!why.empty()) return fail(ErrorKind::Unavailable, "the approvals cannot be read: " + why);
  return out;
}

Approvals::~Approvals() {
  // On the store's thread and waited for: the port dies where it lived, and no step is half done.
  auto end = [](std::shared_ptr<State> state) -> awaitable<void> {
    const auto turn = co_await state->take_turn();
    state->ended = true;
    state->look.cancel();
    state->changed_now();
    state->port.reset();
  };
  auto state = std::move(state_);
  boost::asio::co_spawn(state->store.context(), end(state), boost::asio::use_future).get();
}

awaitable<Result<Approval>> Approvals::request(ApprovalRequest asked) { co_return co_await on_store(state_, state_->request(std::move(asked))); }
awaitable<Result<Approval>> Approvals::wait(std::string id, net::Deadline deadline) { co_return co_await on_store(state_, state_->wait(std::move(id), deadline)); }
awaitable<Result<Approval>> Approvals::use(std::string id, Digest digest) { co_return co_await on_store(state_, state_->use(std::move(id), digest)); }
awaitable<Result<Approval>> Approvals::withdraw(std::string id, std::string reason) {
  co_return co_await on_store(state_, state_->withdraw(std::move(id), std::move(reason)));
}
awaitable<Result<Approval>> Approvals::vote(std::string id, identity::PrincipalPtr voter, bool approve, std::string reason) {
  co_return co_await on_store(state_, state_->vote(std::move(id), std::move(voter), approve, std::move(reason)));
}
awaitable<std::uint64_t> Approvals::changed(std::uint64_t version, net::Deadline deadline) {
  co_return co_await on_store(state_, state_->changed(version, deadline));
}
awaitable<Result<std::vector<Approval>>> Approvals::list(bool pending_only, std::size_t limit) {
  co_return co_await state_->store.run([pending_only, limit](state::Database& database) { return load_recent(database, pending_only, limit); });
}
awaitable<Result<Approval>> Approvals::get(std::string id) {
  co_return co_await state_->store.run([state = state_, id = std::move(id)](state::Database&) { return state->find(id); });
}

}  // namespace sallyport::enforce
