#include "identity/directory_rows.h"

#include "base/json.h"
#include "identity/scope.h"

namespace sallyport::identity {

namespace {

constexpr std::int64_t kDay = 86'400'000'000'000;
constexpr const char* kToken = "id, issuer, subject, agent, method, sign_in, label, login, peer, door, created, expires, used, resource, scopes";
constexpr const char* kSignIn = "id, issuer, subject, provider, provider_session, peer, created, checked, expires, secrets, client";

std::string groups_text(const std::vector<std::string>& groups) {
  std::string out = "[";
  for (const auto& group : groups) out += (out.size() > 1 ? "," : "") + json::quote(group);
  return out + "]";
}

TokenInfo token_of(const state::Statement& row) {
  TokenInfo out;
  std::string* const texts[] = {&out.id, &out.issuer, &out.subject, &out.agent, &out.method, &out.sign_in, &out.label, &out.login, &out.peer};
  int column = 0;
  for (auto* text : texts) *text = row.text(column++);
  out.door = static_cast<Door>(row.integer(9));
  out.created_wall_ns = row.integer(10);
  out.expires_wall_ns = row.integer(11);
  out.used_wall_ns = row.integer(12);
  out.resource = row.text(13);
  out.scoped = !row.is_null(14);
  out.scopes = parse_scopes(row.text(14)).value_or(Scopes());
  return out;
}

StoredSignIn sign_in_of(const state::Statement& row) {
  StoredSignIn out;
  auto& one = out.sign_in;
  std::string* const texts[] = {&one.id, &one.issuer, &one.subject, &one.provider, &one.provider_session, &one.peer};
  int column = 0;
  for (auto* text : texts) *text = row.text(column++);
  one.created_wall_ns = row.integer(6);
  one.checked_wall_ns = row.integer(7);
  one.expires_wall_ns = row.integer(8);
  out.sealed = row.blob(9);
  one.client = row.text(10);
  return out;
}

bool is_digest(const Bytes& bytes) { return bytes.size() == Digest().size(); }

}  // namespace

Result<std::vector<Person>> load_people(state::Database& database) {
  std::vector<Person> out;
  auto select = database.prepare("SELECT issuer, subject, email, name, groups, service, active, provisioned, not_before FROM people");
  for (;;) {
    TRY(const bool row, select.step());
    if (!row) return out;
    Person one;
    one.issuer = select.text(0);
    one.subject = select.text(1);
    one.email = select.text(2);
    one.display_name = select.text(3);
    TRY(const auto groups, json::Document::parse(select.text(4)));
    for (const auto group : groups.root()) one.groups.emplace_back(group.as_string());
    one.service = select.integer(5) != 0;
    one.active = select.integer(6) != 0;
    one.provisioned = select.integer(7) != 0;
    one.not_before_wall_ns = select.integer(8);
    out.push_back(std::move(one));
  }
}

Result<void> put_person(state::Database& database, const Person& person, std::int64_t now) {
  auto put = database.prepare("INSERT OR REPLACE INTO people (issuer, subject, email, name, groups, service, active, provisioned, not_before, changed) "
                              "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  put.bind(1, person.issuer).bind(2, person.subject).bind(3, person.email).bind(4, person.display_name).bind(5, groups_text(person.groups));
  put.bind(6, person.service ? 1 : 0).bind(7, person.active ? 1 : 0).bind(8, person.provisioned ? 1 : 0).bind(9, person.not_before_wall_ns).bind(10, now);
  return put.run();
}

Result<std::optional<StoredToken>> load_token(state::Database& database, const Digest& token) {
  auto select = database.prepare(std::string("SELECT ") + kToken + ", revoked IS NOT NULL FROM credentials WHERE hash = ?");
  select.bind_blob(1, token);
  TRY(const bool row, select.step());
  if (!row) return std::optional<StoredToken>();
  return std::optional<StoredToken>(StoredToken{token_of(select), select.integer(15) != 0});
}

Result<bool> insert_token(state::Database& database, const Digest& token, const TokenInfo& info, const ScramVerifier& scram) {
  auto insert = database.prepare(
      "INSERT INTO credentials (hash, id, issuer, subject, agent, method, sign_in, label, login, peer, door, created, expires, used, scram_stored, scram_server, resource, scopes) "
      "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0, ?14, ?15, ?16, ?17 "
      "WHERE ?7 = '' OR EXISTS (SELECT 1 FROM sign_ins WHERE id = ?7 AND revoked IS NULL AND expires > ?12)");
  insert.bind_blob(1, token).bind(2, info.id).bind(3, info.issuer).bind(4, info.subject).bind(5, info.agent).bind(6, info.method).bind(7, info.sign_in);
  insert.bind(8, info.label).bind(9, info.login).bind(10, info.peer).bind(11, static_cast<int>(info.door)).bind(12, info.created_wall_ns);
  insert.bind(13, info.expires_wall_ns).bind_blob(14, scram.stored_key).bind_blob(15, scram.server_key).bind(16, info.resource);
  if (info.scoped) insert.bind(17, scopes_text(info.scopes));
  else insert.bind_null(17);
  TRY_VOID(insert.run());
  return database.changes() == 1;
}

Result<void> token_used(state::Database& database, const Digest& token, std::int64_t now) {
  return database.prepare("UPDATE credentials SET used = ? WHERE hash = ?").bind(1, now).bind_blob(2, token).run();
}

Result<std::vector<TokenInfo>> list_tokens(state::Database& database, const std::string& issuer, const std::string& subject, std::int64_t now, std::size_t limit) {
  auto select = database.prepare(std::string("SELECT ") + kToken +
                                 " FROM credentials WHERE revoked IS NULL AND expires > ?1 AND (?2 = '' OR (issuer = ?2 AND subject = ?3)) ORDER BY created DESC LIMIT ?4");
  select.bind(1, now).bind(2, issuer).bind(3, subject).bind(4, limit);
  std::vector<TokenInfo> out;
  for (;;) {
    TRY(const bool row, select.step());
    if (!row) return out;
    out.push_back(token_of(select));
  }
}

Result<ScramSet> load_scram(state::Database& database, const std::string& login, std::int64_t now) {
  ScramSet out;
  out.salt = scram_salt(login);
  auto query = database.prepare("SELECT hash, scram_stored, scram_server FROM credentials WHERE login = ? AND expires > ? AND revoked IS NULL AND "
                                "scram_stored IS NOT NULL AND door IN (0, 3) ORDER BY created DESC LIMIT 64");
  query.bind(1, login).bind(2, now);
  for (;;) {
    TRY(const bool row, query.step());
    if (!row) return out;
    const auto hash = query.blob(0), stored = query.blob(1), server = query.blob(2);
    if (!is_digest(hash) || !is_digest(stored) || !is_digest(server)) continue;
    std::ranges::copy(hash, out.tokens.emplace_back().begin());
    auto& verifier = out.verifiers.emplace_back();
    std::ranges::copy(stored, verifier.stored_key.begin());
    std::ranges::copy(server, verifier.server_key.begin());
  }
}

Result<void> insert_sign_in(state::Database& database, const SignIn& one, const Bytes& sealed) {
  auto insert = database.prepare("INSERT INTO sign_ins (id, issuer, subject, provider, provider_session, peer, created, checked, tried, asks, expires, secrets, client) "
                                 "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?8, ?, ?, ?, ?)");
  insert.bind(1, one.id).bind(2, one.issuer).bind(3, one.subject).bind(4, one.provider).bind(5, one.provider_session).bind(6, one.peer);
  insert.bind(7, one.created_wall_ns).bind(8, one.checked_wall_ns).bind(9, one.asks ? 1 : 0).bind(10, one.expires_wall_ns).bind_blob(11, sealed).bind(12, one.client);
  return insert.run();
}

Result<void> sign_in_confirmed(state::Database& database, const std::string& id, const Bytes& sealed, std::int64_t now) {
  return database.prepare("UPDATE sign_ins SET secrets = ?1, checked = ?2, tried = ?2 WHERE id = ?3 AND revoked IS NULL").bind_blob(1, sealed).bind(2, now).bind(3, id).run();
}

Result<void> sign_in_tried(state::Database& database, const std::string& id, std::int64_t now) {
  return database.prepare("UPDATE sign_ins SET tried = ? WHERE id = ?").bind(1, now).bind(2, id).run();
}

Result<std::vector<StoredSignIn>> live_sign_ins(state::Database& database, std::int64_t tried_before, std::int64_t now, std::size_t limit) {
  auto select = database.prepare(std::string("SELECT ") + kSignIn + " FROM sign_ins WHERE revoked IS NULL AND asks = 1 AND tried < ? AND expires > ? ORDER BY tried LIMIT ?");
  select.bind(1, tried_before).bind(2, now).bind(3, limit);
  std::vector<StoredSignIn> out;
  for (;;) {
    TRY(const bool row, select.step());
    if (!row) return out;
    out.push_back(sign_in_of(select));
  }
}

Result<std::optional<StoredSignIn>> load_sign_in(state::Database& database, const std::string& id, std::int64_t now) {
  auto select = database.prepare(std::string("SELECT ") + kSignIn + " FROM sign_ins WHERE id = ? AND revoked IS NULL AND expires > ?");
  select.bind(1, id).bind(2, now);
  TRY(const bool row, select.step());
  return row ? std::optional(sign_in_of(select)) : std::nullopt;
}

Result<Revoked> find_revoked(state::Database& database, const Revocation& what, std::int64_t now) {
  Revoked out;
  // A sign-in fits by its own fields; a token by its own, or because its sign-in does.
  auto sign_ins = database.prepare("SELECT id FROM sign_ins WHERE revoked IS NULL AND expires > ?1 AND (?2 = '' OR id = ?2) AND (?3 = '' OR (issuer = ?3 AND subject = ?4)) "
                                   "AND (?5 = '' OR provider = ?5) AND (?6 = '' OR provider_session = ?6) AND (?7 = '' OR client = ?7)");
  sign_ins.bind(1, now).bind(2, what.id).bind(3, what.issuer).bind(4, what.subject).bind(5, what.provider).bind(6, what.provider_session).bind(7, what.client);
  for (;;) {
    TRY(const bool row, sign_ins.step());
    if (!row) break;
    out.ids.push_back(sign_ins.text(0));
  }
  const auto take = [&](state::Statement& select) -> Result<void> {
    for (;;) {
      TRY(const bool row, select.step());
      if (!row) return {};
      const auto hash = select.blob(0);
      if (!is_digest(hash)) continue;
      std::ranges::copy(hash, out.tokens.emplace_back(Digest{}, select.integer(2)).first.begin());
      out.ids.push_back(select.text(1));
    }
  };
  const auto count = out.ids.size();
  for (std::size_t i = 0; i < count; ++i) {
    auto select = database.prepare("SELECT hash, id, expires FROM credentials WHERE revoked IS NULL AND expires > ? AND sign_in = ?");
    select.bind(1, now).bind(2, out.ids[i]);
    TRY_VOID(take(select));
  }
  if (what.sign_ins_only || !what.client.empty() || !what.provider.empty() || !what.provider_session.empty()) return out;
  auto select = database.prepare("SELECT hash, id, expires FROM credentials WHERE revoked IS NULL AND expires > ?1 AND (?2 = '' OR id = ?2) AND "
                                 "(?3 = '' OR (issuer = ?3 AND subject = ?4)) AND sign_in NOT IN (SELECT id FROM sign_ins WHERE revoked IS NULL AND expires > ?1 AND "
                                 "issuer = ?3 AND subject = ?4)");
  select.bind(1, now).bind(2, what.id).bind(3, what.issuer).bind(4, what.subject);
  TRY_VOID(take(select));
  return out;
}

Result<void> mark_revoked(state::Database& database, const Revoked& revoked, std::int64_t now) {
  state::Transaction transaction(database);
  auto sign_in = database.prepare("UPDATE sign_ins SET revoked = ?, secrets = x'' WHERE id = ?");
  auto token = database.prepare("UPDATE credentials SET revoked = ? WHERE id = ?");
  for (const auto& id : revoked.ids) {
    auto& update = id.starts_with("sgn_") ? sign_in : token;
    update.bind(1, now).bind(2, id);
    TRY_VOID(update.run());
    update.reset();
  }
  return transaction.commit();
}

Result<void> forget_grants(state::Database& database, const Person& person, std::int64_t now) {
  TRY_VOID(database.prepare("UPDATE consents SET revoked = ? WHERE issuer = ? AND subject = ? AND revoked IS NULL").bind(1, now).bind(2, person.issuer).bind(3, person.subject).run());
  return database.prepare("DELETE FROM upstream_tokens WHERE issuer = ? AND subject = ?").bind(1, person.issuer).bind(2, person.subject).run();
}

Result<void> forget_ended(state::Database& database, std::int64_t now) {
  TRY_VOID(database.prepare("DELETE FROM credentials WHERE expires < ?").bind(1, now - kDay).run());
  return database.prepare("DELETE FROM sign_ins WHERE expires < ?").bind(1, now - kDay).run();
}

}  // namespace sallyport::identity
