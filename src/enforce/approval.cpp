#include "enforce/approval.h"

#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_future.hpp>

#include "base/text.h"
#include "enforce/approval_state.h"

namespace sallyport::enforce {

using boost::asio::awaitable;
using boost::asio::steady_timer;
using evidence::Kind;

namespace {

constexpr std::size_t kMaxPending = 10'000;
constexpr std::int64_t kLook = 1'000'000'000;  // how late an expiry may be noticed
constexpr std::size_t kMaxReason = 1024;

awaitable<void> sleep_until_cancelled(steady_timer& timer, std::int64_t ns) {
  timer.expires_after(std::chrono::nanoseconds(std::max<std::int64_t>(ns, 0)));
  boost::system::error_code ignored;
  co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
}

/// "command", "access", "break-glass", "review".
const char* action_of(const Approval& approval) { return approval.access.break_glass ? "break-glass" : to_string(approval.kind); }

}  // namespace

void ask_as(Approval& approval, const identity::Principal& who) {
  approval.requester = who.person();
  approval.requester_display = who.display();
  approval.requester_subject = who.subject;
  approval.requester_issuer = who.issuer;
  approval.requester_agent = who.agent;
  approval.requester_email = who.email;
}

std::string cut_reason(const std::string& reason) { return reason.substr(0, kMaxReason); }

using State = Approvals::State;

State::State(state::Store& s, evidence::Log& l, const Clock& c, ApprovalLinks around)
    : store(s), clock(c), links(std::move(around)), port(std::make_unique<evidence::Port>(l, s.context())), turns(s.context()), look(s.context()) {
  if (!links.access) links.access = std::make_shared<Access>();
}

void State::changed_now() {
  ++version;
  for (auto* timer : waiting) timer->cancel();
}

awaitable<void> State::wait_for_change(std::int64_t ns) {
  steady_timer timer(store.context());
  waiting.insert(&timer);
  co_await sleep_until_cancelled(timer, ns);
  waiting.erase(&timer);
}

awaitable<Result<void>> State::record(Kind kind, const Approval& approval, const Vote* vote, std::string reason) {
  using evidence::Field;
  const auto& access = approval.access;
  std::vector<std::string> rules;
  for (const auto& [rule, terms] : approval.terms) rules.push_back(rule);
  evidence::Entry entry(kind);
  entry.text(Field::RequestId, approval.request_id).text(Field::Subject, approval.requester_subject).text(Field::Issuer, approval.requester_issuer);
  entry.text(Field::Agent, approval.requester_agent).text(Field::Target, approval.target).texts(Field::Rules, rules).text(Field::Approval, approval.id);
  entry.text(Field::Action, action_of(approval));
  if (access.break_glass) {
    const auto setup = links.access->setup();
    const auto rule = setup->rules.find(rules.empty() ? "" : rules.front());
    std::map<std::string, std::string> facts{{"credential", "break-glass"}};
    if (rule != setup->rules.end() && rule->second.break_glass) {
      facts["review_by"] = rule->second.break_glass->review.group;
      facts["review_within_s"] = std::to_string(rule->second.break_glass->review_within_ns / 1'000'000'000);
    }
    entry.map(Field::Facts, facts);
  }
  if (access.duration_ns != 0) entry.uint(Field::DurationNs, static_cast<std::uint64_t>(access.duration_ns));
  entry.text(Field::Reason, cut_reason(reason)).uint(Field::Quorum, static_cast<std::uint64_t>(places(steps_of(approval))));
  if (vote != nullptr) entry.text(Field::Approver, vote->display);
  const bool granted = access.ends_wall_ns != 0;
  entry.uint(Field::ExpiresWallNs, static_cast<std::uint64_t>(granted ? access.ends_wall_ns : approval.expires_wall_ns)).bytes(Field::Digest, approval.digest);
  entry.texts(Field::Targets, access.targets.words());
  if (const auto begins = granted ? access.begins_wall_ns : access.start_wall_ns; begins != 0) entry.uint(Field::StartsWallNs, static_cast<std::uint64_t>(begins));
  entry.text(Field::About, approval.about);
  if (vote != nullptr) entry.uint(Field::Step, vote->step + 1).text(Field::ApproverIssuer, vote->person.substr(0, vote->person.find('\n')));
  auto index = co_await port->append(std::move(entry));
  if (!index) co_return std::unexpected(std::move(index).error());
  co_return Result<void>{};
}

awaitable<Result<Approval>> State::step(Approval next, Kind kind, const Vote* vote, std::string reason, std::string what) {
  CO_TRY_VOID(co_await record(kind, next, vote, std::move(reason)));
  CO_TRY_VOID(update_approval(store.database(), next, clock.wall_ns()));
  keep(next);
  tell(std::move(what), next);
  co_return next;
}

void State::keep(const Approval& approval) {
  const bool lives = approval.state == ApprovalState::Pending || approval.state == ApprovalState::Granted;
  if (lives) live[approval.id] = approval;
  else live.erase(approval.id);
  if (approval.kind == RequestKind::Command) {
    if (lives) commands[approval.digest] = approval.id;
    else commands.erase(approval.digest);
  }
  changed_now();
}

void State::tell(std::string what, const Approval& approval) {
  if (links.on_event) links.on_event({std::move(what), approval});
}

Result<Approval> State::find(const std::string& id) {
  if (const auto at = live.find(id); at != live.end()) return at->second;
  TRY(auto stored, load_one(store.database(), id));
  if (!stored) return fail(ErrorKind::Denied, "there is no request " + id);
  return std::move(*stored);
}

std::string State::full() const {
  if (live.size() < kMaxPending) return "";
  const auto pending = std::ranges::count_if(live, [](const auto& one) { return one.second.state == ApprovalState::Pending || one.second.kind == RequestKind::Command; });
  return static_cast<std::size_t>(pending) < kMaxPending ? "" : "too many requests wait for approval; answer some of them first";
}

awaitable<Result<Approval>> State::request(ApprovalRequest asked) {
  const auto turn = co_await turns.take();
  const auto now = clock.wall_ns();
  if (const auto same = commands.find(asked.digest); same != commands.end()) {
    auto attached = live.at(same->second);
    attached.fresh = false;
    if (!expired(attached, now)) co_return attached;
    // One that has run out but is not yet marked would hold the digest.
    CO_TRY([[maybe_unused]] const auto ended_now, co_await expire(std::move(attached)));
  }
  if (auto why = full(); !why.empty()) co_return fail(ErrorKind::Overloaded, why);
  Approval approval;
  approval.id = random_name("apr_");
  approval.digest = asked.digest;
  approval.policy = asked.policy;
  approval.request_id = asked.request_id;
  ask_as(approval, *asked.who);
  approval.target = asked.target;
  approval.session = asked.session;
  approval.summary = asked.summary;
  approval.effect = asked.effect;
  approval.terms = asked.terms;
  approval.created_wall_ns = now;
  std::int64_t valid = INT64_MAX;
  for (const auto& [rule, terms] : asked.terms) valid = std::min(valid, terms.valid_ns);
  approval.expires_wall_ns = now + (asked.terms.empty() ? 0 : valid);
  CO_TRY_VOID(co_await record(Kind::ApprovalRequested, approval, nullptr, asked.summary));
  CO_TRY_VOID(insert_approvals(store.database(), {&approval}, now));
  keep(approval);
  tell("requested", approval);
  approval.fresh = true;
  co_return approval;
}

awaitable<Result<Approval>> State::expire(Approval approval) {
  if (approval.kind == RequestKind::Access && approval.state == ApprovalState::Granted)
    co_return co_await end_grant(std::move(approval), ApprovalState::Ended, "the access has ended", nullptr);
  approval.state = ApprovalState::Expired;
  approval.reason = "nobody decided in time";
  co_return co_await step(std::move(approval), Kind::ApprovalExpired, nullptr, "expired", "expired");
}

awaitable<Result<Approval>> State::wait(std::string id, net::Deadline deadline) {
  for (;;) {
    CO_TRY(auto approval, find(id));
    const auto left = deadline - net::after(0);
    if (approval.state != ApprovalState::Pending || left <= 0) co_return approval;
    co_await wait_for_change(left);
  }
}

awaitable<Result<Approval>> State::use(std::string id, Digest digest) {
  const auto turn = co_await turns.take();
  CO_TRY(auto approval, find(id));
  if (auto why = why_no_use(approval, digest, clock.wall_ns()); !why.empty()) co_return fail(ErrorKind::Denied, why);
  if (auto why = why_lapsed(approval, links.present); !why.empty()) {
    approval.state = ApprovalState::Denied;
    approval.reason = why;
    CO_TRY([[maybe_unused]] const auto lapsed, co_await step(std::move(approval), Kind::ApprovalDenied, nullptr, why, "denied"));
    co_return fail(ErrorKind::Denied, why);
  }
  // The row first: should this process die now, the consent is spent without having run, never the other way round.
  approval.state = ApprovalState::Used;
  CO_TRY_VOID(update_approval(store.database(), approval, clock.wall_ns()));
  keep(approval);
  CO_TRY_VOID(co_await record(Kind::ApprovalUsed, approval, nullptr, ""));
  tell("used", approval);
  co_return approval;
}

awaitable<Result<Approval>> State::withdraw(std::string id, std::string reason) {
  const auto turn = co_await turns.take();
  CO_TRY(auto approval, find(id));
  if (auto why = why_no_withdrawal(approval); !why.empty()) co_return fail(ErrorKind::Denied, why);
  approval.state = ApprovalState::Withdrawn;
  approval.reason = cut_reason(reason);
  co_return co_await step(std::move(approval), Kind::ApprovalDenied, nullptr, "withdrawn: " + reason, "withdrawn");
}

awaitable<Result<Approval>> State::vote(std::string id, identity::PrincipalPtr voter, bool approve, std::string reason) {
  const auto turn = co_await turns.take();
  CO_TRY(auto approval, find(id));
  const auto now = clock.wall_ns();
  const auto setup = links.access->setup();
  const Judging judging{now, setup->same_person, links.present};
  if (auto why = why_no_vote(approval, *voter, approve, judging); !why.empty()) co_return fail(ErrorKind::Denied, why);
  approval.state = cast(approval, Vote{voter->person(), voter->display(), voter->email, cut_reason(reason), voter->groups, approve, now}, judging);
  if (!approve) approval.reason = cut_reason(reason);
  if (approval.state == ApprovalState::Granted && approval.kind == RequestKind::Access) {
    const auto renewed = live.find(approval.about);
    begin_access(approval, now, renewed != live.end() && renewed->second.state == ApprovalState::Granted ? renewed->second.access.ends_wall_ns : 0);
  }
  const Vote cast_now = approval.votes.back();
  const auto left = missing(approval, links.present);
  std::string said = reason, what = approval.state == ApprovalState::Pending ? "vote" : to_string(approval.state);
  if (approve && left > 0) said += (said.empty() ? "" : "; ") + std::to_string(left) + " more needed";
  auto done = co_await step(std::move(approval), approve ? Kind::ApprovalGranted : Kind::ApprovalDenied, &cast_now, said, what);
  if (!done) co_return done;
  if (done->kind == RequestKind::Access && done->state == ApprovalState::Granted) links.access->put(grant_of(*done));
  if (done->kind == RequestKind::Review) told_overdue.erase(done->id);
  if (done->kind == RequestKind::Review && done->state == ApprovalState::Denied) {
    // Found unjustified: what is left of the access ends with it.
    if (const auto glass = live.find(done->about); glass != live.end()) {
      CO_TRY([[maybe_unused]] const auto over, co_await end_grant(glass->second, ApprovalState::Revoked, "the review found it unjustified", &cast_now));
    }
  }
  co_return done;
}

awaitable<std::uint64_t> State::changed(std::uint64_t after_version, net::Deadline deadline) {
  while (version <= after_version) {
    const auto left = deadline - net::after(0);
    if (left <= 0) break;
    co_await wait_for_change(left);
  }
  co_return version;
}

awaitable<void> State::expire_on_time() {
  const auto self = shared_from_this();
  while (!ended) {
    co_await sleep_until_cancelled(look, kLook);
    if (ended) co_return;
    const auto turn = co_await turns.take();
    const auto now = clock.wall_ns();
    std::vector<Approval> over;
    for (const auto& [id, approval] : live)
      if (expired(approval, now)) over.push_back(approval);
    // An expiry that cannot be recorded is tried again at the next look; why_no_use and why_no_vote refuse it meanwhile.
    for (auto& approval : over) (void)co_await expire(std::move(approval));
    look_for_overdue(now);
  }
}

namespace {

/// Runs on the store's thread, resumes on the caller's.
template <class T>
awaitable<T> on_store(std::shared_ptr<State> state, awaitable<T> work) {
  co_return co_await state->store.host(std::move(work));
}

}  // namespace

Approvals::Approvals(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Approvals>> Approvals::open(state::Store& store, evidence::Log& log, const Clock& clock, ApprovalLinks links) {
  auto begin = [](state::Store& s, evidence::Log& l, const Clock& c, ApprovalLinks around) -> awaitable<std::pair<std::shared_ptr<State>, std::string>> {
    auto state = std::make_shared<State>(s, l, c, std::move(around));  // here, for its port belongs to this thread
    auto live = load_live(s.database());
    if (!live) co_return std::pair(state, live.error().what);
    for (auto& approval : *live) {
      state->keep(approval);
      if (approval.kind == RequestKind::Access && approval.state == ApprovalState::Granted) state->links.access->put(grant_of(approval));
    }
    for (auto& approval : *live) {
      if (!expired(approval, c.wall_ns())) continue;
      if (auto ended = co_await state->expire(approval); !ended) co_return std::pair(state, ended.error().what);
    }
    boost::asio::co_spawn(s.context(), state->expire_on_time(), boost::asio::detached);
    co_return std::pair(state, std::string());
  };
  auto [state, why] = boost::asio::co_spawn(store.context(), begin(store, log, clock, std::move(links)), boost::asio::use_future).get();
  std::unique_ptr<Approvals> out(new Approvals(std::move(state)));
  if (!why.empty()) return fail(ErrorKind::Unavailable, "the approvals cannot be read: " + why);
  return out;
}

Approvals::~Approvals() {
  // On the store's thread and waited for: the port dies where it lived, and no step is half done.
  auto end = [](std::shared_ptr<State> state) -> awaitable<void> {
    const auto turn = co_await state->turns.take();
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
awaitable<Result<Approval>> Approvals::ask(AccessAsk asked) { co_return co_await on_store(state_, state_->ask(std::move(asked))); }
awaitable<Result<Approval>> Approvals::renew(std::string id, identity::PrincipalPtr who, std::int64_t duration_ns, std::string reason, std::string request_id) {
  co_return co_await on_store(state_, state_->renew(std::move(id), std::move(who), duration_ns, std::move(reason), std::move(request_id)));
}
awaitable<Result<Approval>> Approvals::revoke(std::string id, identity::PrincipalPtr who, bool administrator, std::string reason) {
  co_return co_await on_store(state_, state_->revoke(std::move(id), std::move(who), administrator, std::move(reason)));
}
awaitable<std::uint64_t> Approvals::changed(std::uint64_t version, net::Deadline deadline) {
  co_return co_await on_store(state_, state_->changed(version, deadline));
}
awaitable<Result<std::vector<Approval>>> Approvals::list(bool pending_only, std::size_t limit) {
  ApprovalFilter filter;
  filter.pending_only = pending_only;
  filter.limit = limit;
  co_return co_await list(std::move(filter));
}
awaitable<Result<std::vector<Approval>>> Approvals::list(ApprovalFilter filter) {
  co_return co_await state_->store.run([filter = std::move(filter)](state::Database& database) { return load_matching(database, filter); });
}
awaitable<Result<Approval>> Approvals::get(std::string id) {
  co_return co_await state_->store.run([state = state_, id = std::move(id)](state::Database&) { return state->find(id); });
}
awaitable<ApprovalCounts> Approvals::counts() {
  co_return co_await state_->store.run([state = state_](state::Database&) { return state->count(); });
}
const std::shared_ptr<Access>& Approvals::access() const { return state_->links.access; }

}  // namespace sallyport::enforce
