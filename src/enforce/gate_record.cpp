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
  if (!recorded.empty()) {
    const auto ref = evidence::Recording::whole(*session.record, recorded, entry);
    entry.payload(Field::Payload, ref);
  }
  if (!counts.empty()) entry.counts(Field::Masked, counts);
  entry.text(Field::Reason, reason.substr(0, 2048));
  return entry;
}

}  // namespace

awaitable<Verdict> Gate::admit(std::shared_ptr<Session> session, const Action& action, std::string bytes, std::string record,
                               std::string request_id, Judged judged) {
  auto entry = command_entry(*session, action, request_id, judged.policy->digest(), evidence::Decision::Allowed,
                             judged.decision.rules, judged.approval, judged.object, record, judged.counts, "");
  auto index = co_await port_.append(std::move(entry));
  if (!index) {
    ended(*session);
    Denial denial = denial_of(judged, request_id);
    denial.kind = index.error().kind;
    denial.rules.clear();
    denial.reason = "the evidence cannot be written, so the command was not run: " + index.error().what;
    co_return denial;
  }
  auto state = std::make_unique<Running::State>();
  state->gate = this;
  state->session = session;
  state->policy = judged.policy;
  state->masker = judged.masker;
  state->request_id = request_id;
  state->command_index = *index;
  state->started_mono_ns = clock_.mono_ns();
  co_return Allowed{target::Permit(judged.catalog, judged.target, std::move(bytes), std::move(request_id)), Running(std::move(state))};
}

awaitable<Verdict> Gate::refuse(std::shared_ptr<Session> session, const Action& action, std::string record, const Judged& judged,
                                Denial denial) {
  const auto decision = denial.approval.empty() ? evidence::Decision::Blocked : evidence::Decision::Held;
  auto entry = command_entry(*session, action, denial.request_id, judged.policy->digest(), decision, denial.rules,
                             denial.approval, judged.object, record, judged.counts, denial.reason);
  auto index = co_await port_.append(std::move(entry));
  ended(*session);
  if (!index && denial.kind == ErrorKind::Denied) {
    denial.kind = index.error().kind;
    denial.reason += "; and the evidence cannot be written: " + index.error().what;
  }
  co_return denial;
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

void Gate::observe(Running& running, std::string_view masked) {
  auto& state = *running.state_;
  state.pending.append(masked);
  state.pending += '\n';
  if (state.pending.size() < kInline) return;
  if (!state.recording) state.recording.emplace(*state.session->record);
  state.recording->add(state.pending, state.chunks);
  state.pending.clear();
}

awaitable<Result<void>> Gate::flush(Running& running) {
  auto& state = *running.state_;
  if (state.chunks.empty()) co_return Result<void>{};
  co_return co_await port_.append_chunks(state.session->record, std::exchange(state.chunks, {}));
}

void Gate::ended(Session& session) {
  if (--session.open_commands == 0 && session.quiet) session.quiet->cancel();
}

awaitable<void> Gate::owe(std::shared_ptr<Session> session, std::string request_id, std::uint64_t command, Outcome result) {
  boost::asio::steady_timer timer(context_);
  for (;;) {
    evidence::Entry entry(evidence::Kind::Outcome, session->record);
    entry.text(Field::RequestId, request_id)
        .uint(Field::Result, static_cast<std::uint64_t>(result))
        .text(Field::Error, result == Outcome::Interrupted ? "the command was given up before it ended"
                                                           : "the evidence could not be written when the command ended; its answer was withheld")
        .uint(Field::CommandIndex, command);
    if (co_await port_.append(std::move(entry))) break;
    timer.expires_after(std::chrono::nanoseconds(kOweRetry));
    boost::system::error_code ignored;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }
  ended(*session);
}

awaitable<Result<void>> Gate::finish(Running running, Reply reply) {
  auto& state = *running.state_;
  state.finished = true;
  const auto owed = [&](Error error) -> Result<void> {
    boost::asio::co_spawn(context_, owe(state.session, state.request_id, state.command_index, reply.result), boost::asio::detached);
    return std::unexpected(std::move(error));
  };
  evidence::Entry entry(evidence::Kind::Outcome, state.session->record);
  entry.text(Field::RequestId, state.request_id);
  if (state.recording) {
    if (!state.pending.empty()) state.recording->add(state.pending, state.chunks);
    const auto ref = state.recording->finish(state.chunks);
    // Ahead of the entry that refers to them: an outcome never points at what is not there.
    auto stored = co_await port_.append_chunks(state.session->record, std::exchange(state.chunks, {}));
    if (!stored) co_return owed(std::move(stored).error());
    entry.payload(Field::Payload, ref);
  } else if (!state.pending.empty()) {
    const auto ref = evidence::Recording::whole(*state.session->record, state.pending, entry);
    entry.payload(Field::Payload, ref);
  }
  if (!state.counts.empty()) entry.counts(Field::Masked, state.counts);
  entry.uint(Field::Result, static_cast<std::uint64_t>(reply.result)).text(Field::Error, reply.error.substr(0, 2048));
  if (reply.items != 0) entry.uint(Field::Items, reply.items);
  entry.uint(Field::Bytes, reply.bytes)
      .uint(Field::DurationNs, static_cast<std::uint64_t>(clock_.mono_ns() - state.started_mono_ns))
      .uint(Field::CommandIndex, state.command_index);
  auto index = co_await port_.append(std::move(entry));
  if (!index) co_return owed(std::move(index).error());
  ended(*state.session);
  co_return Result<void>{};
}

awaitable<void> Gate::cancel(Hold& hold) {
  hold.cancelled = true;
  if (!hold.approval.empty()) (void)co_await approvals_.withdraw(hold.approval, "cancelled by the requester");
}

void Gate::interrupted(Running::State& state) {
  boost::asio::co_spawn(context_, owe(state.session, state.request_id, state.command_index, Outcome::Interrupted), boost::asio::detached);
}

Running::Running(std::unique_ptr<State> state) : state_(std::move(state)) {}
Running::Running(Running&&) noexcept = default;
Running& Running::operator=(Running&&) noexcept = default;
Running::~Running() {
  if (state_ && !state_->finished) state_->gate->interrupted(*state_);
}
const std::string& Running::request_id() const { return state_->request_id; }

}  // namespace sallyport::enforce
