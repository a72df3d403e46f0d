#include "identity/upstream_client.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/text.h"
#include "identity/key_source.h"
#include "identity/oidc_sign_in.h"
#include "identity/scope.h"

namespace sallyport::identity {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr const char* kAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

/// Origin and path of a URL, without a slash at the end.
std::pair<std::string, std::string> parts_of(const std::string& url) {
  const auto scheme = url.find("://");
  const auto slash = scheme == url.npos ? url.npos : url.find('/', scheme + 3);
  auto path = slash == url.npos ? std::string() : url.substr(slash);
  path = path.substr(0, path.find('?'));
  while (path.ends_with('/')) path.pop_back();
  return {url.substr(0, slash), std::move(path)};
}

std::string without_slash(std::string url) {
  if (url.ends_with('/')) url.pop_back();
  return url;
}

/// ECDSA as JOSE writes it (RFC 7518 §3.4): both numbers at full width.
Bytes flat_signature(const Bytes& der, std::size_t width) {
  const auto* at = der.data();
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), ECDSA_SIG_free);
  Bytes out(2 * width);
  if (!pair || BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), out.data(), static_cast<int>(width)) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), out.data() + width, static_cast<int>(width)) < 0) return {};
  return out;
}

Result<std::string> signed_jwt(const UpstreamClient& client, const std::string& payload) {
  TRY(const auto pem, client.key.read());
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (!key) return fail(ErrorKind::Unavailable, "the key of the OAuth client " + client.id + " is no PEM private key");
  const char* algorithm = nullptr;
  const EVP_MD* digest = EVP_sha256();
  std::size_t width = 0;
  switch (EVP_PKEY_get_base_id(key.get())) {
    case EVP_PKEY_RSA: algorithm = "RS256"; break;
    case EVP_PKEY_ED25519: algorithm = "EdDSA", digest = nullptr; break;
    case EVP_PKEY_EC:
      width = EVP_PKEY_get_bits(key.get()) == 256 ? 32 : EVP_PKEY_get_bits(key.get()) == 384 ? 48 : 0;
      algorithm = width == 32 ? "ES256" : width == 48 ? "ES384" : nullptr;
      if (width == 48) digest = EVP_sha384();
      break;
    default: break;
  }
  if (algorithm == nullptr) return fail(ErrorKind::Unavailable, "the key of the OAuth client " + client.id + " is neither RSA, P-256, P-384 nor Ed25519");
  std::string header = fmt::format(R"({{"alg":"{}","typ":"JWT")", algorithm);
  if (!client.key_id.empty()) header += R"(,"kid":)" + json::quote(client.key_id);
  const auto text = base64url(as_bytes(header + "}")) + "." + base64url(as_bytes(payload));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::size_t size = 0;
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  if (EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key.get()) != 1 || EVP_DigestSign(context.get(), nullptr, &size, data, text.size()) != 1)
    return fail(ErrorKind::Unavailable, "cannot sign with the key of the OAuth client " + client.id);
  Bytes signature(size);
  if (EVP_DigestSign(context.get(), signature.data(), &size, data, text.size()) != 1) return fail(ErrorKind::Unavailable, "cannot sign with the key of the OAuth client " + client.id);
  signature.resize(size);
  if (width != 0) signature = flat_signature(signature, width);
  return text + "." + base64url(signature);
}

std::string one_word(std::string_view text) {
  return text.size() <= 64 && std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; }) ? std::string(text) : std::string();
}

}  // namespace

std::vector<std::string> server_metadata_urls(const std::string& issuer) {
  const auto [origin, path] = parts_of(issuer);
  std::vector<std::string> out = {origin + "/.well-known/oauth-authorization-server" + path, origin + "/.well-known/openid-configuration" + path};
  if (!path.empty()) out.push_back(origin + path + "/.well-known/openid-configuration");
  return out;
}

std::vector<std::string> resource_metadata_urls(const std::string& resource) {
  const auto [origin, path] = parts_of(resource);
  std::vector<std::string> out = {origin + "/.well-known/oauth-protected-resource" + path};
  if (!path.empty()) out.push_back(origin + "/.well-known/oauth-protected-resource");
  return out;
}

Result<UpstreamEndpoints> read_server_metadata(const json::Value& document, const std::string& issuer) {
  if (!document.is_object() || document["issuer"].as_string() != issuer) return fail(ErrorKind::Malformed, "its metadata is another issuer's");
  const auto endpoint = [&](const char* name) {
    const std::string url(document[name].as_string());
    const bool fits = is_safe_url(url) && (!issuer.starts_with("https:") || url.starts_with("https:")) && url.find('#') == url.npos;
    return fits ? url : std::string();
  };
  UpstreamEndpoints out{issuer, endpoint("token_endpoint"), endpoint("authorization_endpoint"), endpoint("revocation_endpoint"),
                        document["authorization_response_iss_parameter_supported"].as_bool()};
  if (out.token.empty()) return fail(ErrorKind::Malformed, "its metadata names no usable token endpoint");
  return out;
}

Result<std::string> read_resource_metadata(const json::Value& document, const std::string& resource) {
  const auto named = without_slash(std::string(document["resource"].as_string()));
  // MCP lets the metadata be of the address or of one above it.
  if (!document.is_object() || named.empty() || !covers(named, without_slash(resource))) return fail(ErrorKind::Malformed, "its metadata is another resource's");
  const auto servers = document["authorization_servers"];
  if (!servers.is_array() || servers.size() == 0 || !is_safe_url(std::string((*servers.begin()).as_string()))) return fail(ErrorKind::Malformed, "its metadata names no authorization server");
  return std::string((*servers.begin()).as_string());
}

Result<TokenRequest> token_request(const UpstreamClient& client, const UpstreamEndpoints& at, FormFields fields, std::int64_t wall_ns) {
  TokenRequest out;
  // Whom the target names may be anybody, today or tomorrow. An assertion is good at the server that it was made for; a secret is good for whoever reads it.
  if (client.finds_issuer() && (client.proof == UpstreamClient::Proof::Basic || client.proof == UpstreamClient::Proof::Post))
    return fail(ErrorKind::Unavailable, "the secret of the OAuth client " + client.id + " goes to no server that the target names: set issuer or token_endpoint, or use a key");
  if (client.resource != "-") fields.emplace_back("resource", client.resource);
  if (client.proof == UpstreamClient::Proof::Basic) {
    TRY(const auto secret, client.secret.read());
    const auto pair = form_encoded({{client.id, secret}});  // RFC 6749 §2.3.1: both are form-encoded first
    out.user = pair.substr(0, pair.find('='));
    out.password = pair.substr(pair.find('=') + 1);
  } else {
    fields.emplace_back("client_id", client.id);
  }
  if (client.proof == UpstreamClient::Proof::Post) {
    TRY(auto secret, client.secret.read());
    fields.emplace_back("client_secret", std::move(secret));
  }
  if (client.proof == UpstreamClient::Proof::PrivateKey) {
    // For the issuer and nobody else (draft-ietf-oauth-rfc7523bis): another server that names this token endpoint as its own could use it otherwise.
    const auto& audience = at.issuer.empty() ? at.token : at.issuer;
    const auto payload = fmt::format(R"({{"iss":{0},"sub":{0},"aud":{1},"iat":{2},"exp":{3},"jti":"{4}"}})", json::quote(client.id), json::quote(audience), wall_ns / kSecond,
                                     wall_ns / kSecond + 60, random_name("jwt_"));
    TRY(auto assertion, signed_jwt(client, payload));
    fields.emplace_back("client_assertion_type", kAssertionType);
    fields.emplace_back("client_assertion", std::move(assertion));
  }
  out.form = form_encoded(fields);
  return out;
}

std::string upstream_authorization_url(const UpstreamClient& client, const UpstreamEndpoints& at, const std::string& redirect_uri, const std::string& state, const std::string& challenge) {
  FormFields fields = {{"response_type", "code"}, {"client_id", client.id}, {"redirect_uri", redirect_uri}, {"state", state}, {"code_challenge", challenge}, {"code_challenge_method", "S256"}};
  if (!client.scopes.empty()) {
    std::string text;
    for (const auto& scope : client.scopes) text += (text.empty() ? "" : " ") + scope;
    fields.emplace_back("scope", text);
  }
  if (client.resource != "-") fields.emplace_back("resource", client.resource);
  return at.authorization + (at.authorization.find('?') == std::string::npos ? "?" : "&") + form_encoded(fields);
}

Result<UpstreamToken> read_token_answer(long status, std::string body, std::int64_t wall_ns) {
  auto document = json::Document::parse(std::move(body), {.max_bytes = 256u << 10, .max_depth = 16, .max_nodes = 10'000});
  if (status != 200) {
    // The server's words are for nobody's screen; its word is.
    const auto error = document ? one_word(document->root()["error"].as_string()) : std::string();
    const bool its_own = status >= 500 || status == 429 || error.empty();
    return fail(its_own ? ErrorKind::Unavailable : ErrorKind::Denied, fmt::format("the authorization server answered {}{}{}", status, error.empty() ? "" : ": ", error));
  }
  if (!document || !document->root().is_object()) return fail(ErrorKind::Malformed, "the authorization server's answer is no JSON object");
  const auto root = document->root();
  UpstreamToken out{std::string(root["access_token"].as_string()), std::string(root["refresh_token"].as_string()), std::string(root["scope"].as_string()), 0};
  const auto plain = [](const std::string& text) { return text.size() <= 32768 && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; }); };
  if (out.access.empty() || !plain(out.access) || !plain(out.refresh)) return fail(ErrorKind::Malformed, "the authorization server's answer has no usable access_token");
  if (ascii_lower(root["token_type"].as_string()) != "bearer") return fail(ErrorKind::Malformed, "the authorization server gave a token that is no bearer token");
  if (const auto life = root["expires_in"]; life.kind() == json::Kind::Int && life.as_int() > 0) out.expires_wall_ns = wall_ns + std::min<std::int64_t>(life.as_int(), 365 * 86'400) * kSecond;
  return out;
}

}  // namespace sallyport::identity
