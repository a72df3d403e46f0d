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
#include "identity/principal.h"
#include "identity/scram.h"
#include "state/store.h"

namespace sallyport::identity {

/// Discovery documents and JWKS of all issuers, fetched by one thread (libcurl), cached, refreshed on an unknown `kid`
/// with back-off. Shared by all workers; any thread.
class KeySource;
std::shared_ptr<KeySource> make_key_source(const std::vector<OidcConfig>& issuers, const Clock& clock = system_clock());

struct IssuedToken {
  std::string token;  // shown once; only its SHA-256 is kept
  PrincipalPtr principal;
};

class Authenticator {
 public:
  Authenticator(boost::asio::io_context& context, std::shared_ptr<const IdentityConfig> config,
                std::shared_ptr<KeySource> keys, state::Store& store, evidence::Port& port,
                const Clock& clock = system_clock());
  ~Authenticator();

  /// `peer` goes into the record. Errors: Denied (bad token; the text is safe to show), Unavailable (keys or evidence).
  boost::asio::awaitable<Result<PrincipalPtr>> authenticate(std::string token, std::string peer);

  /// For clients that prove a token instead of sending it: the user's live tokens; none for an unknown user.
  boost::asio::awaitable<Result<ScramSet>> scram(std::string user);
  /// The proof was right: the token's principal, as by authenticate(). `method` goes into the record ("scram").
  boost::asio::awaitable<Result<PrincipalPtr>> proven(Digest token, std::string peer);
  /// A verified client certificate of that name: the local user so called.
  boost::asio::awaitable<Result<PrincipalPtr>> certified(std::string name, std::string peer);
  /// The proof was wrong: recorded as a failure; the error is for the client.
  boost::asio::awaitable<Error> not_proven(std::string peer, std::string user);

  /// Checks a local user's password (Argon2id, off the worker's thread; unknown users cost the same; five failures a
  /// minute and name, then Overloaded) and issues an opaque token. Errors: Denied, Overloaded, Unavailable.
  boost::asio::awaitable<Result<IssuedToken>> issue(std::string user, std::string password, std::int64_t lifetime_ns,
                                                    std::string agent, std::string peer);

  /// After a reload: users and issuers change, the cache is dropped.
  void reconfigure(std::shared_ptr<const IdentityConfig> config, std::shared_ptr<KeySource> keys);

 private:
  /// By the token, or by its digest alone when it was proven.
  boost::asio::awaitable<Result<PrincipalPtr>> authenticate(std::string token, Digest digest, std::string action, std::string peer);
  struct State;
  std::unique_ptr<State> state_;
};

/// Argon2id, 64 MiB, 3 passes, encoded; for `sallyport user hash`.
std::string hash_password(std::string_view password);

}  // namespace sallyport::identity
