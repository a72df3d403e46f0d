#include "identity/saml_provider.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/text.h"
#include "identity/saml_logout.h"
#include "identity/saml_redirect.h"
#include "identity/saml_response.h"

namespace sallyport::identity {

struct SamlProvider::State {
  SamlConfig config;
  saml::Provider provider;
  std::vector<saml::OwnKey> own;
  std::vector<saml::Key> decrypting;
  saml::Self self;
  std::string metadata;

  EVP_PKEY* signer() const { return own.empty() ? nullptr : own.front().key.get(); }
  saml::LogoutRules logout(std::int64_t wall_ns) const { return {config, provider, self, wall_ns}; }
};

namespace {

/// IDs are NCNames and cannot be guessed (core §1.3.4).
std::string new_id() { return "_" + hex(random_id()); }

Result<void> check_relay_state(std::string_view relay_state) {
  if (relay_state.size() > saml::kMaxRelayState) return fail(ErrorKind::Internal, "RelayState has at most 80 bytes");
  return {};
}

std::string authn_request(const std::string& id, const saml::Self& self, const saml::Provider& provider, bool force, std::int64_t wall_ns) {
  return fmt::format("<samlp:AuthnRequest xmlns:samlp=\"{}\" xmlns:saml=\"{}\" ID=\"{}\" Version=\"2.0\" IssueInstant=\"{}\" Destination=\"{}\"{} "
                     "ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" AssertionConsumerServiceURL=\"{}\">"
                     "<saml:Issuer>{}</saml:Issuer><samlp:NameIDPolicy AllowCreate=\"true\"/></samlp:AuthnRequest>",
                     saml::kProtocolNs, saml::kAssertionNs, id, utc_text(wall_ns), markup_escaped(provider.sso_url), force ? " ForceAuthn=\"true\"" : "",
                     markup_escaped(self.acs_url), markup_escaped(self.entity_id));
}

}  // namespace

SamlProvider::SamlProvider(std::unique_ptr<const State> state) : state_(std::move(state)) {}
SamlProvider::~SamlProvider() = default;

Result<std::shared_ptr<const SamlProvider>> SamlProvider::load(SamlConfig config, std::string_view admin_url) {
  if (!saml::xmlsec_ready()) return fail(ErrorKind::Internal, "xmlsec does not start: no SAML signature could be verified");
  auto state = std::make_unique<State>();
  TRY(state->provider, saml::read_provider(config));
  TRY(state->own, saml::read_own_keys(config));
  if (config.sign_requests && state->own.empty()) return fail(ErrorKind::Malformed, fmt::format("identity.saml {}: sign_requests needs keys", config.name));
  for (const auto& one : state->own) state->decrypting.push_back(one.key);
  const auto base = fmt::format("{}/saml/{}", admin_url.ends_with('/') ? admin_url.substr(0, admin_url.size() - 1) : admin_url, config.name);
  state->self = {.entity_id = config.entity_id.empty() ? base + "/metadata" : config.entity_id,
                 .acs_url = base + "/acs",
                 .slo_url = base + "/slo",
                 .sign_requests = config.sign_requests,
                 .want_signed_assertions = !config.signed_response};
  state->metadata = saml::write_metadata(state->self, state->own);
  state->config = std::move(config);
  return std::shared_ptr<const SamlProvider>(new SamlProvider(std::move(state)));
}

const std::string& SamlProvider::name() const { return state_->config.name; }
const std::string& SamlProvider::issuer() const { return state_->provider.entity_id; }
const std::string& SamlProvider::entity_id() const { return state_->self.entity_id; }
const std::string& SamlProvider::metadata() const { return state_->metadata; }

Result<SamlRedirect> SamlProvider::sign_in(std::string_view relay_state, bool force, std::int64_t wall_ns) const {
  TRY_VOID(check_relay_state(relay_state));
  SamlRedirect out{.url = {}, .id = new_id()};
  const auto xml = authn_request(out.id, state_->self, state_->provider, force, wall_ns);
  TRY(out.url, saml::redirect_url(state_->provider.sso_url, "SAMLRequest", xml, relay_state, state_->config.sign_requests ? state_->signer() : nullptr));
  return out;
}

SamlJudged<SamlIdentity> SamlProvider::judge(std::string_view form_value, std::span<const std::string> outstanding, std::int64_t wall_ns) const {
  const auto xml = saml::from_form(form_value);
  if (!xml) return std::unexpected(xml.error());
  return saml::judge_response(*xml, {state_->config, state_->provider, state_->decrypting, state_->self, outstanding, wall_ns});
}

bool SamlProvider::offers_logout() const { return !state_->provider.slo_url.empty() && state_->signer() != nullptr; }

Result<SamlRedirect> SamlProvider::sign_out(const SamlNameId& name, std::string_view session_index, std::string_view relay_state, std::int64_t wall_ns) const {
  if (!offers_logout()) return fail(ErrorKind::Unavailable, "this provider has no logout address, or no key is configured to sign for it");
  TRY_VOID(check_relay_state(relay_state));
  SamlRedirect out{.url = {}, .id = new_id()};
  const auto xml = saml::write_logout_request(out.id, state_->self, state_->provider, name, session_index, wall_ns);
  TRY(out.url, saml::redirect_url(state_->provider.slo_url, "SAMLRequest", xml, relay_state, state_->signer()));
  return out;
}

SamlJudged<SamlLogout> SamlProvider::read_logout_query(std::string_view query, std::int64_t wall_ns) const {
  return saml::judge_redirected_logout(query, state_->logout(wall_ns));
}

SamlJudged<SamlLogout> SamlProvider::read_logout_form(std::string_view form_value, std::int64_t wall_ns) const {
  const auto xml = saml::from_form(form_value);
  if (!xml) return std::unexpected(xml.error());
  return saml::judge_posted_logout(*xml, state_->logout(wall_ns));
}

Result<SamlRedirect> SamlProvider::answer_logout(const SamlLogout& request, bool success, std::int64_t wall_ns) const {
  if (!offers_logout()) return fail(ErrorKind::Unavailable, "this provider has no logout address, or no key is configured to sign for it");
  SamlRedirect out{.url = {}, .id = new_id()};
  const auto xml = saml::write_logout_response(out.id, state_->self, state_->provider, request.id, success, wall_ns);
  TRY(out.url, saml::redirect_url(state_->provider.slo_answer_url, "SAMLResponse", xml, request.relay_state, state_->signer()));
  return out;
}

boost::asio::awaitable<Result<bool>> MemoryLedger::claim(Digest assertion, std::int64_t until_wall_ns, std::int64_t now_wall_ns) {
  const std::scoped_lock lock(mutex_);
  if (until_.size() >= most_) std::erase_if(until_, [&](const auto& one) { return one.second <= now_wall_ns; });
  if (until_.contains(assertion)) co_return false;
  if (until_.size() >= most_) co_return fail(ErrorKind::Overloaded, "too many sign-ins at once");
  until_.emplace(assertion, until_wall_ns);
  co_return true;
}

boost::asio::awaitable<SamlJudged<SamlIdentity>> saml_sign_in(const SamlProvider& provider, AssertionLedger& ledger, std::string_view form_value,
                                                              std::span<const std::string> outstanding, std::int64_t wall_ns) {
  auto identity = provider.judge(form_value, outstanding, wall_ns);
  if (!identity) co_return identity;
  const auto first = co_await ledger.claim(identity->assertion, identity->assertion_until_wall_ns, wall_ns);
  if (!first) co_return saml::refuse(Reason::StateUnavailable, first.error().what);
  if (!*first) co_return saml::refuse(Reason::Replayed, "this assertion has been used");
  co_return identity;
}

}  // namespace sallyport::identity
