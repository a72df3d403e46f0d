#pragma once
// One SAML 2.0 identity provider of the configuration, as the sign-in pages use it: where to send a browser, and what to
// make of what it brings back. Read at start and at each reload, immutable, shared by all workers, any thread. Every
// call is pure but for random IDs; the pages keep the request IDs in the browser's session, and claim each assertion
// in an AssertionLedger before anybody is let in: saml_sign_in() does both. A refusal is Denied to the client, whatever it is.
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "identity/config.h"
#include "identity/saml.h"

namespace sallyport::identity {

/// What a browser is sent to; the page remembers `id` in its session.
struct SamlRedirect {
  std::string url, id;
};

class SamlProvider {
 public:
  /// `admin_url` is what browsers use for our pages. Errors: Unavailable (files, secrets), Malformed.
  static Result<std::shared_ptr<const SamlProvider>> load(SamlConfig config, std::string_view admin_url);
  ~SamlProvider();

  const std::string& name() const;
  const std::string& issuer() const;     // the provider's entity ID: Principal::issuer
  const std::string& entity_id() const;  // ours
  /// Our metadata, for /saml/NAME/metadata (application/samlmetadata+xml).
  const std::string& metadata() const;

  /// An AuthnRequest by redirect. `relay_state` is opaque, at most 80 bytes; `force`: ask for the password anew.
  Result<SamlRedirect> sign_in(std::string_view relay_state, bool force, std::int64_t wall_ns) const;
  /// The form field SAMLResponse, posted to /saml/NAME/acs. `outstanding`: request IDs of that very browser session.
  SamlJudged<SamlIdentity> judge(std::string_view form_value, std::span<const std::string> outstanding, std::int64_t wall_ns) const;

  /// True when the provider has a logout address and we have a key: both sides demand signed logouts.
  bool offers_logout() const;
  Result<SamlRedirect> sign_out(const SamlNameId& name, std::string_view session_index, std::string_view relay_state, std::int64_t wall_ns) const;
  /// What comes to /saml/NAME/slo: the query of a GET, or the field SAMLRequest or SAMLResponse of a POST.
  SamlJudged<SamlLogout> read_logout_query(std::string_view query, std::int64_t wall_ns) const;
  SamlJudged<SamlLogout> read_logout_form(std::string_view form_value, std::int64_t wall_ns) const;
  Result<SamlRedirect> answer_logout(const SamlLogout& request, bool success, std::int64_t wall_ns) const;

 private:
  struct State;
  explicit SamlProvider(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

/// Assertions that have been used, until their end. The pages keep one in the state database; the other is in memory.
class AssertionLedger {
 public:
  virtual ~AssertionLedger() = default;
  /// True the first time. Errors: Unavailable, Overloaded: nobody is let in then.
  virtual boost::asio::awaitable<Result<bool>> claim(Digest assertion, std::int64_t until_wall_ns, std::int64_t now_wall_ns) = 0;
};

/// Bounded: when it is full of live ones, a new one is refused. Forgets at restart. Any thread.
class MemoryLedger final : public AssertionLedger {
 public:
  explicit MemoryLedger(std::size_t most = 100'000) : most_(most) {}
  boost::asio::awaitable<Result<bool>> claim(Digest assertion, std::int64_t until_wall_ns, std::int64_t now_wall_ns) override;

 private:
  std::mutex mutex_;
  std::map<Digest, std::int64_t> until_;
  std::size_t most_;
};

/// judge(), and the assertion claimed. What it names is in by nothing else. The arguments outlive the call.
boost::asio::awaitable<SamlJudged<SamlIdentity>> saml_sign_in(const SamlProvider& provider, AssertionLedger& ledger, std::string_view form_value,
                                                              std::span<const std::string> outstanding, std::int64_t wall_ns);

}  // namespace sallyport::identity
