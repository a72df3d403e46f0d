#include "enforce/approval_rows.h"

namespace sallyport::enforce {
namespace {

constexpr const char* kColumns =
    "id, state, digest, policy, request_id, requester, requester_subject, requester_issuer, requester_agent, requester_display, target, session, "
    "summary, reason, terms, created, expires, kind, requester_email, effect, asked_for, about, access, begins, ends";
constexpr std::size_t kMostLooked = 20'000;  // rows that a list looks through for those that are wanted

std::string list_text(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const auto& text : texts) out += (out.size() > 1 ? "," : "") + json::quote(text);
  return out + "]";
}

std::string terms_text(const std::vector<std::pair<std::string, ApprovalTerms>>& terms) {
  std::string out = "[";
  for (const auto& [rule, term] : terms) {
    std::string steps;
    for (const auto& step : term.steps) {
      std::string needs;
      for (const auto& need : step) needs += fmt::format("{}[{},{}]", needs.empty() ? "" : ",", json::quote(need.group), need.count);
      steps += fmt::format("{}[{}]", steps.empty() ? "" : ",", needs);
    }
    out += fmt::format(R"({}[{},{{"steps":[{}],"hold_ns":{},"valid_ns":{}}}])", out.size() > 1 ? "," : "", json::quote(rule), steps, term.hold_ns, term.valid_ns);
  }
  return out + "]";
}

ApprovalSteps read_steps_text(const json::Value& term) {
  // As version 0.1.0 wrote them: one group a rule.
  if (term["by_group"].valid()) return {{{std::string(term["by_group"].as_string()), term["quorum"].as_int()}}};
  ApprovalSteps out;
  for (const auto step : term["steps"]) {
    auto& needs = out.emplace_back();
    for (const auto need : step) {
      if (need.size() != 2) continue;
      auto at = need.begin();
      const std::string group((*at).as_string());
      needs.push_back({group, (*++at).as_int()});
    }
  }
  return out;
}

Result<std::vector<std::pair<std::string, ApprovalTerms>>> read_terms(std::string text) {
  TRY(const auto document, json::Document::parse(std::move(text)));
  std::vector<std::pair<std::string, ApprovalTerms>> out;
  for (const auto pair : document.root()) {
    if (pair.size() != 2) return fail(ErrorKind::Unavailable, "an approval's terms in the state database are damaged");
    auto at = pair.begin();
    const std::string rule((*at).as_string());
    const auto term = *++at;
    ApprovalTerms terms;
    terms.steps = read_steps_text(term);
    terms.hold_ns = term["hold_ns"].as_int();
    terms.valid_ns = term["valid_ns"].as_int();
    out.emplace_back(rule, std::move(terms));
  }
  return out;
}

std::string access_text(const AccessTerms& access) {
  std::string labels;
  for (const auto& [label, value] : access.targets.labels) labels += fmt::format("{}{}:{}", labels.empty() ? "" : ",", json::quote(label), json::quote(value));
  return fmt::format(R"({{"names":{},"labels":{{{}}},"duration_ns":{},"start_ns":{},"for_agents":{},"break_glass":{}}})", list_text(access.targets.names), labels,
                     access.duration_ns, access.start_wall_ns, access.for_agents, access.break_glass);
}

Result<AccessTerms> read_access(std::string text) {
  AccessTerms out;
  if (text.empty()) return out;
  TRY(const auto document, json::Document::parse(std::move(text)));
  const auto root = document.root();
  for (const auto name : root["names"]) out.targets.names.emplace_back(name.as_string());
  for (const auto label : root["labels"]) out.targets.labels[std::string(label.key())] = std::string(label.as_string());
  out.duration_ns = root["duration_ns"].as_int();
  out.start_wall_ns = root["start_ns"].as_int();
  out.for_agents = root["for_agents"].as_bool();
  out.break_glass = root["break_glass"].as_bool();
  return out;
}

Result<void> read_votes(state::Database& database, Approval& approval) {
  auto select = database.prepare("SELECT person, display, email, groups, approve, reason, cast_at, step FROM votes WHERE approval = ? ORDER BY cast_at, rowid");
  select.bind(1, approval.id);
  for (;;) {
    TRY(const bool row, select.step());
    if (!row) return {};
    Vote vote;
    vote.person = select.text(0);
    vote.display = select.text(1);
    vote.email = select.text(2);
    TRY(const auto groups, json::Document::parse(select.text(3)));
    for (const auto group : groups.root()) vote.groups.emplace_back(group.as_string());
    vote.approve = select.integer(4) != 0;
    vote.reason = select.text(5);
    vote.wall_ns = select.integer(6);
    vote.step = static_cast<std::size_t>(select.integer(7));
    approval.votes.push_back(std::move(vote));
  }
}

Result<Approval> read_row(const state::Statement& select) {
  Approval out;
  out.id = select.text(0);
  out.state = static_cast<ApprovalState>(select.integer(1));
  const auto digest = select.blob(2), policy = select.blob(3);
  if (digest.size() != out.digest.size() || policy.size() != out.policy.size()) return fail(ErrorKind::Unavailable, "an approval in the state database is damaged");
  std::ranges::copy(digest, out.digest.begin());
  std::ranges::copy(policy, out.policy.begin());
  out.request_id = select.text(4);
  out.requester = select.text(5);
  out.requester_subject = select.text(6);
  out.requester_issuer = select.text(7);
  out.requester_agent = select.text(8);
  out.requester_display = select.text(9);
  out.target = select.text(10);
  out.session = select.text(11);
  out.summary = select.text(12);
  out.reason = select.text(13);
  TRY(out.terms, read_terms(select.text(14)));
  out.created_wall_ns = select.integer(15);
  out.expires_wall_ns = select.integer(16);
  out.kind = static_cast<RequestKind>(select.integer(17));
  out.requester_email = select.text(18);
  out.effect = select.text(19);
  out.asked_for = select.text(20);
  out.about = select.text(21);
  TRY(out.access, read_access(select.text(22)));
  out.access.begins_wall_ns = select.integer(23);
  out.access.ends_wall_ns = select.integer(24);
  return out;
}

Result<std::vector<Approval>> read_all(state::Database& database, state::Statement& select, const ApprovalFilter* filter = nullptr) {
  std::vector<Approval> out;
  std::size_t looked = 0;
  for (;;) {
    TRY(const bool row, select.step());
    if (!row || ++looked > kMostLooked) break;
    TRY(auto approval, read_row(select));
    if (filter != nullptr && filter->visible && !filter->visible(approval)) continue;
    out.push_back(std::move(approval));
    if (filter != nullptr && out.size() >= filter->limit) break;
  }
  for (auto& approval : out) TRY_VOID(read_votes(database, approval));
  return out;
}

Result<void> insert(state::Database& database, const Approval& approval, std::int64_t now) {
  auto insert = database.prepare(std::string("INSERT INTO approvals (") + kColumns + ", changed) VALUES "
                                 "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)");
  insert.bind(1, approval.id).bind(2, static_cast<int>(approval.state)).bind_blob(3, approval.digest).bind_blob(4, approval.policy);
  insert.bind(5, approval.request_id).bind(6, approval.requester).bind(7, approval.requester_subject).bind(8, approval.requester_issuer);
  insert.bind(9, approval.requester_agent).bind(10, approval.requester_display).bind(11, approval.target).bind(12, approval.session);
  insert.bind(13, approval.summary).bind(14, approval.reason).bind(15, terms_text(approval.terms));
  insert.bind(16, approval.created_wall_ns).bind(17, approval.expires_wall_ns).bind(18, static_cast<int>(approval.kind));
  insert.bind(19, approval.requester_email).bind(20, approval.effect).bind(21, approval.asked_for).bind(22, approval.about);
  insert.bind(23, approval.kind == RequestKind::Access ? access_text(approval.access) : "");
  return insert.bind(24, approval.access.begins_wall_ns).bind(25, approval.access.ends_wall_ns).bind(26, now).run();
}

}  // namespace

Result<void> insert_approvals(state::Database& database, const std::vector<const Approval*>& approvals, std::int64_t now) {
  state::Transaction transaction(database);
  if (!transaction.began()) return transaction.commit();
  for (const auto* approval : approvals) TRY_VOID(insert(database, *approval, now));
  return transaction.commit();
}

Result<void> update_approval(state::Database& database, const Approval& approval, std::int64_t now) {
  state::Transaction transaction(database);
  if (!transaction.began()) return transaction.commit();
  auto update = database.prepare("UPDATE approvals SET state = ?1, reason = ?2, changed = ?3, begins = ?4, ends = ?5 WHERE id = ?6");
  update.bind(1, static_cast<int>(approval.state)).bind(2, approval.reason).bind(3, now).bind(4, approval.access.begins_wall_ns);
  TRY_VOID(update.bind(5, approval.access.ends_wall_ns).bind(6, approval.id).run());
  for (const auto& vote : approval.votes) {
    auto insert = database.prepare("INSERT OR REPLACE INTO votes (approval, person, display, email, groups, approve, reason, cast_at, step) "
                                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    insert.bind(1, approval.id).bind(2, vote.person).bind(3, vote.display).bind(4, vote.email).bind(5, list_text(vote.groups)).bind(6, vote.approve ? 1 : 0);
    TRY_VOID(insert.bind(7, vote.reason).bind(8, vote.wall_ns).bind(9, vote.step).run());
  }
  return transaction.commit();
}

Result<std::vector<Approval>> load_live(state::Database& database) {
  auto select = database.prepare(std::string("SELECT ") + kColumns + " FROM approvals WHERE state IN (0, 1)");
  return read_all(database, select);
}

Result<std::vector<Approval>> load_matching(state::Database& database, const ApprovalFilter& filter) {
  std::string where;
  const auto add = [&](const char* condition) { where += (where.empty() ? " WHERE " : " AND ") + std::string(condition); };
  if (filter.pending_only) add("state = 0");
  if (filter.state) add("state = ?1");
  if (filter.kind) add("kind = ?2");
  if (!filter.requester.empty()) add("requester = ?3");
  auto select = database.prepare(std::string("SELECT ") + kColumns + " FROM approvals" + where + " ORDER BY created DESC LIMIT ?4");
  // Only what the statement names may be bound; ?4 alone is there always and makes the others exist.
  select.bind(4, static_cast<std::int64_t>(filter.visible ? kMostLooked : std::min(filter.limit, kMostLooked)));
  select.bind(1, filter.state ? static_cast<int>(*filter.state) : 0).bind(2, filter.kind ? static_cast<int>(*filter.kind) : 0).bind(3, filter.requester);
  return read_all(database, select, &filter);
}

Result<std::optional<Approval>> load_one(state::Database& database, const std::string& id) {
  auto select = database.prepare(std::string("SELECT ") + kColumns + " FROM approvals WHERE id = ?");
  select.bind(1, id);
  TRY(auto found, read_all(database, select));
  if (found.empty()) return std::optional<Approval>{};
  return std::optional<Approval>(std::move(found.front()));
}

}  // namespace sallyport::enforce
