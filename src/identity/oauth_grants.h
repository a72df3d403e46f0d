#pragma once
// What people allowed programs at the MCP door: consents (one for each person, program and resource), the refresh tokens that came of them,
// and programs that registered themselves (RFC 7591). Rows of the embedded database; a consent given or taken back is an entry first. A refresh
// token comes once (OAuth 2.1 §4.3.1): a second time somebody else has it, and its whole sign-in is over. Callable from any worker, resumed on
// the caller's executor. Errors: Unavailable (state or evidence), Overloaded (too many registrations).
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "evidence/log.h"
#include "identity/scope.h"
#include "state/store.h"

namespace sallyport::identity {

struct Consent {
  std::string id;                        // "cns_…"
  std::string issuer, subject;           // whose
  std::string client, name;              // client_id, and as the person saw it
  std::string resource;
  Scopes scopes;
  std::int64_t created_wall_ns = 0, changed_wall_ns = 0;
};

struct RefreshTerms {
  std::string sign_in;                   // its family
  std::string client, agent, resource;
  Scopes scopes;
  std::int64_t expires_wall_ns = 0;
};

/// What came of showing one.
struct RefreshUse {
  enum class Outcome : std::uint8_t { Good, Reused, Unknown } outcome = Outcome::Unknown;
  RefreshTerms terms;                    // of Good and Reused
};

struct RegisteredClient {
  std::string id, metadata;              // "dcr_…", JSON
  std::int64_t created_wall_ns = 0, used_wall_ns = 0;
};

class OAuthGrants {
 public:
  OAuthGrants(state::Store& store, evidence::Log& log, const Clock& clock = system_clock());
  ~OAuthGrants();

  /// Written down, or the one that stands brought up to date.
  boost::asio::awaitable<Result<void>> consent(Consent what);
  boost::asio::awaitable<Result<std::vector<Consent>>> consents(std::string issuer, std::string subject);
  /// The consent that ended; nullopt when this person has none of that id. What came of it is the caller's to take back.
  boost::asio::awaitable<Result<std::optional<Consent>>> withdraw(std::string id, std::string issuer, std::string subject);

  /// The token, shown once.
  boost::asio::awaitable<Result<std::string>> make_refresh(RefreshTerms terms);
  /// Once, by the client that it was given to, while its consent stands.
  boost::asio::awaitable<Result<RefreshUse>> use_refresh(std::string token, std::string client);
  /// It was used for nothing: it may come once more.
  boost::asio::awaitable<Result<void>> give_back_refresh(std::string token);
  /// Its sign-in, without using it; "" when there is none.
  boost::asio::awaitable<Result<std::string>> sign_in_of_refresh(std::string token, std::string client);

  /// `most` at once: those that nobody used for a month, or never within an hour, make room.
  boost::asio::awaitable<Result<RegisteredClient>> add_client(std::string name, std::string metadata, std::string peer, std::size_t most);
  boost::asio::awaitable<Result<std::optional<RegisteredClient>>> find_client(std::string id);
  boost::asio::awaitable<Result<void>> client_used(std::string id);

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::identity
