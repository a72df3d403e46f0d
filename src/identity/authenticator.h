#pragma once
// Second station of the data path: a bearer token becomes a Principal, or an error that says too little to an attacker
// and enough to the record. Local opaque tokens ("sp_…") and OIDC JWTs (RFC 7519, RFC 9068 profile). One per worker
// (with a cache of tokens already judged, bounded in number and time); keys and state are shared.
// Every first success and every failure is an entry (auth.ok, auth.failed), durable before the answer.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "evidence/log.h"
#include "identity/config.h"
#include "identity/directory.h"
#include "identity/principal.h"
#include "identity/reason.h"
#include "identity/scram.h"

namespace sallyport::identity {

/// Discovery documents and JWKS of all issuers, fetched by one thread (libcurl), cached, refreshed on an unknown `kid`
/// with back-off. Shared by all workers; any thread.
class KeySource;
std::shared_ptr<KeySource> make_key_source(const std::vector<OidcConfig>& issuers, const Clock& clock = system_clock());

/// What a local user shows.
struct PasswordProof {
  std::string user, password;
  std::string code;          // TOTP; "" when none was given
  bool break_glass = false;  // the password is the sealed one, and the token is for `access` rules with break_glass
};

class Authenticator {
 public:
  Authenticator(boost::asio::io_context& context, std::shared_ptr<const IdentityConfig> config,
                std::shared_ptr<KeySource> keys, Directory& directory, evidence::Port& port,
                const Clock& clock = system_clock());
  ~Authenticator();

  /// `peer` goes into the record. Errors: Denied (bad token; the text is safe to show), Unavailable (keys or evidence).
  /// `resource`: the address that is asked for (RFC 8707). A token bound to another one is refused; a provider's JWT whose audience is that
  /// address, or one above it, is taken for it alone.
  boost::asio::awaitable<Result<PrincipalPtr>> authenticate(std::string token, Door door, std::string peer, std::string resource = {});

  /// For clients that prove a token instead of sending it: the live tokens of that login; none for an unknown one.
  boost::asio::awaitable<Result<ScramSet>> scram(std::string user);
  /// The proof was right: the token's principal, as by authenticate(). `method` goes into the record ("scram").
  boost::asio::awaitable<Result<PrincipalPtr>> proven(Digest token, std::string peer);
  /// A verified client certificate of that name: the local user so called.
  boost::asio::awaitable<Result<PrincipalPtr>> certified(std::string name, std::string peer);
  /// The proof was wrong: recorded as a failure; the error is for the client.
  boost::asio::awaitable<Error> not_proven(std::string peer, std::string user);

  /// Checks a local user's password and code (Argon2id, off the worker's thread; unknown users cost the same; five failures a
  /// minute and name, then Overloaded) and issues an opaque token with the agent, label, door and peer of `terms`. Errors: Denied, Overloaded,
  /// Unavailable.
  boost::asio::awaitable<Result<IssuedToken>> issue(PasswordProof proof, TokenTerms terms, std::int64_t lifetime_ns);
  /// A local user's password and, when the user has such a secret, one-time code; with the limits of issue() and recorded when it is wrong: the
  /// user's principal, without a credential.
  boost::asio::awaitable<Result<PrincipalPtr>> check_password(PasswordProof proof, std::string action, std::string peer);

  /// Records a sign-in or a proof that failed elsewhere; the error is for the client.
  boost::asio::awaitable<Error> failed(Reason reason, std::string action, std::string peer, std::string subject = {});

  /// After a reload: users and issuers change, the cache is dropped.
  void reconfigure(std::shared_ptr<const IdentityConfig> config, std::shared_ptr<KeySource> keys);

 private:
  /// By the token, or by its digest alone when it was proven.
  boost::asio::awaitable<Result<PrincipalPtr>> authenticate(std::string token, Digest digest, Door door, std::string action, std::string peer, std::string resource);
  struct State;
  std::unique_ptr<State> state_;
};

/// At most 64 of letters, digits, dot, underscore and hyphen; "" is nobody's.
bool is_agent_name(std::string_view name);

/// Argon2id, 64 MiB, 3 passes, encoded; for `sallyport user hash`.
std::string hash_password(std::string_view password);

}  // namespace sallyport::identity
