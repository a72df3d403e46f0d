#pragma once
// Talking to an OpenID provider for one sign-in: the code becomes tokens, the ID token is verified, what it says becomes a person; and later
// the refresh token asks whether that still holds. Requests block on a pool's thread, never on the worker's; a worker's coroutines only. Errors:
// Reason (KeysUnavailable when the provider cannot be reached, RefusedByProvider when it says no).
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <string>

#include "base/clock.h"
#include "identity/key_source.h"
#include "identity/person.h"
#include "identity/reason.h"

namespace sallyport::signin {

/// Who came, by which provider, and what it gave.
struct Arrival {
  identity::Person person;
  std::string method;              // Principal::method: "oidc-sign-in", "saml-sign-in", "password"
  std::string provider, provider_session;
  std::string secrets;             // JSON: refresh_token, id_token; "" = none
  bool asks = false;               // there is a refresh token
  std::int64_t expires_wall_ns = 0;  // the provider's bound on the session; 0 = none
};

class OidcProvider {
 public:
  OidcProvider(boost::asio::thread_pool& pool, std::shared_ptr<identity::KeySource> keys, const Clock& clock) : pool_(pool), keys_(std::move(keys)), clock_(clock) {}

  /// The code's tokens, verified. `redirect_uri` and `verifier` as they were sent.
  boost::asio::awaitable<identity::Judged<Arrival>> exchange(const identity::OidcConfig& config, std::string code, std::string redirect_uri, std::string verifier,
                                                             std::string nonce);
  /// What the provider says now. `secrets` as the Arrival had them. Without a refresh token the answer is KeysUnavailable.
  boost::asio::awaitable<identity::Judged<Arrival>> refresh(const identity::OidcConfig& config, std::string secrets, const identity::Person& known);
  /// A logout token that verifies.
  boost::asio::awaitable<identity::Judged<identity::LogoutToken>> logout(const identity::OidcConfig& config, std::string token);

  boost::asio::awaitable<Result<std::shared_ptr<const identity::ProviderMetadata>>> metadata(const std::string& issuer) { co_return co_await keys_->metadata(issuer); }

 private:
  boost::asio::awaitable<identity::Judged<json::Document>> call(identity::ProviderCall call);
  boost::asio::awaitable<identity::Judged<json::Document>> ask(const identity::OidcConfig& config, std::vector<std::pair<std::string, std::string>> form);
  boost::asio::awaitable<identity::Judged<json::Document>> verified(const identity::OidcConfig& config, std::string token, std::string_view type);
  boost::asio::awaitable<identity::Judged<identity::IdToken>> read(const identity::OidcConfig& config, std::string token, std::string access_token, std::string nonce);
  boost::asio::thread_pool& pool_;
  std::shared_ptr<identity::KeySource> keys_;
  const Clock& clock_;
};

}  // namespace sallyport::signin
