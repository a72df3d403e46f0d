#include "enforce/approval_rows.h"

namespace sallyport::enforce {
namespace {

constexpr const char* kColumns =
    "id, state, digest, request_id, requester, requester_display, target, session, summary, reason, terms, created, expires";

std::string terms_text(const std::vector<std::pair<std::string, ApprovalTerms>>& terms) {
  std::string out = "[";
  for (const auto& [rule, term] : terms) {
    out += fmt::format(R"({}[{},{{"by_group":{},"quorum":{},"hold_ns":{},"valid_ns":{}}}])", out.size() > 1 ? "," : "", json::quote(rule),
                       json::quote(term.by_group), term.quorum, term.hold_ns, term.valid_ns);
  }
  return out + "]";
}

Result<std::vector<std::pair<std::string, ApprovalTerms>>> read_terms(std::string text) {
  TRY(const auto document, json::Document::parse(std::move(text)));
  std::vector<std::pair<std::string, ApprovalTerms>> out;
  for (const auto pair : document.root()) {
    if (pair.size() != 2) return fail(ErrorKind::Unavailable, "an approval's terms in the state database are damaged");
    auto at = pair.begin();
    const std::string rule((*at).as_string());
    const auto term = *++at;
    out.emplace_back(rule, ApprovalTerms{std::string(term["by_group"].as_string()), term["quorum"].as_int(), term["hold_ns"].as_int(), term["valid_ns"].as_int()});
  }
  return out;
}

std::string groups_text(const std::vector<std::string>& groups) {
  std::string out = "[";
  for (const auto& group : groups) out += (out.size() > 1 ? "," : "") + json::quote(group);
  return out + "]";
}

Result<void> read_votes(state::Database& database, Approval& approval) {
  auto select = database.prepare("SELECT person, display, groups, approve, reason, cast_at FROM votes WHERE approval = ? ORDER BY cast_at");
  select.bind(1, approval.id);
  for (;;) {
    TRY(const bool row, select.step());
    if (!row) return {};
    Vote vote;
    vote.person = select.text(0);
    vote.display = select.text(1);
    TRY(const auto groups, json::Document::parse(select.text(2)));
    for (const auto group : groups.root()) vote.groups.emplace_back(group.as_string());
    vote.approve = select.integer(3) != 0;
    vote.reason = select.text(4);
    vote.wall_ns = select.integer(5);
    approval.votes.push_back(std::move(vote));
  }
}

Result<std::vector<Approval>> read_all(state::Database& database, state::Statement& select) {
  std::vector<Approval> out;
  for (;;) {
    TRY(const bool row, select.step());
    if (!row) break;
    Approval approval;
    approval.id = select.text(0);
    approval.state = static_cast<ApprovalState>(select.integer(1));
    const auto digest = select.blob(2);
    std::copy_n(digest.begin(), std::min(digest.size(), approval.digest.size()), approval.digest.begin());
    approval.request_id = select.text(3);
    approval.requester = select.text(4);
    approval.requester_display = select.text(5);
    approval.target = select.text(6);
    approval.session = select.text(7);
    approval.summary = select.text(8);
    approval.reason = select.text(9);
    TRY(approval.terms, read_terms(select.text(10)));
    approval.created_wall_ns = select.integer(11);
    approval.expires_wall_ns = select.integer(12);
    out.push_back(std::move(approval));
  }
  for (auto& approval : out) TRY_VOID(read_votes(database, approval));
  return out;
}

}  // namespace

Result<void> insert_approval(state::Database& database, const Approval& approval, const ApprovalRequest& request, std::int64_t now) {
  auto insert = database.prepare(
      "INSERT INTO approvals (id, state, digest, policy, request_id, requester, requester_subject, requester_issuer, requester_agent, "
      "requester_display, target, session, summary, reason, terms, created, expires, changed) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)");
  insert.bind(1, approval.id).bind(2, static_cast<int>(approval.state)).bind_blob(3, approval.digest).bind_blob(4, request.policy);
  insert.bind(5, approval.request_id).bind(6, approval.requester).bind(7, request.who->subject).bind(8, request.who->issuer);
  insert.bind(9, request.who->agent).bind(10, approval.requester_display).bind(11, approval.target).bind(12, approval.session);
  insert.bind(13, approval.summary).bind(14, approval.reason).bind(15, terms_text(approval.terms));
  insert.bind(16, approval.created_wall_ns).bind(17, approval.expires_wall_ns).bind(18, now);
  return insert.run();
}

Result<void> update_approval(state::Database& database, const Approval& approval, std::int64_t now) {
  state::Transaction transaction(database);
  if (!transaction.began()) return transaction.commit();
  auto update = database.prepare("UPDATE approvals SET state = ?1, reason = ?2, changed = ?3 WHERE id = ?4");
  TRY_VOID(update.bind(1, static_cast<int>(approval.state)).bind(2, approval.reason).bind(3, now).bind(4, approval.id).run());
  for (const auto& vote : approval.votes) {
    auto insert = database.prepare("INSERT OR IGNORE INTO votes (approval, person, display, groups, approve, reason, cast_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    insert.bind(1, approval.id).bind(2, vote.person).bind(3, vote.display).bind(4, groups_text(vote.groups)).bind(5, vote.approve ? 1 : 0);
    TRY_VOID(insert.bind(6, vote.reason).bind(7, vote.wall_ns).run());
  }
  return transaction.commit();
}

Result<std::vector<Approval>> load_live(state::Database& database) {
  auto select = database.prepare(std::string("SELECT ") + kColumns + " FROM approvals WHERE state IN (0, 1)");
  return read_all(database, select);
}

Result<std::vector<Approval>> load_recent(state::Database& database, bool pending_only, std::size_t limit) {
  auto select = database.prepare(std::string("SELECT ") + kColumns + " FROM approvals " + (pending_only ? "WHERE state = 0 " : "") + "ORDER BY created DESC LIMIT ?");
  select.bind(1, static_cast<std::int64_t>(limit));
  return read_all(database, select);
}

Result<std::optional<Approval>> load_one(state::Database& database, const std::string& id) {
  auto select = database.prepare(std::string("SELECT ") + kColumns + " FROM approvals WHERE id = ?");
  select.bind(1, id);
  TRY(auto found, read_all(database, select));
  if (found.empty()) return std::optional<Approval>{};
  return std::optional<Approval>(std::move(found.front()));
}

}  // namespace sallyport::enforce
