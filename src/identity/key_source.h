#pragma once
// The signature keys of all OIDC issuers: discovery (OpenID Connect Discovery 1.0) and JWKS, fetched by one thread of its
// own, cached, shared by all workers. A caller awaits a fetch that is under way and is resumed on its own executor, after
// ten seconds at the latest. Keys live between 5 minutes and 24 hours as the provider says, are fetched anew before
// that, and go on working for up to 24 hours while the provider is down. An unknown `kid` asks again, at most once in 10 s.
// Failures back off up to 5 minutes. Nothing is followed: no redirects, https (or http on loopback) only, 1 MiB.
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "identity/config.h"
#include "identity/jwk.h"
#include "identity/oidc_sign_in.h"

namespace sallyport::identity {

struct Fetched {
  std::string body;
  std::int64_t max_age_ns = -1;  // Cache-Control: max-age; -1 when the answer does not say
};

/// One GET. `stop` becomes true when nobody waits any more. Errors: Unavailable.
using Fetch = std::function<Result<Fetched>(const std::string& url, const std::string& ca_file, std::int64_t timeout_ns,
                                            const std::function<bool()>& stop)>;
Fetch curl_fetch();

/// One request to a provider, answered with JSON; blocks, for a thread of the caller's. A status other than 200 is no error here. Errors: Unavailable.
struct ProviderCall {
  std::string url, form;              // a form is posted; without one it is a GET
  std::string user, password, bearer;  // HTTP Basic, or a bearer token; "" = neither
  std::string ca_file;
  std::int64_t timeout_ns = 10'000'000'000;
  std::size_t max_bytes = 1u << 20;
  /// The address was named by somebody else: https to a public address only, past no proxy, unless its host is one of these (server-side
  /// request forgery). Judged at the address that is connected to, so that no name can change its mind in between.
  bool guarded = false;
  std::vector<std::string> private_hosts = {};
};
struct ProviderAnswer {
  long status = 0;
  std::string body;
  std::int64_t max_age_ns = -1;        // Cache-Control: max-age; -1 when the answer does not say
};
Result<ProviderAnswer> curl_call(const ProviderCall& call);

/// The issuers whose keys a configuration needs.
std::vector<OidcConfig> issuers_of(const IdentityConfig& config);

/// https, or http on loopback; no user name in it.
bool is_safe_url(const std::string& url);
/// "claude.ai", "*.example.com" (which is not example.com) or "*".
bool host_fits(std::string_view pattern, std::string_view host);
std::string host_of_url(const std::string& url);

class KeySource {
 public:
  KeySource(const std::vector<OidcConfig>& issuers, const Clock& clock, Fetch fetch);
  ~KeySource();
  KeySource(const KeySource&) = delete;

  /// The issuer's keys, fetched anew first when none has this `kid` ("" asks for any) and a fetch is due. The caller looks
  /// whether its key is there. Errors: Unavailable (no keys at all).
  boost::asio::awaitable<Result<std::shared_ptr<const Keys>>> keys(std::string issuer, std::string kid);
  /// What its discovery document says of sign-in. Errors: Unavailable.
  boost::asio::awaitable<Result<std::shared_ptr<const ProviderMetadata>>> metadata(std::string issuer);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::identity
