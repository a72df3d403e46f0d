#include "identity/oidc_sign_in.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "base/bytes.h"
#include "identity/key_source.h"

namespace sallyport::identity {

namespace {

constexpr std::int64_t kMinute = 60'000'000'000;
constexpr std::int64_t kLogoutLife = 2 * kMinute;   // Back-Channel Logout 1.0 §2.4 recommends at most this
constexpr const char* kLogoutEvent = "http://schemas.openid.net/event/backchannel-logout";

/// The audience rules of an ID token (Core §3.1.3.7): ours, and when there are others, issued to us.
bool is_for_us(const json::Value& payload, const OidcConfig& config) {
  const auto audience = payload["aud"];
  const auto party = payload["azp"];
  if (party.valid() && (!party.is_string() || party.as_string() != config.client_id)) return false;
  if (audience.is_string()) return audience.as_string() == config.client_id;
  if (!audience.is_array()) return false;
  bool ours = false;
  std::size_t count = 0;
  for (const auto one : audience) {
    if (!one.is_string()) return false;
    ours = ours || one.as_string() == config.client_id;
    ++count;
  }
  return ours && (count == 1 || party.valid());
}

/// The configuration as read_claims() is to judge by: an ID token is for the client, not for the API's audience.
OidcConfig for_client(const OidcConfig& config) {
  auto out = config;
  out.audience = config.client_id;
  return out;
}

std::string plain_text(const json::Value& value) {
  return value.is_string() && is_plain_name(value.as_string()) ? std::string(value.as_string()) : std::string();
}

}  // namespace

ProviderMetadata read_provider_metadata(const json::Value& discovery, const OidcConfig& config) {
  const auto endpoint = [&](const char* name) {
    const std::string url(discovery[name].as_string());
    const bool fits = is_safe_url(url) && (!config.issuer.starts_with("https:") || url.starts_with("https:")) && url.find('#') == url.npos;
    return fits ? url : std::string();
  };
  const auto says = discovery["authorization_response_iss_parameter_supported"];
  return {endpoint("authorization_endpoint"), endpoint("token_endpoint"), endpoint("end_session_endpoint"), endpoint("userinfo_endpoint"),
          says.valid() && says.kind() == json::Kind::Bool && says.as_bool()};
}

std::string form_encoded(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string out;
  const auto add = [&](std::string_view text) {
    for (const char c : text) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
      if (plain) out += c;
      else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  };
  for (const auto& [name, value] : fields) {
    if (!out.empty()) out += '&';
    add(name);
    out += '=';
    add(value);
  }
  return out;
}

Pkce make_pkce() {
  std::array<std::uint8_t, 32> random;
  random_bytes(random);
  Pkce out;
  out.verifier = base64url(random);
  out.challenge = base64url(sha256(as_bytes(out.verifier)));
  return out;
}

bool pkce_holds(std::string_view verifier, std::string_view challenge) {
  const bool plain = verifier.size() >= 43 && verifier.size() <= 128 && std::ranges::all_of(verifier, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
  });
  if (!plain) return false;
  const auto made = base64url(sha256(as_bytes(verifier)));
  return made.size() == challenge.size() && CRYPTO_memcmp(made.data(), challenge.data(), made.size()) == 0;
}

std::string authorization_url(const ProviderMetadata& provider, const OidcConfig& config, const std::string& redirect_uri, const std::string& state,
                              const std::string& nonce, const std::string& challenge) {
  std::string scopes;
  for (const auto& scope : config.scopes) scopes += (scopes.empty() ? "" : " ") + scope;
  const auto query = form_encoded({{"response_type", "code"}, {"client_id", config.client_id}, {"redirect_uri", redirect_uri}, {"scope", scopes}, {"state", state},
                                   {"nonce", nonce}, {"code_challenge", challenge}, {"code_challenge_method", "S256"}});
  return provider.authorization_endpoint + (provider.authorization_endpoint.find('?') == std::string::npos ? "?" : "&") + query;
}

Judged<IdToken> read_id_token(const json::Value& payload, const OidcConfig& config, std::string_view nonce, std::int64_t wall_ns) {
  if (!is_for_us(payload, config)) return std::unexpected(Reason::WrongAudience);
  auto claims = read_claims(payload, for_client(config), wall_ns);
  if (!claims) return std::unexpected(claims.error());
  if (claims->issued_wall_ns == 0) return std::unexpected(Reason::BadTime);  // Core §2: required
  const auto said = payload["nonce"];
  if (!nonce.empty() && (!said.is_string() || said.as_string() != nonce)) return std::unexpected(Reason::WrongNonce);
  IdToken out;
  out.claims = std::move(*claims);
  // An ID token is about a person: who acts for whom, and services, come with access tokens.
  out.claims.agent.clear();
  out.claims.service = false;
  out.session = plain_text(payload["sid"]);
  return out;
}

Judged<LogoutToken> read_logout_token(const json::Value& payload, const OidcConfig& config, std::int64_t wall_ns) {
  const auto issuer = payload["iss"];
  if (!issuer.is_string() || issuer.as_string() != config.issuer) return std::unexpected(Reason::UnknownIssuer);
  if (!is_for_us(payload, config)) return std::unexpected(Reason::WrongAudience);
  if (payload["nonce"].valid()) return std::unexpected(Reason::Malformed);  // Back-Channel Logout 1.0 §2.4: so that an ID token is none
  if (!payload["events"][kLogoutEvent].is_object()) return std::unexpected(Reason::Malformed);
  LogoutToken out;
  out.session = plain_text(payload["sid"]);
  out.id = plain_text(payload["jti"]);
  out.subject = plain_text(payload["sub"]);
  if (out.id.empty() || (out.subject.empty() && out.session.empty())) return std::unexpected(Reason::Malformed);
  const auto issued = payload["iat"];
  if (issued.kind() != json::Kind::Int || issued.as_int() < 0 || issued.as_int() > 9'000'000'000) return std::unexpected(Reason::BadTime);
  const auto at = issued.as_int() * 1'000'000'000;
  if (at > wall_ns + config.leeway_ns) return std::unexpected(Reason::NotYetValid);
  out.expires_wall_ns = at + kLogoutLife + config.leeway_ns;
  if (const auto expires = payload["exp"]; expires.valid()) {
    if (expires.kind() != json::Kind::Int || expires.as_int() < 0 || expires.as_int() > 9'000'000'000) return std::unexpected(Reason::BadTime);
    out.expires_wall_ns = std::min(out.expires_wall_ns, expires.as_int() * 1'000'000'000 + config.leeway_ns);
  }
  if (wall_ns >= out.expires_wall_ns) return std::unexpected(Reason::Expired);
  return out;
}

std::string end_session_url(const ProviderMetadata& provider, const std::string& id_token, const std::string& client_id, const std::string& back_to) {
  if (provider.end_session_endpoint.empty()) return "";
  std::vector<std::pair<std::string, std::string>> fields = {{"client_id", client_id}};
  if (!id_token.empty()) fields.emplace_back("id_token_hint", id_token);
  if (!back_to.empty()) fields.emplace_back("post_logout_redirect_uri", back_to);
  return provider.end_session_endpoint + (provider.end_session_endpoint.find('?') == std::string::npos ? "?" : "&") + form_encoded(fields);
}

}  // namespace sallyport::identity
