#include "identity/oauth_grants.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include "base/text.h"
#include "state/turns.h"

namespace sallyport::identity {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

constexpr std::int64_t kHour = 3600LL * 1'000'000'000, kDay = 24 * kHour, kMonth = 30 * kDay;
constexpr const char* kConsent = "id, issuer, subject, client, name, resource, scopes, created, changed";

Consent consent_of(const state::Statement& row) {
  Consent out;
  std::string* const texts[] = {&out.id, &out.issuer, &out.subject, &out.client, &out.name, &out.resource};
  int column = 0;
  for (auto* text : texts) *text = row.text(column++);
  out.scopes = parse_scopes(row.text(6)).value_or(Scopes());
  out.created_wall_ns = row.integer(7);
  out.changed_wall_ns = row.integer(8);
  return out;
}

}  // namespace

struct OAuthGrants::State {
  State(state::Store& s, evidence::Log& log, const Clock& c) : store(s), clock(c), port(std::make_unique<evidence::Port>(log, s.context())), turns(s.context()) {}

  // The store's thread.
  state::Store& store;
  const Clock& clock;
  std::unique_ptr<evidence::Port> port;
  state::Turns turns;

  awaitable<Result<void>> record(const char* action, const Consent& what) {
    using evidence::Field;
    evidence::Entry entry(evidence::Kind::AdminAction);
    entry.text(Field::Subject, what.subject).text(Field::Issuer, what.issuer).text(Field::Action, action).text(Field::Object, what.client.substr(0, 1024));
    entry.text(Field::Reason, scopes_text(what.scopes).substr(0, 1024)).text(Field::Name, what.resource.substr(0, 256));
    CO_TRY([[maybe_unused]] const auto index, co_await port->append(std::move(entry)));
    co_return Result<void>{};
  }

  awaitable<Result<void>> consent(Consent what) {
    const auto turn = co_await turns.take();
    CO_TRY_VOID(co_await record("consent.given", what));
    auto put = store.database().prepare(
        "INSERT INTO consents (id, issuer, subject, client, name, resource, scopes, created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) "
        "ON CONFLICT (issuer, subject, client, resource) WHERE revoked IS NULL DO UPDATE SET name = excluded.name, scopes = excluded.scopes, changed = excluded.changed");
    put.bind(1, random_name("cns_")).bind(2, what.issuer).bind(3, what.subject).bind(4, what.client).bind(5, what.name).bind(6, what.resource);
    co_return put.bind(7, scopes_text(what.scopes)).bind(8, clock.wall_ns()).run();
  }

  awaitable<Result<std::optional<Consent>>> withdraw(std::string id, std::string issuer, std::string subject) {
    const auto turn = co_await turns.take();
    auto select = store.database().prepare(std::string("SELECT ") + kConsent + " FROM consents WHERE id = ? AND issuer = ? AND subject = ? AND revoked IS NULL");
    select.bind(1, id).bind(2, issuer).bind(3, subject);
    CO_TRY(const bool row, select.step());
    if (!row) co_return std::optional<Consent>();
    auto out = consent_of(select);
    CO_TRY_VOID(co_await record("consent.withdrawn", out));
    CO_TRY_VOID(store.database().prepare("UPDATE consents SET revoked = ? WHERE id = ?").bind(1, clock.wall_ns()).bind(2, id).run());
    co_return std::optional<Consent>(std::move(out));
  }

  awaitable<Result<RegisteredClient>> add_client(std::string name, std::string metadata, std::string peer, std::size_t most) {
    const auto turn = co_await turns.take();
    auto& db = store.database();
    const auto now = clock.wall_ns();
    CO_TRY_VOID(db.prepare("DELETE FROM oauth_clients WHERE (used = 0 AND created < ?) OR (used <> 0 AND used < ?)").bind(1, now - kHour).bind(2, now - kMonth).run());
    auto count = db.prepare("SELECT count(*) FROM oauth_clients");
    CO_TRY([[maybe_unused]] const bool row, count.step());
    if (count.integer(0) >= static_cast<std::int64_t>(most)) co_return fail(ErrorKind::Overloaded, "too many programs are registered; ask an administrator");
    RegisteredClient out{random_name("dcr_"), std::move(metadata), now, 0};
    using evidence::Field;
    evidence::Entry entry(evidence::Kind::AdminAction);
    entry.text(Field::Peer, peer).text(Field::Action, "client.registered").text(Field::Object, out.id).text(Field::Name, name);
    CO_TRY([[maybe_unused]] const auto index, co_await port->append(std::move(entry)));
    auto insert = db.prepare("INSERT INTO oauth_clients (id, metadata, peer, created, used) VALUES (?, ?, ?, ?, 0)");
    CO_TRY_VOID(insert.bind(1, out.id).bind(2, out.metadata).bind(3, peer).bind(4, now).run());
    co_return out;
  }
};

OAuthGrants::OAuthGrants(state::Store& store, evidence::Log& log, const Clock& clock) {
  auto begin = [&]() -> awaitable<std::shared_ptr<State>> { co_return std::make_shared<State>(store, log, clock); };  // its port belongs to that thread
  state_ = asio::co_spawn(store.context(), begin(), asio::use_future).get();
}

OAuthGrants::~OAuthGrants() {
  auto end = [](std::shared_ptr<State> state) -> awaitable<void> {
    const auto turn = co_await state->turns.take();
    state->port.reset();
  };
  auto state = std::move(state_);
  asio::co_spawn(state->store.context(), end(state), asio::use_future).get();
}

awaitable<Result<void>> OAuthGrants::consent(Consent what) {
  const auto state = state_;
  co_return co_await state->store.host(state->consent(std::move(what)));
}

awaitable<Result<std::optional<Consent>>> OAuthGrants::withdraw(std::string id, std::string issuer, std::string subject) {
  const auto state = state_;
  co_return co_await state->store.host(state->withdraw(std::move(id), std::move(issuer), std::move(subject)));
}

awaitable<Result<std::vector<Consent>>> OAuthGrants::consents(std::string issuer, std::string subject) {
  co_return co_await state_->store.run([issuer = std::move(issuer), subject = std::move(subject)](state::Database& db) -> Result<std::vector<Consent>> {
    auto select = db.prepare(std::string("SELECT ") + kConsent + " FROM consents WHERE issuer = ? AND subject = ? AND revoked IS NULL ORDER BY changed DESC LIMIT 1000");
    select.bind(1, issuer).bind(2, subject);
    std::vector<Consent> out;
    for (;;) {
      TRY(const bool row, select.step());
      if (!row) return out;
      out.push_back(consent_of(select));
    }
  });
}

awaitable<Result<std::string>> OAuthGrants::make_refresh(RefreshTerms terms) {
  std::array<std::uint8_t, 32> secret;
  random_bytes(secret);
  auto token = "sr_" + base64url(secret);
  const auto digest = sha256(as_bytes(token));
  CO_TRY_VOID(co_await state_->store.run([terms = std::move(terms), digest, now = state_->clock.wall_ns()](state::Database& db) -> Result<void> {
    TRY_VOID(db.prepare("DELETE FROM refresh_tokens WHERE expires < ?").bind(1, now - kDay).run());
    auto insert = db.prepare("INSERT INTO refresh_tokens (hash, sign_in, client, agent, resource, scopes, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    insert.bind_blob(1, digest).bind(2, terms.sign_in).bind(3, terms.client).bind(4, terms.agent).bind(5, terms.resource).bind(6, scopes_text(terms.scopes));
    return insert.bind(7, now).bind(8, terms.expires_wall_ns).run();
  }));
  co_return token;
}

awaitable<Result<RefreshUse>> OAuthGrants::use_refresh(std::string token, std::string client) {
  const auto digest = sha256(as_bytes(token));
  co_return co_await state_->store.run([digest, client = std::move(client), now = state_->clock.wall_ns()](state::Database& db) -> Result<RefreshUse> {
    auto select = db.prepare("SELECT sign_in, client, agent, resource, scopes, expires, used IS NOT NULL FROM refresh_tokens WHERE hash = ? AND client = ?");
    select.bind_blob(1, digest).bind(2, client);
    TRY(const bool row, select.step());
    if (!row || select.integer(5) <= now) return RefreshUse();
    RefreshUse out{RefreshUse::Outcome::Good, {select.text(0), select.text(1), select.text(2), select.text(3), parse_scopes(select.text(4)).value_or(Scopes()), select.integer(5)}};
    if (select.integer(6) != 0) out.outcome = RefreshUse::Outcome::Reused;
    else TRY_VOID(db.prepare("UPDATE refresh_tokens SET used = ? WHERE hash = ? AND used IS NULL").bind(1, now).bind_blob(2, digest).run());
    return out;
  });
}

awaitable<Result<void>> OAuthGrants::give_back_refresh(std::string token) {
  const auto digest = sha256(as_bytes(token));
  co_return co_await state_->store.run([digest](state::Database& db) { return db.prepare("UPDATE refresh_tokens SET used = NULL WHERE hash = ?").bind_blob(1, digest).run(); });
}

awaitable<Result<std::string>> OAuthGrants::sign_in_of_refresh(std::string token, std::string client) {
  const auto digest = sha256(as_bytes(token));
  co_return co_await state_->store.run([digest, client = std::move(client)](state::Database& db) -> Result<std::string> {
    auto select = db.prepare("SELECT sign_in FROM refresh_tokens WHERE hash = ? AND client = ?");
    TRY(const bool row, select.bind_blob(1, digest).bind(2, client).step());
    return row ? select.text(0) : std::string();
  });
}

awaitable<Result<RegisteredClient>> OAuthGrants::add_client(std::string name, std::string metadata, std::string peer, std::size_t most) {
  const auto state = state_;
  co_return co_await state->store.host(state->add_client(std::move(name), std::move(metadata), std::move(peer), most));
}

awaitable<Result<std::optional<RegisteredClient>>> OAuthGrants::find_client(std::string id) {
  co_return co_await state_->store.run([id = std::move(id)](state::Database& db) -> Result<std::optional<RegisteredClient>> {
    auto select = db.prepare("SELECT id, metadata, created, used FROM oauth_clients WHERE id = ?");
    TRY(const bool row, select.bind(1, id).step());
    if (!row) return std::optional<RegisteredClient>();
    return std::optional<RegisteredClient>({select.text(0), select.text(1), select.integer(2), select.integer(3)});
  });
}

awaitable<Result<void>> OAuthGrants::client_used(std::string id) {
  co_return co_await state_->store.run([id = std::move(id), now = state_->clock.wall_ns()](state::Database& db) {
    return db.prepare("UPDATE oauth_clients SET used = ? WHERE id = ?").bind(1, now).bind(2, id).run();
  });
}

}  // namespace sallyport::identity
