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
#include "identity/scope.h"
#include "identity/token_cache.h"
#include "identity/totp.h"

namespace sallyport::identity {

namespace asio = boost::asio;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kGoodFor = 60 * kSecond, kBadFor = 5 * kSecond;
constexpr std::int64_t kBreakGlassLife = 3600 * kSecond;
constexpr std::size_t kGoodTokens = 10'000, kBadTokens = 2'000;
constexpr std::size_t kNameFailures = 5, kPeerFailures = 20;  // a minute
constexpr int kMaxChecks = 16;                                // 64 MiB each, two at once
constexpr std::string_view kPrefix = "sp_";
constexpr std::size_t kOpaqueLength = 3 + 43;                 // 32 bytes in base64url

/// A local user who proved it otherwise than by a token; the groups are the directory's to say.
PrincipalPtr local_principal(const LocalUser& user, std::string method, const Digest& credential, std::int64_t now) {
  auto principal = std::make_shared<Principal>();
  principal->subject = user.name;
  principal->issuer = "local";
  principal->service = user.service;
  principal->method = std::move(method);
  principal->credential = credential;
  principal->issued_wall_ns = now;
  return principal;
}

PrincipalPtr oidc_principal(Claims claims, const OidcConfig& config, const Digest& credential, std::string bound) {
  auto principal = std::make_shared<Principal>();
  principal->resource = std::move(bound);
  principal->subject = std::move(claims.subject);
  principal->issuer = config.issuer;
  principal->email = std::move(claims.email);
  principal->display_name = std::move(claims.name);
  principal->given_groups = std::move(claims.groups);
  principal->agent = std::move(claims.agent);
  principal->service = claims.service;
  principal->scoped = true;
  principal->scopes = std::move(claims.scopes);
  principal->method = "oidc";
  principal->credential = credential;
  principal->issued_wall_ns = claims.issued_wall_ns;
  principal->expires_wall_ns = claims.expires_wall_ns;
  return principal;
}

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

bool is_agent_name(std::string_view name) {
  return name.size() <= 64 && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
         });
}

struct Authenticator::State {
  asio::io_context& context;
  std::shared_ptr<const IdentityConfig> config;
  std::shared_ptr<KeySource> keys;
  Directory& directory;
  const Clock& clock;
  std::shared_ptr<AuthRecord> record;
  TokenCache<PrincipalPtr> good{kGoodTokens};
  TokenCache<Reason> bad{kBadTokens};
  std::uint64_t generation = 0;  // of the configuration
  Attempts by_name{kNameFailures}, by_peer{kPeerFailures};
  int checks = 0;                // passwords in the pool
  std::optional<asio::thread_pool> pool;  // from the first password on: only one worker has the admin's endpoint

  State(asio::io_context& c, std::shared_ptr<const IdentityConfig> cfg, std::shared_ptr<KeySource> k, Directory& d,
        evidence::Port& port, const Clock& t)
      : context(c), config(std::move(cfg)), keys(std::move(k)), directory(d), clock(t),
        record(std::make_shared<AuthRecord>(c, port, t)) {}

  /// Claims for the configured audience, or for the address that is asked for (RFC 8707); `bound` is then that address.
  Judged<Claims> claims_for(const json::Value& payload, const OidcConfig& oidc, const std::string& resource, std::string& bound) const {
    auto claims = read_claims(payload, oidc, clock.wall_ns());
    const auto authority = resource.find("://");
    for (auto at = resource; authority != at.npos && !claims && claims.error() == Reason::WrongAudience && at.size() > authority + 3; at.resize(at.rfind('/'))) {
      auto narrowed = oidc;
      narrowed.audience = bound = at;
      claims = read_claims(payload, narrowed, clock.wall_ns());
    }
    return claims;
  }

  asio::awaitable<Judged<PrincipalPtr>> judge_jwt(std::string_view token, const Digest digest, const std::string resource) {
    auto jwt = Jwt::parse(token);
    if (!jwt) co_return std::unexpected(jwt.error());
    // Held over the waits: a reload replaces both.
    const auto cfg = config;
    const auto source = keys;
    const auto* oidc = find_issuer(*cfg, jwt->payload(), clock.wall_ns());
    if (oidc == nullptr || !source) co_return std::unexpected(Reason::UnknownIssuer);
    // Judged before any key is asked for, so that a stale or foreign token makes nobody fetch; and believed only below.
    std::string bound;
    auto claims = claims_for(jwt->payload(), *oidc, resource, bound);
    if (!claims) co_return std::unexpected(claims.error());
    if (std::ranges::find(oidc->algorithms, to_string(jwt->algorithm())) == oidc->algorithms.end()) {
      co_return std::unexpected(Reason::AlgorithmNotAllowed);
    }
    auto set = co_await source->keys(oidc->issuer, jwt->kid());
    if (!set) co_return std::unexpected(Reason::KeysUnavailable);
    const auto verified = jwt->verify(**set, oidc->algorithms);
    if (!verified) co_return std::unexpected(verified.error());
    claims = claims_for(jwt->payload(), *oidc, resource, bound);  // the wait may have outlived the token
    if (!claims) co_return std::unexpected(claims.error());
    co_return directory.current(oidc_principal(std::move(*claims), *oidc, digest, std::move(bound)));
  }

  asio::awaitable<Judged<PrincipalPtr>> judge(std::string_view token, const Digest digest, Door door, std::string resource) {
    if (token.size() > kMaxJwtBytes) co_return std::unexpected(Reason::Malformed);
    if (!token.starts_with(kPrefix)) co_return co_await judge_jwt(token, digest, std::move(resource));
    if (token.size() != kOpaqueLength) co_return std::unexpected(Reason::Malformed);
    co_return co_await directory.judge(digest, door);
  }

  /// On the pool: two checks at once, so that guessing passwords cannot take the machine's memory.
  asio::awaitable<bool> password_holds(std::string encoded, std::string password) {
    if (!pool) pool.emplace(2);
    auto task = [](std::string hash, std::string given) -> asio::awaitable<bool> { co_return identity::check_password(hash, given); };
    ++checks;
    const bool same = co_await asio::co_spawn(pool->get_executor(), task(std::move(encoded), std::move(password)), asio::use_awaitable);
    --checks;
    co_return same;
  }

  /// What the user shows, and its limits. The reason of a refusal, or the user as configured now. A code is looked at even after a wrong
  /// password, so that the answer does not tell which of them was wrong.
  asio::awaitable<Judged<LocalUser>> check_user(PasswordProof proof, const std::string& peer) {
    const auto began = clock.mono_ns();
    const auto address = address_of(peer);
    const auto name = proof.user;
    if (name.empty() || name.size() > 256 || proof.password.size() > kMaxPassword || proof.code.size() > 16) co_return std::unexpected(Reason::WrongPassword);
    if (checks >= kMaxChecks || !by_peer.begin(address, began)) co_return std::unexpected(Reason::RateLimited);
    if (!by_name.begin(name, began)) co_return std::unexpected(Reason::RateLimited);
    std::string encoded;
    if (const auto user = config->users.find(name); user != config->users.end()) {
      const auto& reference = proof.break_glass ? user->second.break_glass_hash : user->second.password_hash;
      auto hash = reference.set() ? reference.read() : Result<std::string>(std::string());
      if (!hash) co_return std::unexpected(Reason::StateUnavailable);
      encoded = std::move(*hash);
    }
    const bool same = co_await password_holds(std::move(encoded), std::move(proof.password));
    const auto user = config->users.find(name);  // a reload may have come meanwhile
    bool code_holds = true;
    if (user != config->users.end() && user->second.totp.set()) {
      const auto secret = user->second.totp.read();
      if (!secret) co_return std::unexpected(Reason::StateUnavailable);
      const auto step = check_totp(*secret, proof.code, co_await directory.totp_step(name), clock.wall_ns());
      code_holds = step.has_value();
      // Spent with the first password that is right; whoever comes second with the same code is refused.
      if (same && step && !co_await directory.spend_totp(name, *step)) co_return std::unexpected(Reason::WrongCode);
    }
    if (!same) co_return std::unexpected(Reason::WrongPassword);
    if (!code_holds) co_return std::unexpected(Reason::WrongCode);
    by_name.give_back(name, began);
    by_peer.give_back(address, began);
    if (user == config->users.end()) co_return std::unexpected(Reason::UnknownUser);
    co_return user->second;
  }
};

Authenticator::Authenticator(asio::io_context& context, std::shared_ptr<const IdentityConfig> config, std::shared_ptr<KeySource> keys,
                             Directory& directory, evidence::Port& port, const Clock& clock)
    : state_(std::make_unique<State>(context, std::move(config), std::move(keys), directory, port, clock)) {}

Authenticator::~Authenticator() = default;

asio::awaitable<Result<PrincipalPtr>> Authenticator::authenticate(std::string token, Door door, std::string peer, std::string resource) {
  const auto digest = sha256(as_bytes(token));
  co_return co_await authenticate(std::move(token), digest, door, "bearer", std::move(peer), std::move(resource));
}

asio::awaitable<Result<PrincipalPtr>> Authenticator::proven(Digest token, std::string peer) {
  co_return co_await authenticate(std::string(), token, Door::Database, "scram", std::move(peer), "");
}

asio::awaitable<Error> Authenticator::not_proven(std::string peer, std::string user) {
  const std::string known = state_->config->users.contains(user) ? user : std::string();
  co_return co_await state_->record->failed(Reason::WrongPassword, "scram", std::move(peer), known);
}

asio::awaitable<Result<PrincipalPtr>> Authenticator::certified(std::string name, std::string peer) {
  auto& state = *state_;
  const auto user = state.config->users.find(name);
  if (user == state.config->users.end()) co_return std::unexpected(co_await state.record->failed(Reason::UnknownUser, "certificate", peer));
  const auto credential = sha256(as_bytes("certificate\n" + name));
  // A client may bring it with every connection: on record once a minute, as a token is.
  if (const auto* known = state.good.find(credential, state.clock.mono_ns()))
    if (const auto standing = state.directory.current(*known)) co_return *standing;
  const auto principal = state.directory.current(local_principal(user->second, "certificate", credential, state.clock.wall_ns()));
  if (!principal) co_return std::unexpected(co_await state.record->failed(principal.error(), "certificate", peer, name));
  auto recorded = co_await state.record->succeeded(*principal, "certificate", peer);
  if (!recorded) co_return std::unexpected(std::move(recorded).error());
  state.good.put(credential, *principal, state.clock.mono_ns() + kGoodFor);
  co_return *principal;
}

asio::awaitable<Result<ScramSet>> Authenticator::scram(std::string login) { co_return co_await state_->directory.scram(std::move(login)); }

asio::awaitable<Result<PrincipalPtr>> Authenticator::authenticate(std::string token, Digest digest, Door door, std::string action, std::string peer,
                                                                   std::string resource) {
  auto& state = *state_;
  const auto now = state.clock.mono_ns();
  // The verdict of one door says nothing about another.
  auto key = digest;
  key.back() ^= static_cast<std::uint8_t>(door);
  // One that was judged for another address is judged again: a JWT may name several.
  if (const auto* known = state.good.find(key, now); known != nullptr && covers((*known)->resource, resource)) {
    const auto standing = state.directory.current(*known);
    if (standing) co_return *standing;
    if (standing.error() != Reason::Expired) co_return std::unexpected(co_await state.record->failed(standing.error(), action, peer, (*known)->subject));
  }
  if (const auto* known = state.bad.find(key, now)) {
    const auto reason = *known;
    co_return std::unexpected(co_await state.record->failed(reason, action, peer));
  }
  // A verdict by a configuration that a reload has replaced meanwhile counts for nothing.
  while (true) {
    const auto generation = state.generation;
    auto judged = token.empty() ? co_await state.directory.judge(digest, door) : co_await state.judge(token, digest, door, resource);
    if (generation != state.generation) continue;
    if (judged && !covers((*judged)->resource, resource)) judged = std::unexpected(Reason::WrongAudience);
    if (!judged) {
      const auto reason = judged.error();
      const bool passing = reason == Reason::KeysUnavailable || reason == Reason::StateUnavailable || reason == Reason::WrongAudience;
      if (!passing) state.bad.put(key, reason, state.clock.mono_ns() + kBadFor);
      co_return std::unexpected(co_await state.record->failed(reason, action, peer));
    }
    auto recorded = co_await state.record->succeeded(*judged, action, peer);
    if (!recorded) co_return std::unexpected(std::move(recorded).error());
    if (generation != state.generation) continue;
    const auto left = (*judged)->expires_wall_ns - state.clock.wall_ns();
    state.good.put(key, *judged, state.clock.mono_ns() + std::clamp<std::int64_t>(left, 0, kGoodFor));
    co_return *judged;
  }
}

asio::awaitable<Result<IssuedToken>> Authenticator::issue(PasswordProof proof, TokenTerms terms, std::int64_t lifetime_ns) {
  auto& state = *state_;
  const char* action = proof.break_glass ? "token.issue.break-glass" : "token.issue";
  const auto user = proof.user;
  const bool break_glass = proof.break_glass;
  const auto peer = terms.peer;
  const std::string known = state.config->users.contains(user) ? user : std::string();
  if (!is_agent_name(terms.agent) || (break_glass && !terms.agent.empty())) co_return std::unexpected(co_await state.record->failed(Reason::BadAgentName, action, peer, known));
  auto checked = co_await state.check_user(std::move(proof), peer);
  if (!checked) co_return std::unexpected(co_await state.record->failed(checked.error(), action, peer, known));
  const auto longest = break_glass ? std::min(state.config->token_lifetime_ns, kBreakGlassLife) : state.config->token_lifetime_ns;
  const auto lifetime = lifetime_ns <= 0 ? longest : lifetime_ns;
  if (lifetime > longest) co_return std::unexpected(co_await state.record->failed(Reason::BadLifetime, action, peer, known));
  terms.issuer = "local";
  terms.subject = terms.login = user;
  terms.method = break_glass ? "break-glass" : "token";
  terms.expires_wall_ns = state.clock.wall_ns() + lifetime;
  co_return co_await state.directory.issue(std::move(terms));
}

asio::awaitable<Result<PrincipalPtr>> Authenticator::check_password(PasswordProof proof, std::string action, std::string peer) {
  auto& state = *state_;
  const std::string known = state.config->users.contains(proof.user) ? proof.user : std::string();
  proof.break_glass = false;
  auto checked = co_await state.check_user(std::move(proof), peer);
  if (!checked) co_return std::unexpected(co_await state.record->failed(checked.error(), action, peer, known));
  const auto principal = state.directory.current(local_principal(*checked, "password", {}, state.clock.wall_ns()));
  if (!principal) co_return std::unexpected(co_await state.record->failed(principal.error(), action, peer, known));
  co_return *principal;
}

asio::awaitable<Error> Authenticator::failed(Reason reason, std::string action, std::string peer, std::string subject) {
  co_return co_await state_->record->failed(reason, std::move(action), std::move(peer), std::move(subject));
}

void Authenticator::reconfigure(std::shared_ptr<const IdentityConfig> config, std::shared_ptr<KeySource> keys) {
  state_->config = std::move(config);
  state_->keys = std::move(keys);
  ++state_->generation;
  state_->good.clear();
  state_->bad.clear();
}

}  // namespace sallyport::identity
