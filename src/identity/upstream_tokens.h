#pragma once
// The tokens that targets' authorization servers gave the gateway: its own (client credentials) and those of people who connected their
// account (authorization code). One, shared by all workers: token() from any thread, resumed on the caller's executor; what is kept of people
// is sealed (identity/vault.h), and every connection made or ended is an entry before it counts. Requests block on a pool's threads, one at a
// time for each account. Tokens are renewed before they end. Errors: Unavailable (no connection, server, state), Denied (the server refuses).
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "evidence/log.h"
#include "identity/principal.h"
#include "identity/upstream_client.h"
#include "identity/vault.h"
#include "state/store.h"

namespace sallyport::identity {

using UpstreamClientPtr = std::shared_ptr<const UpstreamClient>;

/// What a person has connected.
struct UpstreamConnection {
  std::string target, scopes;
  std::int64_t created_wall_ns = 0, changed_wall_ns = 0;
};

class UpstreamTokens {
 public:
  UpstreamTokens(state::Store& store, evidence::Log& log, const Vault& vault, const Clock& clock = system_clock());
  ~UpstreamTokens();

  /// Where people connect: "https://gw-admin/connect/TARGET". Before the first worker runs.
  void people_connect_at(std::string own_origin);
  std::string connect_url(const std::string& target) const;

  /// A token that is good now. `person` (Principal::person()) counts for the grant authorization_code only.
  boost::asio::awaitable<Result<std::string>> token(UpstreamClientPtr client, std::string target, std::string person);
  /// The target did not take it: it is not given out again.
  void refused(const std::string& target, const std::string& person, const std::string& token);

  /// Where the browser of a person goes on; `state` and `challenge` are the caller's.
  boost::asio::awaitable<Result<UpstreamEndpoints>> endpoints(UpstreamClientPtr client);
  /// The code becomes tokens, which are kept. `verifier` and `redirect_uri` as they were sent, `issuer` that of the endpoints() that the person was
  /// sent to: a target that names another one meanwhile gets no code.
  boost::asio::awaitable<Result<void>> connect(UpstreamClientPtr client, std::string target, PrincipalPtr who, std::string code, std::string redirect_uri, std::string verifier, std::string issuer);
  /// False when there was none. The server is told as well, if it says where (RFC 7009); `client` may be null.
  boost::asio::awaitable<Result<bool>> disconnect(UpstreamClientPtr client, std::string target, std::string person, std::string why);
  boost::asio::awaitable<Result<std::vector<UpstreamConnection>>> connections(std::string person);
  /// After a reload: what was found out of servers is asked again.
  void forget_endpoints();

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::identity
