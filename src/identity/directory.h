#pragma once
// What is known now of people and of the credentials that the gateway issued: who may come, with which groups, which tokens live and
// which are taken back. One, shared by all workers: current() and version() from any thread at once; changes run on the store's thread,
// one after the other, and each is an evidence entry that is durable before it counts and a row that survives a restart. What was
// learned from a provider (SCIM, the newest sign-in) stands here; local users stand in the configuration.
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "evidence/log.h"
#include "identity/credential.h"
#include "identity/person.h"
#include "identity/scram.h"
#include "identity/vault.h"
#include "state/store.h"

namespace sallyport::identity {

class Directory {
 public:
  /// Loads the people. `vault_path` "" keeps the vault's key in memory (tests).
  static Result<std::unique_ptr<Directory>> open(state::Store& store, evidence::Log& log, std::shared_ptr<const IdentityConfig> config,
                                                 const std::string& vault_path, const Clock& clock = system_clock());
  ~Directory();

  // Any thread, at once.

  /// Grows with every change that may take a right away or give one.
  std::uint64_t version() const;
  /// The same credential as it stands now: `who` itself when nothing changed. Reasons: Deactivated, Revoked, UnknownUser, UnknownAgent, Expired.
  Judged<PrincipalPtr> current(const PrincipalPtr& who) const;
  /// By Principal::person().
  std::optional<Person> find(const std::string& person) const;
  /// A person that is configured or was seen and may come, as a principal without a credential: what votes are checked against.
  PrincipalPtr standing(const std::string& person) const;
  std::vector<Person> people() const;
  /// What seals secrets of others at rest.
  const Vault& vault() const;
  /// After a reload: local users, nested groups and agents.
  void reconfigure(std::shared_ptr<const IdentityConfig> config);

  // Callable from any worker; resume on the caller's executor. Errors: Unavailable (state or evidence), Denied with the reason.

  /// The principal of an opaque token. Reasons: UnknownToken, Expired, WrongDoor and those of current().
  boost::asio::awaitable<Judged<PrincipalPtr>> judge(Digest token, Door door);
  /// Of all live tokens that a database client may prove under this name.
  boost::asio::awaitable<Result<ScramSet>> scram(std::string login);

  /// Groups, e-mail and name as a sign-in or SCIM says them now; an entry when anything differs. `by`: "sign-in", "scim", ….
  boost::asio::awaitable<Result<void>> learn(Person person, std::string by);
  /// Errors: Denied (a person that is not active, or unknown).
  boost::asio::awaitable<Result<SignIn>> sign_in(SignInTerms terms, PrincipalPtr who);
  /// The provider confirmed it now; `secrets` replaces what is kept, `groups` of the person come by learn().
  boost::asio::awaitable<Result<void>> confirmed(std::string sign_in, std::string secrets);
  /// The provider was asked and gave no verdict.
  boost::asio::awaitable<Result<void>> tried(std::string sign_in);
  /// Live sign-ins that can ask their provider and did so last before that time, with their secrets, oldest first.
  boost::asio::awaitable<Result<std::vector<SignIn>>> to_confirm(std::int64_t before_wall_ns, std::size_t limit);
  boost::asio::awaitable<Result<std::optional<SignIn>>> find_sign_in(std::string id);

  /// The last TOTP step that the local user has used; 0 = none.
  boost::asio::awaitable<std::int64_t> totp_step(std::string user);
  /// False when it, or a later one, was used before.
  boost::asio::awaitable<bool> spend_totp(std::string user, std::int64_t step);

  boost::asio::awaitable<Result<IssuedToken>> issue(TokenTerms terms);
  /// Its id, "" when the gateway did not issue it.
  boost::asio::awaitable<std::string> id_of(Digest token);
  /// Live tokens, newest first; of one person when `person` is not "".
  boost::asio::awaitable<Result<std::vector<TokenInfo>>> tokens(std::string person, std::size_t limit);
  /// Takes back all that fits, for good; how many sign-ins and tokens that were. `by`: who did it, "" for the gateway itself.
  boost::asio::awaitable<Result<std::size_t>> revoke(Revocation what, std::string by, std::string reason);

  struct State;

 private:
  explicit Directory(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::identity
