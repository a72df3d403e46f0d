#include "signin/oidc_provider.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "identity/jwt.h"

namespace sallyport::signin {

namespace asio = boost::asio;
using asio::awaitable;
using identity::Judged;
using identity::OidcConfig;
using identity::Reason;

namespace {

constexpr std::size_t kMaxAnswer = 1u << 20;

/// A JWT's payload cannot leave its Jwt: it is parsed once more, from the text that was verified.
Judged<json::Document> payload_of(const std::string& token) {
  const auto first = token.find('.'), second = token.rfind('.');
  if (first == token.npos || second <= first) return std::unexpected(Reason::Malformed);
  auto bytes = from_base64url(std::string_view(token).substr(first + 1, second - first - 1));
  if (!bytes) return std::unexpected(Reason::Malformed);
  auto document = json::Document::parse(std::string(bytes->begin(), bytes->end()));
  if (!document) return std::unexpected(Reason::Malformed);
  return std::move(*document);
}

identity::Person person_of(const OidcConfig& config, identity::Claims claims) {
  identity::Person out;
  out.issuer = config.issuer;
  out.subject = std::move(claims.subject);
  out.display_name = std::move(claims.name);
  out.groups = std::move(claims.groups);
  out.email = std::move(claims.email);
  return out;
}

std::string secrets_of(const json::Value& answer, const std::string& old_refresh, const std::string& id_token) {
  const auto refresh = answer["refresh_token"].is_string() ? std::string(answer["refresh_token"].as_string()) : old_refresh;
  return fmt::format(R"({{"refresh_token":{},"id_token":{}}})", json::quote(refresh), json::quote(id_token));
}

}  // namespace

awaitable<Judged<json::Document>> OidcProvider::call(identity::ProviderCall call) {
  auto work = [](identity::ProviderCall what) -> awaitable<Result<identity::ProviderAnswer>> { co_return identity::curl_call(what); };
  auto answer = co_await asio::co_spawn(pool_.get_executor(), work(std::move(call)), asio::use_awaitable);
  if (!answer || answer->status >= 500 || answer->status == 429) co_return std::unexpected(Reason::KeysUnavailable);
  auto document = json::Document::parse(std::move(answer->body), {.max_bytes = kMaxAnswer, .max_depth = 32, .max_nodes = 50'000});
  if (!document || !document->root().is_object()) co_return std::unexpected(answer->status == 200 ? Reason::Malformed : Reason::KeysUnavailable);
  if (answer->status != 200 || document->root()["error"].valid()) {
    // Our own client being refused says nothing about the person.
    const auto error = document->root()["error"].as_string();
    co_return std::unexpected(error == "invalid_grant" ? Reason::RefusedByProvider : Reason::KeysUnavailable);
  }
  co_return std::move(*document);
}

awaitable<Judged<json::Document>> OidcProvider::ask(const OidcConfig& config, std::vector<std::pair<std::string, std::string>> form) {
  auto known = co_await keys_->metadata(config.issuer);
  if (!known || (*known)->token_endpoint.empty()) co_return std::unexpected(Reason::KeysUnavailable);
  identity::ProviderCall out;
  out.url = (*known)->token_endpoint;
  out.ca_file = config.ca_file;
  if (config.client_secret.set()) {
    auto secret = config.client_secret.read();
    if (!secret) co_return std::unexpected(Reason::StateUnavailable);
    // RFC 6749 §2.3.1: both are form-encoded first.
    const auto pair = identity::form_encoded({{config.client_id, *secret}});
    const auto equals = pair.find('=');
    out.user = pair.substr(0, equals);
    out.password = pair.substr(equals + 1);
  } else {
    form.emplace_back("client_id", config.client_id);
  }
  out.form = identity::form_encoded(form);
  co_return co_await call(std::move(out));
}

awaitable<Judged<json::Document>> OidcProvider::verified(const OidcConfig& config, std::string token, std::string_view type) {
  auto jwt = identity::Jwt::parse(token, type);
  if (!jwt) co_return std::unexpected(jwt.error());
  auto keys = co_await keys_->keys(config.issuer, jwt->kid());
  if (!keys) co_return std::unexpected(Reason::KeysUnavailable);
  const auto holds = jwt->verify(**keys, config.algorithms);
  if (!holds) co_return std::unexpected(holds.error());
  co_return payload_of(token);
}

/// The ID token's claims; groups that it leaves out are asked for at the userinfo endpoint, where many providers keep them (Core §5.4).
awaitable<Judged<identity::IdToken>> OidcProvider::read(const OidcConfig& config, std::string token, std::string access_token, std::string nonce) {
  auto payload = co_await verified(config, token, "");
  if (!payload) co_return std::unexpected(payload.error());
  auto said = identity::read_id_token(payload->root(), config, nonce, clock_.wall_ns());
  if (!said || access_token.empty() || identity::has_claim(payload->root(), config.groups_claim)) co_return said;
  auto known = co_await keys_->metadata(config.issuer);
  if (!known) co_return std::unexpected(Reason::KeysUnavailable);
  if ((*known)->userinfo_endpoint.empty()) co_return said;
  identity::ProviderCall out;
  out.url = (*known)->userinfo_endpoint;
  out.bearer = std::move(access_token);
  out.ca_file = config.ca_file;
  auto more = co_await call(std::move(out));
  if (!more) co_return std::unexpected(more.error());
  // Core §5.3.2: without the same subject it is another person's.
  if (more->root()["sub"].as_string() != payload->root()["sub"].as_string()) co_return std::unexpected(Reason::BadSubject);
  if (const auto added = identity::add_claims(said->claims, more->root(), config); !added) co_return std::unexpected(added.error());
  co_return said;
}

awaitable<Judged<Arrival>> OidcProvider::exchange(const OidcConfig& config, std::string code, std::string redirect_uri, std::string verifier, std::string nonce) {
  auto answer = co_await ask(config, {{"grant_type", "authorization_code"}, {"code", std::move(code)}, {"redirect_uri", std::move(redirect_uri)}, {"code_verifier", std::move(verifier)}});
  if (!answer) co_return std::unexpected(answer.error());
  const std::string token(answer->root()["id_token"].as_string());
  if (token.empty()) co_return std::unexpected(Reason::Malformed);
  auto said = co_await read(config, token, std::string(answer->root()["access_token"].as_string()), std::move(nonce));
  if (!said) co_return std::unexpected(said.error());
  Arrival out;
  out.person = person_of(config, std::move(said->claims));
  out.method = "oidc-sign-in";
  out.provider = config.name;
  out.provider_session = std::move(said->session);
  out.secrets = secrets_of(answer->root(), "", token);
  out.asks = !answer->root()["refresh_token"].as_string().empty();
  co_return out;
}

awaitable<Judged<Arrival>> OidcProvider::refresh(const OidcConfig& config, std::string secrets, const identity::Person& known) {
  auto kept = json::Document::parse(secrets.empty() ? "{}" : std::move(secrets));
  if (!kept) co_return std::unexpected(Reason::StateUnavailable);
  const std::string refresh(kept->root()["refresh_token"].as_string()), old_id_token(kept->root()["id_token"].as_string());
  if (refresh.empty()) co_return std::unexpected(Reason::KeysUnavailable);
  auto answer = co_await ask(config, {{"grant_type", "refresh_token"}, {"refresh_token", refresh}});
  if (!answer) co_return std::unexpected(answer.error());
  Arrival out;
  out.person = known;
  const std::string token(answer->root()["id_token"].as_string());
  out.secrets = secrets_of(answer->root(), refresh, token.empty() ? old_id_token : token);
  if (token.empty()) co_return out;  // Core §12.2 lets a provider leave it out: then the sign-in holds, and nothing new is known
  auto said = co_await read(config, token, std::string(answer->root()["access_token"].as_string()), "");
  if (!said) co_return std::unexpected(said.error());
  if (said->claims.subject != known.subject) co_return std::unexpected(Reason::BadSubject);
  out.person = person_of(config, std::move(said->claims));
  co_return out;
}

awaitable<Judged<identity::LogoutToken>> OidcProvider::logout(const OidcConfig& config, std::string token) {
  auto payload = co_await verified(config, std::move(token), "logout+jwt");
  if (!payload) co_return std::unexpected(payload.error());
  co_return identity::read_logout_token(payload->root(), config, clock_.wall_ns());
}

}  // namespace sallyport::signin
