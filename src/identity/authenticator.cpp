#include "identity/authenticator.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <algorithm>
#include <optional>

#include "identity/attempts.h"
#include "identity/auth_record.h"
#include "identity/claims.h"
#include "identity/jwt.h"
#include "identity/key_source.h"
#include "identity/password.h"
#include "identity/token_cache.h"

namespace sallyport::identity {

namespace asio = boost::asio;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kGoodFor = 60 * kSecond, kBadFor = 5 * kSecond, kPurgeEvery = 600 * kSecond;
constexpr std::size_t kGoodTokens = 10'000, kBadTokens = 2'000;
constexpr std::size_t kNameFailures = 5, kPeerFailures = 20;  // a minute
constexpr int kMaxChecks = 16;                                // 64 MiB each, two at once
constexpr std::string_view kPrefix = "sp_";
constexpr std::size_t kOpaqueLength = 3 + 43;                 // 32 bytes in base64url

bool is_agent_name(std::string_view name) {
  return name.size() <= 64 && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
         });
}

PrincipalPtr local_principal(const std::string& name, const LocalUser& user, std::string agent, const Digest& credential, std::int64_t expires) {
  auto principal = std::make_shared<Principal>();
  principal->subject = name;
  principal->issuer = "local";
  principal->groups = user.groups;
  std::ranges::sort(principal->groups);
  principal->groups.erase(std::unique(principal->groups.begin(), principal->groups.end()), principal->groups.end());
  principal->agent = std::move(agent);
  principal->service = user.service;
  principal->method = "local-token";
  principal->credential = credential;
  principal->expires_wall_ns = expires;
  return principal;
}

PrincipalPtr oidc_principal(Claims claims, const OidcConfig& config, const Digest& credential) {
  auto principal = std::make_shared<Principal>();
  principal->subject = std::move(claims.subject);
  principal->issuer = config.issuer;
  principal->email = std::move(claims.email);
  principal->display_name = std::move(claims.name);
  principal->groups = std::move(claims.groups);
  principal->agent = std::move(claims.agent);
  principal->service = claims.service;
  principal->method = "oidc";
  principal->credential = credential;
  principal->expires_wall_ns = claims.expires_wall_ns;
  return principal;
}

struct Stored {
  std::string user, agent;
  std::int64_t expires = 0;
};

/// One issuer may stand in the configuration for several audiences: the one that the token is for, else the first.
const OidcConfig* find_issuer(const IdentityConfig& config, const json::Value& payload, std::int64_t now) {
  const auto issuer = payload["iss"];
  const OidcConfig* first = nullptr;
  for (const auto& oidc : config.oidc) {
    if (!issuer.is_string() || oidc.issuer != issuer.as_string()) continue;
    if (first == nullptr) first = &oidc;
    const auto claims = read_claims(payload, oidc, now);
    if (claims || claims.error() != Reason::WrongAudience) return &oidc;
  }
  return first;
}

}  // namespace

struct Authenticator::State {
  asio::io_context& context;
  std::shared_ptr<const IdentityConfig> config;
  std::shared_ptr<KeySource> keys;
  state::Store& store;
  const Clock& clock;
  std::shared_ptr<AuthRecord> record;
  TokenCache<PrincipalPtr> good{kGoodTokens};
  TokenCache<Reason> bad{kBadTokens};
  std::uint64_t generation = 0;  // of the configuration
  Attempts by_name{kNameFailures}, by_peer{kPeerFailures};
  int checks = 0;                // passwords in the pool
  std::int64_t next_purge = 0;
  std::optional<asio::thread_pool> pool;  // from the first password on: only one worker has the admin's endpoint

  State(asio::io_context& c, std::shared_ptr<const IdentityConfig> cfg, std::shared_ptr<KeySource> k, state::Store& s,
        evidence::Port& port, const Clock& t)
      : context(c), config(std::move(cfg)), keys(std::move(k)), store(s), clock(t),
        record(std::make_shared<AuthRecord>(c, port, t)) {}

  asio::awaitable<Judged<PrincipalPtr>> judge_opaque(const Digest digest) {
    auto found = co_await store.run([digest](state::Database& db) -> Result<std::optional<Stored>> {
      auto query = db.prepare("SELECT user, agent, expires FROM tokens WHERE hash = ?");
      query.bind_blob(1, digest);
      TRY(const bool row, query.step());
      if (!row) return std::optional<Stored>();
      return std::optional<Stored>(Stored{query.text(0), query.text(1), query.integer(2)});
    });
    if (!found) co_return std::unexpected(Reason::StateUnavailable);
    if (!*found) co_return std::unexpected(Reason::UnknownToken);
    auto& stored = **found;
    if (clock.wall_ns() >= stored.expires) co_return std::unexpected(Reason::Expired);
    const auto user = config->users.find(stored.user);
    if (user == config->users.end()) co_return std::unexpected(Reason::UnknownUser);
    co_return local_principal(user->first, user->second, std::move(stored.agent), digest, stored.expires);
  }

  asio::awaitable<Judged<PrincipalPtr>> judge_jwt(std::string_view token, const Digest digest) {
    auto jwt = Jwt::parse(token);
    if (!jwt) co_return std::unexpected(jwt.error());
    // Held over the waits: a reload replaces both.
    const auto cfg = config;
    const auto source = keys;
    const auto* oidc = find_issuer(*cfg, jwt->payload(), clock.wall_ns());
    if (oidc == nullptr || !source) co_return std::unexpected(Reason::UnknownIssuer);
    // Judged before any key is asked for, so that a stale or foreign token makes nobody fetch; and believed only below.
    auto claims = read_claims(jwt->payload(), *oidc, clock.wall_ns());
    if (!claims) co_return std::unexpected(claims.error());
    if (std::ranges::find(oidc->algorithms, to_string(jwt->algorithm())) == oidc->algorithms.end()) {
      co_return std::unexpected(Reason::AlgorithmNotAllowed);
    }
    auto set = co_await source->keys(oidc->issuer, jwt->kid());
    if (!set) co_return std::unexpected(Reason::KeysUnavailable);
    const auto verified = jwt->verify(**set, oidc->algorithms);
    if (!verified) co_return std::unexpected(verified.error());
    claims = read_claims(jwt->payload(), *oidc, clock.wall_ns());  // the wait may have outlived the token
    if (!claims) co_return std::unexpected(claims.error());
    co_return oidc_principal(std::move(*claims), *oidc, digest);
  }

  asio::awaitable<Judged<PrincipalPtr>> judge(std::string_view token, const Digest digest) {
    if (token.size() > kMaxJwtBytes) co_return std::unexpected(Reason::Malformed);
    if (!token.starts_with(kPrefix)) co_return co_await judge_jwt(token, digest);
    if (token.size() != kOpaqueLength) co_return std::unexpected(Reason::Malformed);
    co_return co_await judge_opaque(digest);
  }

  /// On the pool: two checks at once, so that guessing passwords cannot take the machine's memory.
  asio::awaitable<bool> password_holds(std::string encoded, std::string password) {
    if (!pool) pool.emplace(2);
    auto task = [](std::string hash, std::string given) -> asio::awaitable<bool> { co_return check_password(hash, given); };
    ++checks;
    const bool same = co_await asio::co_spawn(pool->get_executor(), task(std::move(encoded), std::move(password)), asio::use_awaitable);
    --checks;
    co_return same;
  }

  asio::awaitable<Result<void>> keep(Digest digest, std::string user, std::string agent, std::string peer, std::int64_t expires, ScramVerifier scram) {
    const auto now = clock.wall_ns();
    const bool purge = clock.mono_ns() >= next_purge;
    if (purge) next_purge = clock.mono_ns() + kPurgeEvery;
    auto work = [=](state::Database& db) -> Result<void> {
      if (purge) TRY_VOID(db.prepare("DELETE FROM tokens WHERE expires < ?").bind(1, now).run());
      auto insert = db.prepare("INSERT INTO tokens (hash, user, agent, peer, created, expires, scram_stored, scram_server) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
      insert.bind_blob(1, digest).bind(2, user).bind(3, agent).bind(4, peer).bind(5, now).bind(6, expires).bind_blob(7, scram.stored_key).bind_blob(8, scram.server_key);
      return insert.run();
    };
    co_return co_await store.run(std::move(work));
  }

  /// The password and its limits. The reason of a refusal, or the user as configured now.
  asio::awaitable<Judged<LocalUser>> check_user(const std::string& name, std::string password, const std::string& peer) {
    const auto began = clock.mono_ns();
    const auto address = address_of(peer);
    if (name.empty() || name.size() > 256 || password.size() > kMaxPassword) co_return std::unexpected(Reason::WrongPassword);
    if (checks >= kMaxChecks || !by_peer.begin(address, began)) co_return std::unexpected(Reason::RateLimited);
    if (!by_name.begin(name, began)) co_return std::unexpected(Reason::RateLimited);
    std::string encoded;
    if (const auto user = config->users.find(name); user != config->users.end()) {
      auto hash = user->second.password_hash.read();
      if (!hash) co_return std::unexpected(Reason::StateUnavailable);
      encoded = std::move(*hash);
    }
    const bool same = co_await password_holds(std::move(encoded), std::move(password));
    if (!same) co_return std::unexpected(Reason::WrongPassword);
    by_name.give_back(name, began);
    by_peer.give_back(address, began);
    const auto user = config->users.find(name);  // a reload may have come meanwhile
    if (user == config->users.end()) co_return std::unexpected(Reason::UnknownUser);
    co_return user->second;
  }
};

Authenticator::Authenticator(asio::io_context& context, std::shared_ptr<const IdentityConfig> config, std::shared_ptr<KeySource> keys,
                             state::Store& store, evidence::Port& port, const Clock& clock)
    : state_(std::make_unique<State>(context, std::move(config), std::move(keys), store, port, clock)) {}

Authenticator::~Authenticator() = default;

asio::awaitable<Result<PrincipalPtr>> Authenticator::authenticate(std::string token, std::string peer) {
  const auto digest = sha256(as_bytes(token));
  co_return co_await authenticate(std::move(token), digest, "bearer", std::move(peer));
}

asio::awaitable<Result<PrincipalPtr>> Authenticator::proven(Digest token, std::string peer) {
  co_return co_await authenticate(std::string(), token, "scram", std::move(peer));
}

asio::awaitable<Error> Authenticator::not_proven(std::string peer, std::string user) {
  const std::string known = state_->config->users.contains(user) ? user : std::string();
  co_return co_await state_->record->failed(Reason::WrongPassword, "scram", std::move(peer), known);
}

asio::awaitable<Result<PrincipalPtr>> Authenticator::certified(std::string name, std::string peer) {
  auto& state = *state_;
  const auto user = state.config->users.find(name);
  if (user == state.config->users.end()) co_return std::unexpected(co_await state.record->failed(Reason::UnknownUser, "certificate", peer));
  auto principal = local_principal(user->first, user->second, "", sha256(as_bytes("certificate\n" + name)), 0);
  auto recorded = co_await state.record->succeeded(principal, "certificate", peer);
  if (!recorded) co_return std::unexpected(std::move(recorded).error());
  co_return principal;
}

asio::awaitable<Result<ScramSet>> Authenticator::scram(std::string user) {
  ScramSet out;
  out.salt = scram_salt(user);
  if (!state_->config->users.contains(user)) co_return out;
  const auto now = state_->clock.wall_ns();
  using Found = std::vector<std::array<Bytes, 3>>;
  auto found = co_await state_->store.run([user, now](state::Database& db) -> Result<Found> {
    Found rows;
    auto query = db.prepare("SELECT hash, scram_stored, scram_server FROM tokens WHERE user = ? AND expires > ? AND scram_stored IS NOT NULL "
                            "ORDER BY created DESC LIMIT 64");
    query.bind(1, user).bind(2, now);
    for (;;) {
      TRY(const bool row, query.step());
      if (!row) return rows;
      rows.push_back({query.blob(0), query.blob(1), query.blob(2)});
    }
  });
  if (!found) co_return std::unexpected(std::move(found).error());
  for (const auto& [hash, stored, server] : *found) {
    if (hash.size() != 32 || stored.size() != 32 || server.size() != 32) continue;
    std::ranges::copy(hash, out.tokens.emplace_back().begin());
    auto& verifier = out.verifiers.emplace_back();
    std::ranges::copy(stored, verifier.stored_key.begin());
    std::ranges::copy(server, verifier.server_key.begin());
  }
  co_return out;
}

asio::awaitable<Result<PrincipalPtr>> Authenticator::authenticate(std::string token, Digest digest, std::string action, std::string peer) {
  auto& state = *state_;
  if (const auto* known = state.good.find(digest, state.clock.mono_ns())) {
    auto principal = *known;
    if (state.clock.wall_ns() < principal->expires_wall_ns) co_return principal;
  }
  if (const auto* known = state.bad.find(digest, state.clock.mono_ns())) {
    const auto reason = *known;
    co_return std::unexpected(co_await state.record->failed(reason, action, peer));
  }
  // A verdict by a configuration that a reload has replaced meanwhile counts for nothing.
  while (true) {
    const auto generation = state.generation;
    auto judged = token.empty() ? co_await state.judge_opaque(digest) : co_await state.judge(token, digest);
    if (generation != state.generation) continue;
    if (!judged) {
      const auto reason = judged.error();
      const bool passing = reason == Reason::KeysUnavailable || reason == Reason::StateUnavailable;
      if (!passing) state.bad.put(digest, reason, state.clock.mono_ns() + kBadFor);
      co_return std::unexpected(co_await state.record->failed(reason, action, peer));
    }
    auto recorded = co_await state.record->succeeded(*judged, action, peer);
    if (!recorded) co_return std::unexpected(std::move(recorded).error());
    if (generation != state.generation) continue;
    const auto left = (*judged)->expires_wall_ns - state.clock.wall_ns();
    state.good.put(digest, *judged, state.clock.mono_ns() + std::clamp<std::int64_t>(left, 0, kGoodFor));
    co_return *judged;
  }
}

asio::awaitable<Result<IssuedToken>> Authenticator::issue(std::string user, std::string password, std::int64_t lifetime_ns,
                                                          std::string agent, std::string peer) {
  auto& state = *state_;
  constexpr auto kAction = "token.issue";
  const std::string known = state.config->users.contains(user) ? user : std::string();
  if (!is_agent_name(agent)) co_return std::unexpected(co_await state.record->failed(Reason::BadAgentName, kAction, peer, known));
  auto checked = co_await state.check_user(user, std::move(password), peer);
  if (!checked) co_return std::unexpected(co_await state.record->failed(checked.error(), kAction, peer, known));
  const auto longest = state.config->token_lifetime_ns;
  const auto lifetime = lifetime_ns <= 0 ? longest : lifetime_ns;
  if (lifetime > longest) co_return std::unexpected(co_await state.record->failed(Reason::BadLifetime, kAction, peer, known));

  std::array<std::uint8_t, 32> secret;
  random_bytes(secret);
  IssuedToken issued;
  issued.token = std::string(kPrefix) + base64url(secret);
  const auto digest = sha256(as_bytes(issued.token));
  const auto expires = state.clock.wall_ns() + lifetime;
  issued.principal = local_principal(user, *checked, agent, digest, expires);
  // The entry first: a token that works without a record of its birth must not exist.
  auto recorded = co_await state.record->succeeded(issued.principal, kAction, peer);
  if (!recorded) co_return std::unexpected(std::move(recorded).error());
  auto kept = co_await state.keep(digest, user, std::move(agent), peer, expires, scram_verifier(issued.token, scram_salt(user), kScramIterations));
  if (!kept) co_return std::unexpected(co_await state.record->failed(Reason::StateUnavailable, kAction, peer, known));
  co_return issued;
}

void Authenticator::reconfigure(std::shared_ptr<const IdentityConfig> config, std::shared_ptr<KeySource> keys) {
  state_->config = std::move(config);
  state_->keys = std::move(keys);
  ++state_->generation;
  state_->good.clear();
  state_->bad.clear();
}

}  // namespace sallyport::identity
