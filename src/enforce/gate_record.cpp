// The Gate's record keeping: intent entries, permits, and what becomes of a command. Deciding is in gate.cpp.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>

#include "enforce/gate_state.h"

namespace sallyport::enforce {

using boost::asio::awaitable;
using evidence::Field;

namespace {

constexpr std::int64_t kOweRetry = 500'000'000;  // as often as the log itself looks whether writing works again
constexpr std::size_t kInline = 64u << 10;  // an answer up to this size is recorded as one payload with its outcome

/// What `commit: overlapped` may run before its entry is durable: one SELECT of harmless functions, without locks.
bool is_proven_read(const Action& action) {
  const auto* statement = std::get_if<Statement>(&action);
  return statement != nullptr && statement->problem.empty() && statement->effects->analysis->effect_free && statement->effects->weight == "read";
}

std::map<std::string, std::string> facts_for_record(const Statement& statement) {
  std::map<std::string, std::string> out{{"class", statement.effects->weight}};
  const auto& analysis = *statement.effects->analysis;
  if (analysis.statements != 1) out["statements"] = std::to_string(analysis.statements);
  if (analysis.verbs.size() > 1) out["verbs"] = fmt::format("{}", fmt::join(analysis.verbs, " ")).substr(0, 512);
  if (!statement.how.empty()) out["how"] = statement.how;
  if (statement.in_transaction) out["in_transaction"] = "true";
  return out;
}

evidence::Entry command_entry(const Session& session, const Action& action, const std::string& request_id,
                              const Digest& policy, evidence::Decision decision, const std::vector<std::string>& rules,
                              const std::string& approval, const std::string& object, const std::string& recorded,
                              const MaskCounts& counts, const std::string& reason) {
  evidence::Entry entry(evidence::Kind::Command, session.record);
  entry.text(Field::RequestId, request_id)
      .text(Field::Subject, session.who->subject)
      .text(Field::Agent, session.who->agent)
      .text(Field::Target, session.target)
      .bytes(Field::PolicyDigest, policy)
      .uint(Field::Decision, static_cast<std::uint64_t>(decision))
      .texts(Field::Rules, rules)
      .text(Field::Approval, approval)
      .text(Field::Action, verb_of(action).substr(0, 256))
      .text(Field::Object, object.substr(0, 1024));
  if (const auto* statement = std::get_if<Statement>(&action)) entry.map(Field::Facts, facts_for_record(*statement));
  if (!recorded.empty()) {
    const auto ref = evidence::Recording::whole(*session.record, recorded, entry);
    entry.payload(Field::Payload, ref);
  }
  if (!counts.empty()) entry.counts(Field::Masked, counts);
  entry.text(Field::Reason, reason.substr(0, 2048));
  return entry;
}

}  // namespace

Denial Gate::without_entry(Session& session, std::string request_id, const Error& why) {
  ended(session);
  Denial denial;
  denial.kind = why.kind;
  denial.request_id = std::move(request_id);
  denial.reason = "the evidence cannot be written, so the command was not run: " + why.what;
  return denial;
}

void Gate::admit(std::shared_ptr<Session> session, const Action& action, Message message, std::string record, std::string request_id,
                 Judged judged, OnVerdict done) {
  auto entry = command_entry(*session, action, request_id, judged.policy->digest(), evidence::Decision::Allowed,
                             judged.decision.rules, judged.approval, judged.object, record, judged.counts, "");
  if (judged.goes_on) entry.uint(Field::CommandIndex, *judged.goes_on);
  auto place = judged.place ? judged.place : std::make_shared<std::uint64_t>(UINT64_MAX);
  entry.tell(place);
  auto allow = [this, session, place, judged = std::move(judged), bytes = std::move(message.bytes), request_id]() mutable {
    auto state = std::make_unique<Running::State>();
    state->gate = this;
    auto person = session->who->person();
    state->session = std::move(session);
    state->policy = std::move(judged.policy);
    state->masker = std::move(judged.masker);
    state->sql = std::move(judged.sql);
    state->limits = judged.decision.limits;
    state->request_id = request_id;
    state->place = std::move(place);
    state->budget = std::move(judged.budget);
    state->started_mono_ns = clock_.mono_ns();
    return Allowed{target::Permit(std::move(judged.catalog), judged.target, std::move(bytes), std::move(request_id), std::move(person)), Running(std::move(state))};
  };
  if (message.overlapped && is_proven_read(action)) {
    // The entry is on its way and the answer waits for it; what may run meanwhile changes nothing. An entry that is refused
    // at once is as in strict mode.
    entry.wait_a_moment();
    auto refused = std::make_shared<std::optional<Error>>();
    auto sent = std::make_shared<bool>(false), lost = std::make_shared<bool>(false);
    port_.append(std::move(entry), [durable = std::move(message.overlapped), refused, sent, lost](Result<std::uint64_t> index) mutable {
      if (index) return durable({});
      *lost = true;
      if (*sent) durable(std::unexpected(std::move(index).error()));
      else *refused = std::move(index).error();
    });
    if (*refused) return done(without_entry(*session, std::move(request_id), **refused));
    *sent = true;
    auto allowed = allow();
    allowed.running.state_->lost = std::move(lost);
    return done(std::move(allowed));
  }
  port_.append(std::move(entry), [session = std::move(session), request_id = std::move(request_id),
                                  allow = std::move(allow), done = std::move(done)](Result<std::uint64_t> index) mutable {
    if (index) return done(allow());
    done(without_entry(*session, std::move(request_id), index.error()));
  });
}

void Gate::refuse(std::shared_ptr<Session> session, const Action& action, std::string record, Judged judged, Denial denial,
                  const Message& message, OnVerdict done) {
  const auto decision = denial.approval.empty() ? evidence::Decision::Blocked : evidence::Decision::Held;
  auto entry = command_entry(*session, action, denial.request_id, judged.policy->digest(), decision, denial.rules,
                             denial.approval, judged.object, record, judged.counts, denial.reason);
  std::string instead = message.substitute ? message.substitute(denial.request_id) : std::string();
  port_.append(std::move(entry), [session = std::move(session), denial = std::move(denial), judged = std::move(judged),
                                  instead = std::move(instead), done = std::move(done)](Result<std::uint64_t> index) mutable {
    ended(*session);
    if (index) session->last_entries = {*index}, denial.entry = *index;
    if (!index) {
      if (denial.kind == ErrorKind::Denied) {
        denial.kind = index.error().kind;
        denial.reason += "; and the evidence cannot be written: " + index.error().what;
      }
    } else if (!instead.empty() && judged.target != nullptr) {
      denial.substitute = target::Permit(std::move(judged.catalog), judged.target, std::move(instead), denial.request_id, session->who->person());
    }
    done(std::move(denial));
  });
}

void Gate::mask(Running& running, std::string& text) {
  auto& state = *running.state_;
  state.masker->mask_text(text, state.counts);
}

std::string Gate::mask(Running& running, const json::Document& document, const std::vector<json::Value>& roots) {
  auto& state = *running.state_;
  json::Splice splice;
  for (const auto& root : roots) state.masker->mask_json(root, splice, state.counts);
  return splice.empty() ? std::string(document.text()) : splice.apply(document.text());
}

bool Gate::masks(const Running& running) const { return !running.state_->masker->empty(); }
bool Gate::runs_ahead(const Running& running) const { return running.state_->lost != nullptr; }
const SqlMaskingPtr& Gate::sql_masking(const Running& running) const { return running.state_->sql; }
const ResultLimits& Gate::limits(const Running& running) const { return running.state_->limits; }
MaskCounts& Gate::counts(Running& running) const { return running.state_->counts; }
bool Gate::has_chunks(const Running& running) const { return !running.state_->chunks.empty(); }

void Gate::observe(Running& running, std::string_view masked) {
  auto& state = *running.state_;
  state.pending.append(masked);
  state.pending += '\n';
  if (state.pending.size() >= kInline) state.spill();
}

void Running::State::spill() {
  if (!recording) recording.emplace(*session->record);
  recording->add(pending, chunks);
  pending.clear();
}

void Gate::observe_bytes(Running& running, std::string_view masked) {
  auto& state = *running.state_;
  const auto left = state.limits.record_bytes - std::min(state.observed, state.limits.record_bytes);
  state.observed += masked.size();
  const auto kept = masked.substr(0, left);
  state.pending.append(kept);
  if (state.pending.size() >= kInline) state.spill();
  if (kept.size() == masked.size()) return;
  if (!state.beyond) {
    state.beyond.reset(EVP_MD_CTX_new());
    EVP_DigestInit_ex(state.beyond.get(), EVP_sha256(), nullptr);
  }
  EVP_DigestUpdate(state.beyond.get(), masked.data() + kept.size(), masked.size() - kept.size());
}

awaitable<Result<void>> Gate::flush(Running& running) {
  auto& state = *running.state_;
  if (state.chunks.empty()) co_return Result<void>{};
  co_return co_await port_.append_chunks(state.session->record, std::exchange(state.chunks, {}));
}

void Gate::ended(Session& session) {
  if (--session.open_commands == 0 && session.quiet) session.quiet->cancel();
}

awaitable<void> Gate::owe(std::shared_ptr<Session> session, std::string request_id, evidence::Place command, Outcome result, std::shared_ptr<bool> lost) {
  boost::asio::steady_timer timer(context_);
  // A command whose own entry never became durable (it was let go ahead of it) has no outcome in the record either.
  while (!lost || !*lost) {
    evidence::Entry entry(evidence::Kind::Outcome, session->record);
    entry.text(Field::RequestId, request_id)
        .uint(Field::Result, static_cast<std::uint64_t>(result))
        .text(Field::Error, result == Outcome::Interrupted ? "the command was given up before it ended"
                                                           : "the evidence could not be written when the command ended; its answer was withheld")
        .command(command);
    if (co_await port_.append(std::move(entry))) break;
    timer.expires_after(std::chrono::nanoseconds(kOweRetry));
    boost::system::error_code ignored;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }
  ended(*session);
}

void Gate::finish(Running running, Reply reply, std::move_only_function<void(Result<void>)> done) {
  auto& state = *running.state_;
  state.finished = true;
  evidence::Entry entry(evidence::Kind::Outcome, state.session->record);
  entry.text(Field::RequestId, state.request_id);
  if (state.beyond) {
    Digest digest;
    EVP_DigestFinal_ex(state.beyond.get(), digest.data(), nullptr);
    reply.facts["unrecorded_bytes"] = std::to_string(state.observed - state.limits.record_bytes);
    reply.facts["unrecorded_sha256"] = hex(digest);
  }
  if (!reply.facts.empty()) entry.map(Field::Facts, reply.facts);
  if (state.recording) {
    if (!state.pending.empty()) state.spill();
    const auto ref = state.recording->finish(state.chunks);
    // With the entry that refers to them: an outcome never points at what is not there.
    for (auto& chunk : state.chunks) entry.add_chunk(std::move(chunk));
    entry.payload(Field::Payload, ref);
  } else if (!state.pending.empty()) {
    const auto ref = evidence::Recording::whole(*state.session->record, state.pending, entry);
    entry.payload(Field::Payload, ref);
  }
  if (!state.counts.empty()) entry.counts(Field::Masked, state.counts);
  entry.uint(Field::Result, static_cast<std::uint64_t>(reply.result)).text(Field::Error, reply.error.substr(0, 2048));
  if (reply.items != 0) entry.uint(Field::Items, reply.items);
  if (state.budget) state.budget->spend(reply.bytes);
  entry.uint(Field::Bytes, reply.bytes)
      .uint(Field::DurationNs, static_cast<std::uint64_t>(clock_.mono_ns() - state.started_mono_ns))
      .command(state.place);
  port_.append(std::move(entry), [this, session = state.session, request_id = state.request_id, command = state.place, lost = state.lost,
                                  result = reply.result, entries = std::move(reply.entries), done = std::move(done)](Result<std::uint64_t> index) mutable {
    if (!index) {
      boost::asio::co_spawn(context_, owe(session, request_id, command, result, lost), boost::asio::detached);
      return done(std::unexpected(std::move(index).error()));
    }
    ended(*session);
    session->last_entries = {*command, *index};
    if (entries) *entries = session->last_entries;
    done({});
  });
}

awaitable<Result<std::string>> Gate::receipts(std::vector<std::uint64_t> entries) {
  if (reading_ == nullptr || entries.empty()) co_return fail(ErrorKind::Unavailable, "there is no entry to give a receipt of");
  co_return co_await reading_->receipts(std::move(entries));
}

awaitable<Result<void>> Gate::finish(Running running, Reply reply) {
  auto start = [&](auto handler) {
    finish(std::move(running), std::move(reply), [done = std::move(handler)](Result<void> result) mutable { std::move(done)(std::move(result)); });
  };
  co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Result<void>)>(start, boost::asio::use_awaitable);
}

awaitable<void> Gate::cancel(Hold& hold) {
  hold.cancelled = true;
  if (!hold.approval.empty()) (void)co_await approvals_.withdraw(hold.approval, "cancelled by the requester");
}

void Gate::interrupted(Running::State& state) {
  boost::asio::co_spawn(context_, owe(state.session, state.request_id, state.place, Outcome::Interrupted, state.lost), boost::asio::detached);
}

Running::Running(std::unique_ptr<State> state) : state_(std::move(state)) {}
Running::Running(Running&&) noexcept = default;
Running& Running::operator=(Running&&) noexcept = default;
Running::~Running() {
  if (state_ && !state_->finished) state_->gate->interrupted(*state_);
}
const std::string& Running::request_id() const { return state_->request_id; }

}  // namespace sallyport::enforce
