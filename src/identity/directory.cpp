#include "identity/directory.h"

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "base/text.h"
#include "identity/auth_record.h"
#include "identity/directory_rows.h"
#include "state/turns.h"

namespace sallyport::identity {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

constexpr std::int64_t kMinute = 60'000'000'000, kPurgeEvery = 10 * kMinute;

std::pair<std::string, std::string> split(const std::string& person) {
  const auto end = person.find('\n');
  return end == person.npos ? std::pair(person, std::string()) : std::pair(person.substr(0, end), person.substr(end + 1));
}

}  // namespace

struct Directory::State {
  State(state::Store& s, evidence::Log& log, std::shared_ptr<const IdentityConfig> cfg, Vault v, const Clock& c)
      : store(s), clock(c), vault(std::move(v)), port(std::make_unique<evidence::Port>(log, s.context())), turns(s.context()), config(std::move(cfg)) {}

  // The store's thread.
  state::Store& store;
  const Clock& clock;
  const Vault vault;
  std::unique_ptr<evidence::Port> port;
  std::int64_t next_purge = 0;
  state::Turns turns;   // of changes: what one has read is still so when its entry is durable

  // Any thread: what current() reads.
  std::atomic<std::uint64_t> version = 1;
  mutable std::shared_mutex guard;
  std::shared_ptr<const IdentityConfig> config;
  std::unordered_map<std::string, std::shared_ptr<const Person>> people;
  std::map<Digest, std::int64_t> revoked;  // with their ends: what is over needs no mention

  std::shared_ptr<const Person> find(const std::string& key) const {
    const std::shared_lock lock(guard);
    const auto at = people.find(key);
    return at == people.end() ? nullptr : at->second;
  }
  std::shared_ptr<const IdentityConfig> configuration() const {
    const std::shared_lock lock(guard);
    return config;
  }
  bool is_revoked(const Digest& credential) const {
    const std::shared_lock lock(guard);
    return revoked.contains(credential);
  }

  /// The groups that the person has now: from the configuration, from SCIM or the newest sign-in, else as the credential says.
  Judged<std::vector<std::string>> groups_of(const Principal& who, const Person* known, const IdentityConfig& cfg) const {
    if (who.issuer == "local") {
      const auto user = cfg.users.find(who.subject);
      if (user == cfg.users.end()) return std::unexpected(Reason::UnknownUser);
      return effective_groups(user->second.groups, who.agent, cfg);
    }
    const bool own_claims = who.method == "oidc" && !(known != nullptr && known->provisioned);
    if (!own_claims && known == nullptr) return std::unexpected(Reason::UnknownUser);
    return effective_groups(own_claims ? who.given_groups : known->groups, who.agent, cfg);
  }

  Judged<PrincipalPtr> current(const PrincipalPtr& who) const {
    if (who->expires_wall_ns != 0 && clock.wall_ns() >= who->expires_wall_ns) return std::unexpected(Reason::Expired);
    const auto known = find(who->person());
    if (known && !known->active) return std::unexpected(Reason::Deactivated);
    if (known && known->not_before_wall_ns > who->issued_wall_ns) return std::unexpected(Reason::Revoked);
    if (is_revoked(who->credential)) return std::unexpected(Reason::Revoked);
    auto groups = groups_of(*who, known.get(), *configuration());
    if (!groups) return std::unexpected(groups.error());
    if (*groups == who->groups) return who;
    auto now = std::make_shared<Principal>(*who);
    now->groups = std::move(*groups);
    return now;
  }

  void keep(const Person& person) {
    const std::unique_lock lock(guard);
    people[person.key()] = std::make_shared<const Person>(person);
    ++version;
  }

  awaitable<Result<void>> record(evidence::Kind kind, const std::string& name, const Person& person, std::string object, std::string reason, std::string by) {
    using evidence::Field;
    evidence::Entry entry(kind);
    entry.text(Field::Subject, person.subject).text(Field::Issuer, person.issuer).texts(Field::Groups, person.groups).text(Field::Action, name);
    entry.text(Field::Object, object).text(Field::Reason, reason.substr(0, 1024)).text(Field::Approver, by);
    auto written = co_await port->append(std::move(entry));
    if (!written) co_return std::unexpected(std::move(written).error());
    co_return Result<void>{};
  }

  awaitable<Result<void>> learn(Person person, std::string by) {
    const auto turn = co_await turns.take();
    const auto known = find(person.key());
    if (known) person.not_before_wall_ns = std::max(person.not_before_wall_ns, known->not_before_wall_ns);
    if (known && known->provisioned && !person.provisioned) {
      // SCIM says who is in which group and who is gone; a sign-in only confirms the rest.
      person.groups = known->groups;
      person.active = known->active;
      person.provisioned = true;
    }
    if (known && *known == person) co_return Result<void>{};
    const char* what = !known ? "person.learned" : !person.active && known->active ? "person.deactivated" : person.active && !known->active ? "person.activated" : "person.changed";
    CO_TRY_VOID(co_await record(evidence::Kind::AdminAction, what, person, "", by, ""));
    CO_TRY_VOID(put_person(store.database(), person, clock.wall_ns()));
    keep(person);
    if (person.active || (known && !known->active)) co_return Result<void>{};
    // Who comes back begins anew: what a leaver had stays taken back.
    CO_TRY([[maybe_unused]] const auto ended, co_await take_back({"", person.issuer, person.subject, "", "", "", false}, "", "the person may not come any more"));
    co_return Result<void>{};
  }

  awaitable<Judged<PrincipalPtr>> judge(Digest token, Door door) {
    auto found = load_token(store.database(), token);
    if (!found) co_return std::unexpected(Reason::StateUnavailable);
    if (!*found) co_return std::unexpected(Reason::UnknownToken);
    const auto& [info, gone] = **found;
    if (gone) co_return std::unexpected(Reason::Revoked);
    const auto now = clock.wall_ns();
    if (now >= info.expires_wall_ns) co_return std::unexpected(Reason::Expired);
    if (info.door != Door::Any && door != Door::Any && info.door != door) co_return std::unexpected(Reason::WrongDoor);
    if (now - info.used_wall_ns > kMinute) (void)token_used(store.database(), token, now);  // for people's eyes: no reason to refuse
    auto who = principal_of(info, token);
    if (!who) co_return std::unexpected(who.error());
    co_return current(*who);
  }

  Judged<PrincipalPtr> principal_of(const TokenInfo& info, const Digest& token) const {
    auto who = std::make_shared<Principal>();
    who->subject = info.subject;
    who->issuer = info.issuer;
    who->agent = info.agent;
    who->method = info.method;
    who->door = info.door;
    who->resource = info.resource;
    who->scoped = info.scoped;
    who->scopes = info.scopes;
    who->sign_in = info.sign_in;
    who->credential = token;
    who->issued_wall_ns = info.created_wall_ns;
    who->expires_wall_ns = info.expires_wall_ns;
    const auto known = find(who->person());
    const auto cfg = configuration();
    if (info.issuer == "local") {
      if (const auto user = cfg->users.find(info.subject); user != cfg->users.end()) who->service = user->second.service;
    } else if (known) {
      who->email = known->email;
      who->display_name = known->display_name;
      who->service = known->service;
    }
    auto groups = groups_of(*who, known.get(), *cfg);
    if (!groups) return std::unexpected(groups.error());
    who->groups = std::move(*groups);
    return who;
  }

  awaitable<Result<SignIn>> sign_in(SignInTerms terms, PrincipalPtr who) {
    const auto turn = co_await turns.take();
    const auto known = find(who->person());
    if (known && !known->active) co_return fail(ErrorKind::Denied, who->display() + " may not sign in any more; ask an administrator");
    SignIn out{std::move(terms), random_name("sgn_"), clock.wall_ns(), clock.wall_ns()};
    evidence::Entry entry = auth_ok_entry(*who, "sign-in." + who->method, out.peer, out.id, out.provider, out.expires_wall_ns);
    CO_TRY([[maybe_unused]] const auto index, co_await port->append(std::move(entry)));
    CO_TRY_VOID(insert_sign_in(store.database(), out, vault.seal(out.id, out.secrets)));
    co_return out;
  }

  Result<SignIn> opened(StoredSignIn stored) const {
    if (stored.sealed.empty()) return std::move(stored.sign_in);
    TRY(stored.sign_in.secrets, vault.unseal(stored.sign_in.id, stored.sealed));
    return std::move(stored.sign_in);
  }

  void purge(std::int64_t now) {
    if (clock.mono_ns() < next_purge) return;
    next_purge = clock.mono_ns() + kPurgeEvery;
    (void)forget_ended(store.database(), now);
    const std::unique_lock lock(guard);
    std::erase_if(revoked, [&](const auto& one) { return one.second < now; });
  }

  awaitable<Result<IssuedToken>> issue(TokenTerms terms) {
    const auto turn = co_await turns.take();
    const auto now = clock.wall_ns();
    purge(now);
    if (!terms.sign_in.empty()) {
      CO_TRY(const auto parent, load_sign_in(store.database(), terms.sign_in, now));
      if (!parent) co_return fail(ErrorKind::Denied, "the sign-in that this would come from has ended; sign in again");
      terms.expires_wall_ns = std::min(terms.expires_wall_ns, parent->sign_in.expires_wall_ns);
    }
    std::array<std::uint8_t, 32> secret;
    random_bytes(secret);
    IssuedToken out{"sp_" + base64url(secret), random_name("tok_"), nullptr};
    const auto digest = sha256(as_bytes(out.token));
    const TokenInfo info{out.id, terms.issuer, terms.subject, terms.agent, terms.method, terms.sign_in, terms.label, terms.login, terms.peer,
                         terms.door, terms.resource, terms.scoped, terms.scopes, now, terms.expires_wall_ns, 0};
    auto who = principal_of(info, digest);
    if (who) who = current(*who);
    if (!who) co_return fail(ErrorKind::Denied, std::string("no token can be issued: ") + std::string(to_string(who.error())));
    out.principal = *who;
    // The entry first: a token that works without a record of its birth must not exist.
    CO_TRY([[maybe_unused]] const auto index,
           co_await port->append(auth_ok_entry(*out.principal, "token.issue", terms.peer, out.id, to_string(terms.door), terms.expires_wall_ns)));
    CO_TRY(const bool kept, insert_token(store.database(), digest, info, scram_verifier(out.token, scram_salt(terms.login), kScramIterations)));
    if (!kept) co_return fail(ErrorKind::Denied, "the sign-in that this would come from has ended; sign in again");
    co_return out;
  }

  awaitable<Result<std::size_t>> revoke(Revocation what, std::string by, std::string reason) {
    const auto turn = co_await turns.take();
    co_return co_await take_back(std::move(what), std::move(by), std::move(reason));
  }

  /// Within a turn.
  awaitable<Result<std::size_t>> take_back(Revocation what, std::string by, std::string reason) {
    if (what.id.empty() && (what.issuer.empty() || what.subject.empty()) && (what.provider.empty() || what.provider_session.empty()))
      co_return fail(ErrorKind::Denied, "what is to be revoked? name a token, a sign-in or a person");
    const auto now = clock.wall_ns();
    CO_TRY(const auto found, find_revoked(store.database(), what, now));
    const bool whole_person = !what.subject.empty() && !what.sign_ins_only && what.client.empty();
    if (found.ids.empty() && !whole_person) co_return std::size_t{0};
    const Person whose{what.issuer, what.subject, {}, {}, {}};
    std::string object;
    for (const auto& id : found.ids) {
      if (object.size() + id.size() > 2000) break;
      object += (object.empty() ? "" : " ") + id;
    }
    CO_TRY_VOID(co_await record(evidence::Kind::AdminAction, "token.revoke", whose, object, reason, by));
    CO_TRY_VOID(mark_revoked(store.database(), found, now));
    if (whole_person) {
      // A provider's own tokens, too, for they stand in no table: those that were issued until now.
      auto person = find(whose.key()) ? *find(whose.key()) : whose;
      person.not_before_wall_ns = now;
      CO_TRY_VOID(put_person(store.database(), person, now));
      CO_TRY_VOID(forget_grants(store.database(), person, now));
      keep(person);
    }
    const std::unique_lock lock(guard);
    for (const auto& [token, expires] : found.tokens) revoked[token] = expires;
    ++version;
    co_return found.ids.size();
  }
};

namespace {

/// Runs on the store's thread, resumes on the caller's.
template <class T>
awaitable<T> on_store(std::shared_ptr<Directory::State> state, awaitable<T> work) {
  co_return co_await state->store.host(std::move(work));
}

}  // namespace

Directory::Directory(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Directory>> Directory::open(state::Store& store, evidence::Log& log, std::shared_ptr<const IdentityConfig> config,
                                                   const std::string& vault_path, const Clock& clock) {
  Result<Vault> vault = vault_path.empty() ? Result<Vault>(Vault::in_memory()) : Vault::open(vault_path);
  if (!vault) return std::unexpected(std::move(vault).error());
  auto begin = [&]() -> awaitable<Result<std::shared_ptr<State>>> {
    auto state = std::make_shared<State>(store, log, std::move(config), std::move(*vault), clock);  // here, for its port belongs to this thread
    CO_TRY(const auto people, load_people(store.database()));
    for (const auto& person : people) state->keep(person);
    co_return state;
  };
  auto state = asio::co_spawn(store.context(), begin(), asio::use_future).get();
  if (!state) return std::unexpected(std::move(state).error());
  return std::unique_ptr<Directory>(new Directory(std::move(*state)));
}

Directory::~Directory() {
  auto end = [](std::shared_ptr<State> state) -> awaitable<void> {
    const auto turn = co_await state->turns.take();  // no change is half done
    state->port.reset();
  };
  auto state = std::move(state_);
  asio::co_spawn(state->store.context(), end(state), asio::use_future).get();
}

std::uint64_t Directory::version() const { return state_->version.load(std::memory_order_acquire); }
Judged<PrincipalPtr> Directory::current(const PrincipalPtr& who) const { return state_->current(who); }

std::optional<Person> Directory::find(const std::string& person) const {
  const auto known = state_->find(person);
  return known ? std::optional(*known) : std::nullopt;
}

PrincipalPtr Directory::standing(const std::string& person) const {
  auto who = std::make_shared<Principal>();
  std::tie(who->issuer, who->subject) = split(person);
  who->issued_wall_ns = INT64_MAX;
  const auto known = state_->find(person);
  if (known) {
    who->email = known->email;
    who->display_name = known->display_name;
    who->service = known->service;
  }
  auto now = state_->current(who);
  return now ? *now : nullptr;
}

std::vector<Person> Directory::people() const {
  const std::shared_lock lock(state_->guard);
  std::vector<Person> out;
  for (const auto& [key, person] : state_->people) out.push_back(*person);
  std::ranges::sort(out, {}, &Person::key);
  return out;
}

void Directory::reconfigure(std::shared_ptr<const IdentityConfig> config) {
  const std::unique_lock lock(state_->guard);
  state_->config = std::move(config);
  ++state_->version;
}

awaitable<Judged<PrincipalPtr>> Directory::judge(Digest token, Door door) { co_return co_await on_store(state_, state_->judge(token, door)); }
awaitable<Result<void>> Directory::learn(Person person, std::string by) { co_return co_await on_store(state_, state_->learn(std::move(person), std::move(by))); }
awaitable<Result<SignIn>> Directory::sign_in(SignInTerms terms, PrincipalPtr who) {
  co_return co_await on_store(state_, state_->sign_in(std::move(terms), std::move(who)));
}
awaitable<Result<IssuedToken>> Directory::issue(TokenTerms terms) { co_return co_await on_store(state_, state_->issue(std::move(terms))); }
awaitable<Result<std::size_t>> Directory::revoke(Revocation what, std::string by, std::string reason) {
  co_return co_await on_store(state_, state_->revoke(std::move(what), std::move(by), std::move(reason)));
}

awaitable<Result<ScramSet>> Directory::scram(std::string login) {
  co_return co_await state_->store.run([login = std::move(login), now = state_->clock.wall_ns()](state::Database& db) { return load_scram(db, login, now); });
}

awaitable<Result<void>> Directory::confirmed(std::string sign_in, std::string secrets) {
  co_return co_await state_->store.run([state = state_, id = std::move(sign_in), secrets = std::move(secrets)](state::Database& db) {
    return sign_in_confirmed(db, id, state->vault.seal(id, secrets), state->clock.wall_ns());
  });
}

const Vault& Directory::vault() const { return state_->vault; }

awaitable<Result<void>> Directory::tried(std::string sign_in) {
  co_return co_await state_->store.run([state = state_, id = std::move(sign_in)](state::Database& db) { return sign_in_tried(db, id, state->clock.wall_ns()); });
}

awaitable<std::int64_t> Directory::totp_step(std::string user) {
  co_return co_await state_->store.run([user = std::move(user)](state::Database& db) -> std::int64_t {
    auto select = db.prepare("SELECT step FROM totp_steps WHERE user = ?");
    const auto row = select.bind(1, user).step();
    return row && *row ? select.integer(0) : row ? 0 : INT64_MAX;  // what cannot be read is spent
  });
}

awaitable<bool> Directory::spend_totp(std::string user, std::int64_t step) {
  co_return co_await state_->store.run([user = std::move(user), step](state::Database& db) {
    auto put = db.prepare("INSERT INTO totp_steps (user, step) VALUES (?, ?) ON CONFLICT (user) DO UPDATE SET step = excluded.step WHERE excluded.step > step");
    return put.bind(1, user).bind(2, step).run().has_value() && db.changes() == 1;
  });
}

awaitable<std::string> Directory::id_of(Digest token) {
  co_return co_await state_->store.run([token](state::Database& db) {
    const auto found = load_token(db, token);
    return found && *found ? (**found).info.id : std::string();
  });
}

awaitable<Result<std::vector<SignIn>>> Directory::to_confirm(std::int64_t before_wall_ns, std::size_t limit) {
  co_return co_await state_->store.run([state = state_, before_wall_ns, limit](state::Database& db) -> Result<std::vector<SignIn>> {
    TRY(auto stored, live_sign_ins(db, before_wall_ns, state->clock.wall_ns(), limit));
    std::vector<SignIn> out;
    for (auto& one : stored) {
      TRY(auto opened, state->opened(std::move(one)));
      out.push_back(std::move(opened));
    }
    return out;
  });
}

awaitable<Result<std::optional<SignIn>>> Directory::find_sign_in(std::string id) {
  co_return co_await state_->store.run([state = state_, id = std::move(id)](state::Database& db) -> Result<std::optional<SignIn>> {
    TRY(auto stored, load_sign_in(db, id, state->clock.wall_ns()));
    if (!stored) return std::optional<SignIn>();
    TRY(auto opened, state->opened(std::move(*stored)));
    return std::optional<SignIn>(std::move(opened));
  });
}

awaitable<Result<std::vector<TokenInfo>>> Directory::tokens(std::string person, std::size_t limit) {
  co_return co_await state_->store.run([person = std::move(person), limit, now = state_->clock.wall_ns()](state::Database& db) {
    const auto [issuer, subject] = split(person);
    return list_tokens(db, issuer, subject, now, limit);
  });
}

}  // namespace sallyport::identity
