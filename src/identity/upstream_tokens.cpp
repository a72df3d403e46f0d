#include "identity/upstream_tokens.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <array>
#include <map>
#include <mutex>
#include <set>

#include "identity/key_source.h"
#include "state/turns.h"

namespace sallyport::identity {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000, kMinute = 60 * kSecond;
constexpr std::int64_t kEarly = kMinute;             // before its end, or a fifth of its life, a token is renewed
constexpr std::int64_t kUnsaid = 3600 * kSecond;     // life of a token that does not say
constexpr std::int64_t kLook = kMinute;              // a person's token is looked up again after this: it may have been taken back
constexpr std::int64_t kEndpointLife = 3600 * kSecond, kPause = 5 * kSecond;
constexpr std::size_t kHost = 8;                      // no address has its third slash before it
constexpr std::size_t kMaxCached = 20'000, kMaxSpoiled = 20'000;

/// Whose token at which target; person "" is the gateway itself.
using Account = std::pair<std::string, std::string>;

struct Cached {
  UpstreamClientPtr client;   // another configuration of the target asks for another token
  std::string access;
  std::int64_t until_wall_ns = 0;
};

struct Failure {
  Error error;
  std::int64_t until_mono_ns = 0;
};


std::string kept_text(const UpstreamToken& token) {
  return fmt::format(R"({{"access":{},"refresh":{},"expires":{},"issuer":{}}})", json::quote(token.access), json::quote(token.refresh), token.expires_wall_ns, json::quote(token.issuer));
}

std::pair<std::string, std::string> split(const std::string& person) {
  const auto end = person.find('\n');
  return end == person.npos ? std::pair(person, std::string()) : std::pair(person.substr(0, end), person.substr(end + 1));
}

/// A token opens for the server that gave it only: a target that is configured anew begins anew.
std::string bound_to(const Account& account, const UpstreamClient& client) {
  return fmt::format("upstream token of {}\n{}\n{}\n{}\n{}\n{}\n{}", account.first, account.second, client.issuer, client.token_endpoint, client.id, client.resource, client.target_url);
}

std::int64_t good_until(const UpstreamToken& token, std::int64_t now) {
  if (token.expires_wall_ns == 0) return now + kUnsaid;
  return token.expires_wall_ns - std::min(kEarly, std::max<std::int64_t>(0, token.expires_wall_ns - now) / 5);
}

}  // namespace

struct UpstreamTokens::State {
  State(state::Store& s, evidence::Log& log, const Vault& v, const Clock& c)
      : store(s), vault(v), clock(c), port(std::make_unique<evidence::Port>(log, s.context())) {
    for (auto& one : turns) one = std::make_unique<state::Turns>(s.context());
  }

  // The store's thread.
  state::Store& store;
  const Vault& vault;
  const Clock& clock;
  std::unique_ptr<evidence::Port> port;
  std::array<std::unique_ptr<state::Turns>, 64> turns;   // of accounts, by hash: one request at a time for each
  struct Server {
    explicit Server(asio::io_context& context) : turns(context) {}
    state::Turns turns;
    Failure down;
  };
  std::map<std::string, Server> servers;   // by scheme, host and port; never erased, for somebody may wait there
  std::map<Account, Failure> failures;
  std::map<std::string, std::pair<UpstreamEndpoints, std::int64_t>> found;   // by client; until
  asio::thread_pool pool{4};
  std::string own_origin;

  // Any thread.
  std::mutex guard;
  std::map<Account, Cached> cached;
  std::set<Digest> spoiled;                              // tokens that a target refused

  static Account account_of(const UpstreamClient& client, const std::string& target, const std::string& person) {
    return {target, client.grant == UpstreamClient::Grant::AuthorizationCode ? person : std::string()};
  }
  state::Turns& turns_of(const Account& account) { return *turns[std::hash<std::string>{}(account.first + "\n" + account.second) % turns.size()]; }

  std::optional<std::string> ready(const UpstreamClientPtr& client, const Account& account) {
    const std::scoped_lock lock(guard);
    const auto at = cached.find(account);
    if (at == cached.end()) return std::nullopt;
    if (at->second.client == client && clock.wall_ns() < at->second.until_wall_ns) return at->second.access;
    cached.erase(at);
    return std::nullopt;
  }
  void put(const UpstreamClientPtr& client, const Account& account, const UpstreamToken& token) {
    const auto now = clock.wall_ns();
    auto until = good_until(token, now);
    if (!account.second.empty()) until = std::min(until, now + kLook);
    const std::scoped_lock lock(guard);
    if (cached.size() >= kMaxCached) std::erase_if(cached, [&](const auto& one) { return one.second.until_wall_ns <= now; });
    if (cached.size() >= kMaxCached) cached.erase(cached.begin());
    cached[account] = {client, token.access, until};
  }
  void forget(const Account& account) {
    const std::scoped_lock lock(guard);
    cached.erase(account);
  }
  bool is_spoiled(const std::string& token) {
    const std::scoped_lock lock(guard);
    return spoiled.contains(sha256(as_bytes(token)));
  }

  /// One at a time to each server: one that hangs takes one of the pool's threads, and the others' tokens are renewed all the same. Who waited
  /// behind a call that failed does not try what has just failed.
  awaitable<Result<ProviderAnswer>> call(ProviderCall what) {
    auto& server = servers.try_emplace(what.url.substr(0, what.url.find('/', kHost)), store.context()).first->second;
    const auto turn = co_await server.turns.take();
    if (clock.mono_ns() < server.down.until_mono_ns) co_return std::unexpected(server.down.error);
    auto work = [](ProviderCall one) -> awaitable<Result<ProviderAnswer>> { co_return curl_call(one); };
    auto answer = co_await asio::co_spawn(pool.get_executor(), work(std::move(what)), asio::use_awaitable);
    if (!answer) server.down = {answer.error(), clock.mono_ns() + kPause};
    co_return answer;
  }

  /// A call to an address: one that the configuration names, or one that somebody else did and that must be a public one.
  static ProviderCall to(const UpstreamClient& client, std::string url) {
    ProviderCall out;
    const auto host = host_of_url(url);
    const bool named = url == client.token_endpoint || url == client.revocation_endpoint || host == host_of_url(client.issuer) || (client.issuer.empty() && host == host_of_url(client.target_url));
    out.url = std::move(url);
    out.ca_file = client.ca_file;
    out.guarded = !named;
    out.private_hosts = client.private_hosts;
    return out;
  }

  /// The first of these that is JSON.
  awaitable<Result<json::Document>> document(const UpstreamClient& client, std::vector<std::string> urls) {
    Error last(ErrorKind::Unavailable, "there is nowhere to ask");
    for (auto& url : urls) {
      auto answer = co_await call(to(client, url));
      if (!answer) {
        last = answer.error();
        continue;
      }
      auto parsed = answer->status == 200 ? json::Document::parse(std::move(answer->body), {.max_bytes = 256u << 10, .max_depth = 16, .max_nodes = 10'000})
                                          : Result<json::Document>(fail(ErrorKind::Unavailable, fmt::format("GET {}: status {}", url, answer->status)));
      if (parsed) co_return parsed;
      last = Error(ErrorKind::Unavailable, parsed.error().what);
    }
    co_return std::unexpected(std::move(last));
  }

  awaitable<Result<UpstreamEndpoints>> endpoints(UpstreamClientPtr client) {
    if (!client->token_endpoint.empty()) co_return UpstreamEndpoints{"", client->token_endpoint, client->authorization_endpoint, client->revocation_endpoint, false};
    const auto key = client->issuer + "\n" + client->target_url;
    if (const auto at = found.find(key); at != found.end() && clock.mono_ns() < at->second.second) co_return at->second.first;
    auto issuer = client->issuer;
    if (issuer.empty()) {
      CO_TRY(const auto resource, co_await document(*client, resource_metadata_urls(client->target_url)));
      CO_TRY(issuer, read_resource_metadata(resource.root(), client->target_url));
    }
    CO_TRY(const auto server, co_await document(*client, server_metadata_urls(issuer)));
    CO_TRY(auto out, read_server_metadata(server.root(), issuer));
    if (found.size() >= 1000) found.clear();
    found[key] = {out, clock.mono_ns() + kEndpointLife};
    co_return out;
  }

  /// `issuer`: who gave the code or token in it, or sent the person for it. It is shown to no other, whoever the target names now.
  awaitable<Result<UpstreamToken>> ask(UpstreamClientPtr client, FormFields fields, std::optional<std::string> issuer = {}) {
    CO_TRY(const auto at, co_await endpoints(client));
    if (issuer && client->finds_issuer() && at.issuer != *issuer) co_return fail(ErrorKind::Denied, "the target names another authorization server by now");
    CO_TRY(auto request, token_request(*client, at, std::move(fields), clock.wall_ns()));
    auto out = to(*client, at.token);
    out.form = std::move(request.form);
    out.user = std::move(request.user);
    out.password = std::move(request.password);
    CO_TRY(auto answer, co_await call(std::move(out)));
    CO_TRY(auto token, read_token_answer(answer.status, std::move(answer.body), clock.wall_ns()));
    token.issuer = at.issuer;
    co_return token;
  }

  /// nullopt also for one that another server gave, or that was sealed with another key.
  Result<std::optional<UpstreamToken>> load(const UpstreamClient& client, const Account& account) {
    const auto [issuer, subject] = split(account.second);
    auto select = store.database().prepare("SELECT secrets FROM upstream_tokens WHERE target = ? AND issuer = ? AND subject = ?");
    select.bind(1, account.first).bind(2, issuer).bind(3, subject);
    TRY(const bool row, select.step());
    if (!row) return std::optional<UpstreamToken>();
    auto text = vault.unseal(bound_to(account, client), select.blob(0));
    if (!text) return std::optional<UpstreamToken>();
    TRY(const auto document, json::Document::parse(std::move(*text)));
    const auto root = document.root();
    return UpstreamToken{std::string(root["access"].as_string()), std::string(root["refresh"].as_string()), "", root["expires"].as_int(), std::string(root["issuer"].as_string())};
  }

  Result<void> keep(const UpstreamClient& client, const Account& account, const UpstreamToken& token) {
    const auto [issuer, subject] = split(account.second);
    auto put = store.database().prepare(
        "INSERT INTO upstream_tokens (target, issuer, subject, secrets, scopes, created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) "
        "ON CONFLICT (target, issuer, subject) DO UPDATE SET secrets = excluded.secrets, changed = excluded.changed, "
        "scopes = CASE excluded.scopes WHEN '' THEN scopes ELSE excluded.scopes END");
    put.bind(1, account.first).bind(2, issuer).bind(3, subject).bind_blob(4, vault.seal(bound_to(account, client), kept_text(token))).bind(5, token.scope.substr(0, 1024)).bind(6, clock.wall_ns());
    return put.run();
  }

  awaitable<Result<void>> record(const char* action, const Account& account, std::string reason) {
    using evidence::Field;
    const auto [issuer, subject] = split(account.second);
    evidence::Entry entry(evidence::Kind::AdminAction);
    entry.text(Field::Subject, subject).text(Field::Issuer, issuer).text(Field::Action, action).text(Field::Object, account.first).text(Field::Reason, reason.substr(0, 512));
    CO_TRY([[maybe_unused]] const auto index, co_await port->append(std::move(entry)));
    co_return Result<void>{};
  }

  /// The row goes, with an entry; within the account's turn.
  awaitable<Result<bool>> drop(const Account& account, std::string reason) {
    forget(account);
    const auto [issuer, subject] = split(account.second);
    auto select = store.database().prepare("SELECT 1 FROM upstream_tokens WHERE target = ? AND issuer = ? AND subject = ?");
    CO_TRY(const bool there, select.bind(1, account.first).bind(2, issuer).bind(3, subject).step());
    if (!there) co_return false;
    CO_TRY_VOID(co_await record("upstream.disconnected", account, std::move(reason)));
    auto erase = store.database().prepare("DELETE FROM upstream_tokens WHERE target = ? AND issuer = ? AND subject = ?");
    CO_TRY_VOID(erase.bind(1, account.first).bind(2, issuer).bind(3, subject).run());
    co_return true;
  }

  Error not_connected(const std::string& target, std::string_view why) const {
    return Error(ErrorKind::Unavailable, fmt::format("{}: open {}/connect/{} in your browser and try again", why, own_origin, target));
  }

  awaitable<Result<std::string>> fetch(UpstreamClientPtr client, std::string target, std::string person) {
    const auto account = account_of(*client, target, person);
    const auto turn = co_await turns_of(account).take();
    if (auto now = ready(client, account)) co_return std::move(*now);
    if (const auto at = failures.find(account); at != failures.end()) {
      if (clock.mono_ns() < at->second.until_mono_ns) co_return std::unexpected(at->second.error);
      failures.erase(at);
    }
    auto token = account.second.empty() ? co_await ask(client, own_fields(*client)) : co_await of_person(client, account);
    if (token) {
      put(client, account, *token);
      co_return token->access;
    }
    if (failures.size() >= kMaxCached) failures.clear();
    failures.emplace(account, Failure{token.error(), clock.mono_ns() + kPause});
    co_return std::unexpected(token.error());
  }

  static FormFields own_fields(const UpstreamClient& client) {
    FormFields out = {{"grant_type", "client_credentials"}};
    std::string scopes;
    for (const auto& one : client.scopes) scopes += (scopes.empty() ? "" : " ") + one;
    if (!scopes.empty()) out.emplace_back("scope", scopes);
    return out;
  }

  awaitable<Result<UpstreamToken>> of_person(UpstreamClientPtr client, const Account account) {
    CO_TRY(auto kept, load(*client, account));
    if (!kept) co_return std::unexpected(not_connected(account.first, fmt::format("your account at {} is not connected", account.first)));
    const bool lives = kept->expires_wall_ns == 0 || clock.wall_ns() < kept->expires_wall_ns - kEarly / 6;
    if (lives && !is_spoiled(kept->access)) co_return std::move(*kept);
    const auto ended = fmt::format("the connection to your account at {} has ended", account.first);
    if (kept->refresh.empty()) {
      CO_TRY([[maybe_unused]] const bool gone, co_await drop(account, "the token has ended and there is none to renew it with"));
      co_return std::unexpected(not_connected(account.first, ended));
    }
    auto renewed = co_await ask(client, {{"grant_type", "refresh_token"}, {"refresh_token", kept->refresh}}, kept->issuer);
    if (!renewed && renewed.error().kind == ErrorKind::Denied) {
      CO_TRY([[maybe_unused]] const bool gone, co_await drop(account, "the authorization server no longer renews it"));
      co_return std::unexpected(not_connected(account.first, ended));
    }
    if (!renewed) co_return renewed;
    if (renewed->refresh.empty()) renewed->refresh = kept->refresh;
    // Kept before it is used: what it replaced may be good no more.
    CO_TRY_VOID(keep(*client, account, *renewed));
    co_return renewed;
  }

  awaitable<Result<void>> connect(UpstreamClientPtr client, std::string target, PrincipalPtr who, FormFields fields, std::string issuer) {
    const Account account{target, who->person()};
    const auto turn = co_await turns_of(account).take();
    CO_TRY(auto token, co_await ask(client, std::move(fields), std::move(issuer)));
    CO_TRY_VOID(co_await record("upstream.connected", account, token.scope));
    CO_TRY_VOID(keep(*client, account, token));
    failures.erase(account);
    put(client, account, token);
    co_return Result<void>{};
  }

  awaitable<Result<bool>> disconnect(UpstreamClientPtr client, Account account, std::string why) {
    const auto turn = co_await turns_of(account).take();
    const auto kept = client ? load(*client, account) : Result<std::optional<UpstreamToken>>(std::nullopt);
    CO_TRY(const bool gone, co_await drop(account, std::move(why)));
    if (!gone || !kept || !*kept) co_return gone;
    // Told as far as it can be: the connection has ended here already.
    const auto at = co_await endpoints(client);
    if (!at || at->revocation.empty() || (client->finds_issuer() && at->issuer != (*kept)->issuer)) co_return gone;
    const auto& secret = (*kept)->refresh.empty() ? (*kept)->access : (*kept)->refresh;
    auto request = token_request(*client, *at, {{"token", secret}}, clock.wall_ns());
    if (!request) co_return gone;
    auto out = to(*client, at->revocation);
    out.form = std::move(request->form);
    out.user = std::move(request->user);
    out.password = std::move(request->password);
    (void)co_await call(std::move(out));
    co_return gone;
  }
};

UpstreamTokens::UpstreamTokens(state::Store& store, evidence::Log& log, const Vault& vault, const Clock& clock) {
  auto begin = [&]() -> awaitable<std::shared_ptr<State>> { co_return std::make_shared<State>(store, log, vault, clock); };  // its port belongs to that thread
  state_ = asio::co_spawn(store.context(), begin(), asio::use_future).get();
}

UpstreamTokens::~UpstreamTokens() {
  state_->pool.join();
  auto end = [](std::shared_ptr<State> state) -> awaitable<void> {
    for (auto& one : state->turns) { const auto turn = co_await one->take(); }
    state->port.reset();
  };
  auto state = std::move(state_);
  asio::co_spawn(state->store.context(), end(state), asio::use_future).get();
}

void UpstreamTokens::people_connect_at(std::string own_origin) { state_->own_origin = std::move(own_origin); }
std::string UpstreamTokens::connect_url(const std::string& target) const { return state_->own_origin + "/connect/" + target; }

awaitable<Result<std::string>> UpstreamTokens::token(UpstreamClientPtr client, std::string target, std::string person) {
  if (auto now = state_->ready(client, State::account_of(*client, target, person))) co_return std::move(*now);
  const auto state = state_;
  co_return co_await state->store.host(state->fetch(std::move(client), std::move(target), std::move(person)));
}

void UpstreamTokens::refused(const std::string& target, const std::string& person, const std::string& token) {
  const std::scoped_lock lock(state_->guard);
  if (state_->spoiled.size() >= kMaxSpoiled) state_->spoiled.clear();
  state_->spoiled.insert(sha256(as_bytes(token)));
  for (const auto& account : {Account{target, person}, Account{target, ""}})
    if (const auto at = state_->cached.find(account); at != state_->cached.end() && at->second.access == token) state_->cached.erase(at);
}

awaitable<Result<UpstreamEndpoints>> UpstreamTokens::endpoints(UpstreamClientPtr client) {
  const auto state = state_;
  co_return co_await state->store.host(state->endpoints(std::move(client)));
}

awaitable<Result<void>> UpstreamTokens::connect(UpstreamClientPtr client, std::string target, PrincipalPtr who, std::string code, std::string redirect_uri, std::string verifier, std::string issuer) {
  const auto state = state_;
  FormFields fields = {{"grant_type", "authorization_code"}, {"code", std::move(code)}, {"redirect_uri", std::move(redirect_uri)}, {"code_verifier", std::move(verifier)}};
  co_return co_await state->store.host(state->connect(std::move(client), std::move(target), std::move(who), std::move(fields), std::move(issuer)));
}

awaitable<Result<bool>> UpstreamTokens::disconnect(UpstreamClientPtr client, std::string target, std::string person, std::string why) {
  const auto state = state_;
  co_return co_await state->store.host(state->disconnect(std::move(client), {std::move(target), std::move(person)}, std::move(why)));
}

awaitable<Result<std::vector<UpstreamConnection>>> UpstreamTokens::connections(std::string person) {
  co_return co_await state_->store.run([person = std::move(person)](state::Database& db) -> Result<std::vector<UpstreamConnection>> {
    const auto [issuer, subject] = split(person);
    auto select = db.prepare("SELECT target, scopes, created, changed FROM upstream_tokens WHERE issuer = ? AND subject = ? ORDER BY target LIMIT 1000");
    select.bind(1, issuer).bind(2, subject);
    std::vector<UpstreamConnection> out;
    for (;;) {
      TRY(const bool row, select.step());
      if (!row) return out;
      out.push_back({select.text(0), select.text(1), select.integer(2), select.integer(3)});
    }
  });
}

void UpstreamTokens::forget_endpoints() {
  asio::post(state_->store.context(), [state = state_] {
    state->found.clear();
    state->failures.clear();
  });
}

}  // namespace sallyport::identity
