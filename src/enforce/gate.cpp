#include "enforce/gate.h"

#include <boost/asio/redirect_error.hpp>

#include "base/text.h"
#include "enforce/gate_state.h"

namespace sallyport::enforce {

using boost::asio::awaitable;

namespace {

/// How often the wire hears of a hold: under every client's idle limit that is known (docs/protocols/mcp.md).
constexpr std::int64_t kHoldNotice = 5'000'000'000;
constexpr const char* kTrustRule = "tool-trust";   // what a refusal names that is no rule of the policy
constexpr std::int64_t kHoldLook = 1'000'000'000;  // and how often it is looked whether the client still waits

bool is_housekeeping(const Action& action) {
  if (const auto* statement = std::get_if<Statement>(&action)) return statement->effects->analysis->control;
  const auto* request = std::get_if<McpRequest>(&action);
  return request != nullptr && request->housekeeping;
}

/// Parsed anew: offsets of a part of the message are not offsets of the recorded text.
Result<std::string> masked_record(std::string recorded, const Masker& masker, MaskCounts& counts) {
  if (masker.empty()) return recorded;
  TRY(auto document, json::Document::parse(recorded));
  json::Splice splice;
  masker.mask_json(document.root(), splice, counts);
  return splice.empty() ? recorded : splice.apply(recorded);
}

/// What it would do, parsed, for those who decide: JSON.
std::string effect_of(const Action& action) {
  if (const auto* call = std::get_if<ToolCall>(&action)) return R"({"tool":)" + json::quote(call->tool) + "}";
  if (const auto* request = std::get_if<McpRequest>(&action)) return R"({"method":)" + json::quote(request->method) + "}";
  const auto* statement = std::get_if<Statement>(&action);
  if (statement == nullptr) return "";
  std::string tables;
  for (const auto& table : statement->effects->tables) tables += (tables.empty() ? "" : ",") + json::quote(table);
  return fmt::format(R"({{"verb":{},"class":{},"tables":[{}]}})", json::quote(statement->effects->verb), json::quote(statement->effects->weight), tables);
}

}  // namespace

std::string Session::id() const { return hex(record->id()); }

Gate::Gate(boost::asio::io_context& context, evidence::Log& log, evidence::Port& port, Approvals& approvals, PolicyPtr policy,
           target::CatalogPtr catalog, const Clock& clock)
    : context_(context), log_(log), port_(port), approvals_(approvals), policy_(std::move(policy)),
      catalog_(std::move(catalog)), clock_(clock) {}

Gate::~Gate() = default;

void Gate::reconfigure(PolicyPtr policy, target::CatalogPtr catalog) {
  policy_ = std::move(policy);
  catalog_ = std::move(catalog);
  maskers_.clear();
  sql_maskings_.clear();
  // A target may have other labels now: what is granted for it is asked anew.
  for (const auto& [raw, known] : open_)
    if (const auto session = known.lock()) session->access_version = 0;
}

bool Gate::evidence_writable() const { return log_.writable(); }

Denial Gate::denial_of(const Judged& judged, std::string request_id) {
  Denial denial;
  denial.request_id = std::move(request_id);
  denial.rules = judged.decision.rules;
  denial.reason = judged.decision.reason;
  denial.message = judged.decision.message;
  return denial;
}

Gate::Judged Gate::judge(Session& session, const Action& action) {
  refresh(session);
  Judged judged;
  judged.policy = policy_;
  judged.catalog = catalog_;
  judged.target = catalog_->find(session.target);
  if (judged.target == nullptr || std::holds_alternative<Raw>(action)) {
    judged.decision.reason = judged.target == nullptr ? "the target \"" + session.target + "\" is no longer configured"
                                                      : "nothing is known of \"" + verb_of(action) + "\", and unknown is not allowed";
    return judged;
  }
  if (!session.fallen.empty() || !session.lost_group.empty()) {
    judged.decision.reason = (session.fallen.empty() ? session.who->display() + " is no longer in group " + session.lost_group : session.fallen) + "; sign in again";
    return judged;
  }
  if (session.who->expires_wall_ns != 0 && clock_.wall_ns() >= session.who->expires_wall_ns) {
    judged.decision.reason = "the credential of " + session.who->display() + " has expired; sign in again";
    return judged;
  }
  judged.decision = policy_->decide(*session.who, *judged.target, facts_of(action));
  if (is_housekeeping(action)) {
    // A list or a greeting names no object yet: it is allowed where some command may be, unless a rule blocks just it.
    const auto* statement = std::get_if<Statement>(&action);
    const bool blocked = statement != nullptr && judged.decision.effect == Effect::Block && !judged.decision.rules.empty();
    const bool visible = !blocked && policy_->may_be_visible(*session.who, *judged.target, statement != nullptr ? first_facts(*judged.target) : with_unknown_object(action));
    if (statement == nullptr || visible) judged.decision.effect = visible ? Effect::Allow : Effect::Block;
    if (visible) judged.decision.rules.clear();
  }
  if (const auto* request = std::get_if<McpRequest>(&action); request != nullptr && request->carries) judged.decision.masks = masks_of_any(session, *judged.target);
  if (const auto* statement = std::get_if<Statement>(&action)) judge_masking(*statement, judged);
  if (judged.decision.effect != Effect::Block) judge_trust(action, judged);
  return judged;
}

/// Every mask that a command of this person on this target could have.
std::vector<const MaskRule*> Gate::masks_of_any(const Session& session, const target::Target& target) const {
  const auto& schema = std::holds_alternative<target::PostgresTarget>(target.kind) ? sql_schema() : mcp_schema();
  return policy_->decide(*session.who, target, {&schema, std::vector<FactValue>(schema.fields.size())}).masks;
}

void Gate::judge_trust(const Action& action, Judged& judged) {
  const auto* call = std::get_if<ToolCall>(&action);
  const auto* request = std::get_if<McpRequest>(&action);
  const auto* problem = call != nullptr ? &call->problem : request != nullptr ? &request->problem : nullptr;
  if (problem == nullptr || !*problem) return;
  auto why = (*problem)();
  if (why.empty()) return;
  judged.decision.effect = Effect::Block;
  judged.decision.rules = {kTrustRule};
  judged.decision.message.clear();
  judged.decision.reason = std::move(why);
}

void Gate::judge_budget(const Session& session, const Action& action, Judged& judged) {
  if (budgets_ == nullptr || judged.decision.effect == Effect::Block) return;
  auto place = budgets_->take(*session.who, *judged.target, judged.decision.effect == Effect::Allow && !is_housekeeping(action));
  if (place) {
    judged.budget = std::move(*place);
    return;
  }
  judged.decision.effect = Effect::Block;
  judged.decision.rules = {"budget"};
  judged.decision.message.clear();
  judged.decision.reason = place.error().what;
}

void Gate::judge_masking(const Statement& statement, Judged& judged) {
  std::string why_not;
  if (!statement.problem.empty()) {
    judged.decision.effect = Effect::Block;
    judged.decision.rules.clear();
    judged.decision.message.clear();
    judged.decision.reason = statement.problem;
    return;
  }
  judged.sql = sql_maskings_.find(judged.decision.masks, masker(judged.decision.masks), statement.effects->analysis, statement.effects->schema, why_not);
  const bool control = statement.effects->analysis->control;
  if (judged.sql && judged.sql->columns && !judged.sql->columns->tables.empty() && !statement.unsure.empty() && !control) {
    judged.sql = nullptr;
    why_not = statement.unsure;
  }
  if (judged.sql || judged.decision.effect == Effect::Block) return;
  judged.decision.effect = Effect::Block;
  judged.decision.rules.clear();
  for (const auto* rule : judged.decision.masks) judged.decision.rules.push_back(rule->id);
  judged.decision.message.clear();
  judged.decision.reason = std::move(why_not);
}

bool Gate::visible(const Session& session, const Facts& facts) const {
  const auto* target = catalog_->find(session.target);
  return target != nullptr && policy_->may_be_visible(*session.who, *target, facts);
}

std::shared_ptr<const Masker> Gate::masker(const std::vector<const MaskRule*>& rules) {
  auto& cached = maskers_[rules];
  if (!cached) cached = std::make_shared<const Masker>(rules);
  return cached;
}

Result<std::string> Gate::record_of(const Action& action, const json::Value& record, Judged& judged) {
  if (const auto* statement = std::get_if<Statement>(&action)) {
    // A condition on a masked column shows its values as much as a result does.
    const bool columns = std::ranges::any_of(judged.decision.masks, [](const MaskRule* rule) { return !rule->columns.empty() || !rule->types.empty(); });
    const bool conceal = (!judged.sql && columns) || (judged.sql && judged.sql->flow && (judged.sql->flow->touches || judged.sql->flow->unfollowed));
    std::string text(conceal ? std::string_view(statement->effects->analysis->normalized) : statement->text);
    judged.masker->mask_text(text, judged.counts);
    std::string out = R"({"sql":)" + json::quote(text);
    if (statement->parameters != nullptr && !statement->parameters->empty()) {
      out += R"(,"parameters":[)";
      for (std::size_t i = 0; i < statement->parameters->size(); ++i) {
        std::string parameter = conceal ? "***" : (*statement->parameters)[i];
        judged.masker->mask_text(parameter, judged.counts);
        out += (i ? "," : "") + json::quote(parameter);
      }
      out += ']';
    }
    return out + '}';
  }
  if (!record.valid()) return std::string();
  const auto text = record.raw();
  json::Splice splice;
  judged.masker->mask_json(record, splice, judged.counts);
  if (splice.empty()) return std::string(text);
  // Offsets are those of the whole message: what stands before the part is cut off again.
  return splice.apply({text.data() - record.offset(), record.offset() + text.size()}).substr(record.offset());
}

void Gate::submit(std::shared_ptr<Session> session, const Action& action, Message message, Hold* hold, OnVerdict done) {
  std::string request_id = random_name("req_");
  if (session->closed) {
    Denial denial;
    denial.request_id = std::move(request_id);
    denial.reason = "the session has ended";
    return done(std::move(denial));
  }
  ++session->open_commands;
  Judged judged = judge(*session, action);
  judged.masker = masker(judged.decision.masks);
  judged.object = object_of(action);
  judged.masker->mask_text(judged.object, judged.counts);
  auto recorded = record_of(action, message.record, judged);
  if (!recorded) {
    judged.decision.effect = Effect::Block;
    judged.decision.reason = "its record could not be masked: " + recorded.error().what;
    recorded = std::string();
  }
  if (const auto* statement = std::get_if<Statement>(&action); statement != nullptr && statement->in_transaction && judged.decision.effect == Effect::Approve) {
    for (const auto& [rule, terms] : judged.decision.approvals) {
      if (terms.in_transaction) continue;
      judged.decision.effect = Effect::Block;
      judged.decision.reason = "rule " + rule + " holds it for approval, and a hold inside an open transaction would keep its locks: " +
                               "end the transaction and run it by itself";
      break;
    }
  }
  judge_budget(*session, action, judged);
  switch (judged.decision.effect) {
    case Effect::Block: {
      auto denial = denial_of(judged, request_id);
      return refuse(std::move(session), action, std::move(*recorded), std::move(judged), std::move(denial), message, std::move(done));
    }
    case Effect::Approve:
      boost::asio::co_spawn(context_, hold_and_go_on(std::move(session), action, std::move(message), hold, std::move(judged), std::move(request_id),
                                                     std::move(*recorded), std::move(done)), boost::asio::detached);
      return;
    case Effect::Allow:
      return admit(std::move(session), action, std::move(message), std::move(*recorded), std::move(request_id), std::move(judged), std::move(done));
  }
}

awaitable<void> Gate::hold_and_go_on(std::shared_ptr<Session> session, const Action& action, Message message, Hold* hold, Judged judged,
                                     std::string request_id, std::string recorded, OnVerdict done) {
  message.overlapped = nullptr;
  auto denial = co_await hold_for_approval(*session, action, request_id, judged, recorded, hold);
  if (denial) refuse(std::move(session), action, std::move(recorded), std::move(judged), std::move(*denial), message, std::move(done));
  else admit(std::move(session), action, std::move(message), std::move(recorded), std::move(request_id), std::move(judged), std::move(done));
}

awaitable<Verdict> Gate::ask(std::shared_ptr<Session> session, const Action& action, std::string bytes, json::Value record,
                             Hold* hold) {
  auto start = [&](auto handler) {
    submit(std::move(session), action, Message{std::move(bytes), record, {}, {}}, hold,
           [done = std::move(handler)](Verdict verdict) mutable { std::move(done)(std::move(verdict)); });
  };
  co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Verdict)>(start, boost::asio::use_awaitable);
}

awaitable<Verdict> Gate::own(std::shared_ptr<Session> session, std::string what, std::string bytes, std::optional<std::string> recorded) {
  Judged judged;
  judged.policy = policy_;
  judged.catalog = catalog_;
  judged.target = catalog_->find(session->target);
  judged.decision.effect = Effect::Allow;
  judged.decision.rules = {"gateway"};
  if (judged.target == nullptr || session->closed) {
    judged.decision.reason = session->closed ? "the session has ended" : "the target is no longer configured";
    co_return denial_of(judged, "");
  }
  ++session->open_commands;
  // What it says may be a client's or a target's words: names of programs, reasons.
  judged.masker = masker(masks_of_any(*session, *judged.target));
  const Action action = Raw{"", std::move(what)};
  if (!recorded) recorded = bytes;
  if (auto masked = masked_record(*recorded, *judged.masker, judged.counts)) recorded = std::move(*masked);
  else judged.masker->mask_text(*recorded, judged.counts);
  auto start = [&](auto handler) {
    admit(std::move(session), action, Message{std::move(bytes), {}, {}, {}}, std::move(*recorded), random_name("req_"), std::move(judged),
          [done = std::move(handler)](Verdict verdict) mutable { std::move(done)(std::move(verdict)); });
  };
  co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Verdict)>(start, boost::asio::use_awaitable);
}

awaitable<std::optional<Denial>> Gate::hold_for_approval(Session& session, const Action& action, const std::string& request_id,
                                                         Judged& judged, const std::string& summary, Hold* hold) {
  ApprovalRequest request;
  request.digest = sha256(as_bytes(session.who->person() + "\n" + session.who->agent + "\n" + session.target + "\n" +
                                   session.binding + "\n" + hex(judged.policy->digest()) + "\n" + canonical_of(action)));
  request.request_id = request_id;
  request.who = session.who;
  request.target = session.target;
  request.session = session.id();
  request.summary = verb_of(action) + " " + judged.object + " " + summary.substr(0, 2000);
  request.effect = effect_of(action);
  request.terms = judged.decision.approvals;
  request.policy = judged.policy->digest();
  Denial denial = denial_of(judged, request_id);
  const auto failed = [&](const Error& error) {
    denial.kind = error.kind;
    denial.reason = error.what;
    return std::move(denial);
  };

  // Another round of a command that has been approved, word for word, under the same policy.
  if (hold != nullptr && hold->carried && hold->carried->digest == request.digest && *hold->carried->command != UINT64_MAX) {
    judged.goes_on = *hold->carried->command;
    judged.place = std::make_shared<std::uint64_t>(UINT64_MAX);
    judged.approval = hold->carried->approval;
    hold->used = Used{judged.approval, request.digest, hold->carried->wall_ns, judged.place};
    co_return std::nullopt;
  }
  auto approval = co_await approvals_.request(request);
  if (!approval) co_return failed(approval.error());
  denial.approval = approval->id;
  denial.expires_wall_ns = approval->expires_wall_ns;
  if (hold != nullptr) hold->approval = approval->id;
  if (hold != nullptr && hold->cancelled) (void)co_await approvals_.withdraw(approval->id, "cancelled by the requester");

  std::int64_t limit = 0;
  for (const auto& [rule, terms] : request.terms) limit = std::max(limit, terms.hold_ns);
  const std::int64_t begun = clock_.mono_ns();
  std::int64_t notified = begun - kHoldNotice;
  while (approval->state == ApprovalState::Pending && clock_.mono_ns() - begun < limit) {
    if (const auto now = clock_.mono_ns(); hold != nullptr && hold->notify && now - notified >= kHoldNotice) {
      notified = now;
      co_await hold->notify(*approval, now - begun);
    }
    const std::int64_t slice = std::min(kHoldLook, limit - (clock_.mono_ns() - begun));
    auto next = co_await approvals_.wait(approval->id, net::after(std::max<std::int64_t>(slice, 0)));
    if (!next) co_return failed(next.error());
    approval = std::move(next);
    if (approval->state <= ApprovalState::Granted && hold != nullptr && hold->gone && hold->gone()) {
      denial.pending = true;
      denial.reason = "the client went away while request " + approval->id + " was held; the same call again attaches to it";
      co_return std::move(denial);
    }
    if (hold != nullptr && hold->over) break;
  }
  // The hold may end in the very moment the request does; the entry of it is the approvals' to write.
  if (approval->state == ApprovalState::Pending && clock_.wall_ns() >= approval->expires_wall_ns) approval->state = ApprovalState::Expired;
  switch (approval->state) {
    case ApprovalState::Granted: break;
    case ApprovalState::Pending:  // nobody has answered in time, or the gateway stops
      denial.pending = true;
      denial.reason = "it needs approval by " + approval->approvers() + " and request " + approval->id + " is still pending";
      co_return std::move(denial);
    case ApprovalState::Withdrawn:
      denial.cancelled = true;
      denial.reason = "request " + approval->id + " was withdrawn";
      co_return std::move(denial);
    case ApprovalState::Denied:
      denial.reason = "request " + approval->id + " was denied" +
                      (approval->votes.empty() ? "" : " by " + approval->votes.back().display) +
                      (approval->reason.empty() ? "" : ": " + approval->reason);
      co_return std::move(denial);
    case ApprovalState::Expired: denial.reason = "request " + approval->id + " expired"; co_return std::move(denial);
    case ApprovalState::Used: denial.reason = "request " + approval->id + " was already used"; co_return std::move(denial);
    case ApprovalState::Ended:
    case ApprovalState::Revoked:
    case ApprovalState::Reviewed: denial.reason = "request " + approval->id + " is not for a command"; co_return std::move(denial);
  }
  // The rules may have changed while people were thinking: what was granted is only what is still asked for.
  Judged again = judge(session, action);
  const auto same_terms = [](const auto& a, const auto& b) { return a.first == b.first && a.second.steps == b.second.steps; };
  const bool other_terms = (again.decision.effect == Effect::Approve && !std::ranges::equal(again.decision.approvals, judged.decision.approvals, same_terms)) ||
                           !std::ranges::equal(again.decision.masks, judged.decision.masks, {}, &MaskRule::id, &MaskRule::id);
  if (again.policy->digest() != judged.policy->digest() || again.decision.effect == Effect::Block || other_terms) {
    const bool trust = again.decision.rules == std::vector<std::string>{kTrustRule};
    denial.reason = trust ? again.decision.reason : "the policy changed while request " + approval->id + " was held; call again";
    denial.rules = again.decision.rules;
    co_return std::move(denial);
  }
  auto used = co_await approvals_.use(approval->id, request.digest);
  if (!used) co_return failed(used.error());
  judged.approval = approval->id;
  judged.place = std::make_shared<std::uint64_t>(UINT64_MAX);
  if (hold != nullptr) hold->used = Used{approval->id, request.digest, clock_.wall_ns(), judged.place};
  co_return std::nullopt;
}

}  // namespace sallyport::enforce
