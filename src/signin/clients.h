#pragma once
// Which program a client_id is: one of the configuration, one that registered itself, or one whose metadata document stands at that address.
// Documents are fetched from hosts that the configuration allows, from public addresses only, without redirects, with bounds on size and time,
// few at once, and kept as long as they say (1 minute to 1 day, failures 30 s). The admin worker's thread only. Errors: Denied (unknown, with
// words for a person), Unavailable (its document cannot be read now).
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "identity/attempts.h"
#include "identity/config.h"
#include "identity/oauth_grants.h"
#include "signin/client_metadata.h"

namespace sallyport::signin {

struct OAuthClient {
  std::string id;
  std::string agent;                       // Principal::agent
  std::string name;                        // for people
  std::vector<std::string> redirect_uris;
  SecretRef secret;
  bool vouched = false;                    // the configuration names it: an administrator knows it

  bool may_return_to(const std::string& uri) const;
};

class Clients {
 public:
  Clients(boost::asio::thread_pool& pool, identity::OAuthGrants& grants, const Clock& clock) : pool_(pool), grants_(grants), clock_(clock) {}
  void reconfigure(std::shared_ptr<const identity::IdentityConfig> config);

  /// `peer`: who asks, for what fetching costs.
  boost::asio::awaitable<Result<OAuthClient>> find(std::string id, std::string peer);

 private:
  struct Kept {
    Result<ClientMetadata> document;
    std::int64_t until_mono_ns = 0;
  };
  boost::asio::awaitable<Result<ClientMetadata>> document(const std::string& id, const std::string& peer);
  bool may_fetch(const std::string& id) const;

  boost::asio::thread_pool& pool_;
  identity::OAuthGrants& grants_;
  const Clock& clock_;
  std::shared_ptr<const identity::IdentityConfig> config_;
  std::map<std::string, Kept> documents_;
  identity::Attempts by_address_{20};
  int fetching_ = 0;
};

}  // namespace sallyport::signin
