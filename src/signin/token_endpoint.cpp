// The OAuth endpoints that programs call: codes and device grants become tokens. Errors are RFC 6749 §5.2's. The command line is a public
// client: PKCE and the loopback port are its proof.
#include "signin/oauth_error.h"
#include "signin/state.h"

namespace sallyport::signin {

using admin::Answer;
using admin::Call;
using admin::form_value;
using boost::asio::awaitable;

awaitable<Answer> SignIn::State::give_token(const Call& call, std::string sign_in) {
  auto parent = co_await services.directory.find_sign_in(sign_in);
  if (!parent) co_return oauth_error(503, "temporarily_unavailable", parent.error().what);
  if (!*parent) co_return oauth_error(400, "invalid_grant", "the sign-in has ended; begin again");
  identity::TokenTerms terms;
  terms.issuer = (*parent)->issuer;
  terms.subject = (*parent)->subject;
  terms.sign_in = sign_in;
  terms.label = "sign-in";
  terms.peer = call.peer;
  terms.door = identity::Door::Api;
  terms.expires_wall_ns = (*parent)->expires_wall_ns;
  auto issued = co_await services.directory.issue(std::move(terms));
  co_return token_answer(std::move(issued), fmt::format(R"("sign_in":{},)", json::quote(sign_in)));
}

awaitable<Answer> SignIn::State::token(Call call) {
  auto form = admin::read_form(call.request);
  if (!form) co_return oauth_error(400, "invalid_request", form.error().what);
  const auto value = [&](std::string_view name) { return std::string(form_value(*form, name)); };
  const auto type = value("grant_type");
  const auto now = services.clock.mono_ns();
  if (config->oauth.on && type == "refresh_token") co_return co_await refresh(std::move(call), std::move(*form));
  if (type == "client_credentials") co_return co_await client_credentials(std::move(call), std::move(*form));
  if (type == "urn:ietf:params:oauth:grant-type:jwt-bearer") co_return co_await workload(std::move(call), std::move(*form));
  if (type == "urn:ietf:params:oauth:grant-type:token-exchange") co_return co_await exchange(std::move(call), std::move(*form));
  if (type != "authorization_code" && type != "urn:ietf:params:oauth:grant-type:device_code")
    co_return oauth_error(400, "unsupported_grant_type", "see /.well-known/oauth-authorization-server for what there is");
  if (config->oauth.on && type == "authorization_code" && value("client_id") != kClientId) co_return co_await code_of_client(std::move(call), std::move(*form));
  if (value("client_id") != kClientId) co_return oauth_error(401, "invalid_client", "client_id is not known here");
  if (type == "authorization_code") {
    const auto grant = co_await spend_code(call, *form, "");
    if (!grant) co_return co_await refuse_grant(call, identity::Reason::WrongCode, "invalid_grant", "sign-in.code");
    co_return co_await give_token(call, grant->sign_in);
  }
  std::string sign_in;
  switch (grants.poll_device(value("device_code"), now, sign_in)) {
    case DevicePoll::Pending: co_return oauth_error(400, "authorization_pending", "nobody has said yes yet");
    case DevicePoll::SlowDown: co_return oauth_error(400, "slow_down", "ask five seconds later than before");
    case DevicePoll::Denied: co_return oauth_error(400, "access_denied", "the person said no");
    case DevicePoll::Expired: co_return oauth_error(400, "expired_token", "the code is over or not known; begin again");
    case DevicePoll::Granted: break;
  }
  co_return co_await give_token(call, std::move(sign_in));
}

awaitable<Answer> SignIn::State::begin_device(Call call) {
  auto form = admin::read_form(call.request);
  if (!form || form_value(*form, "client_id") != kClientId) co_return oauth_error(401, "invalid_client", "client_id is not known here");
  const auto made = grants.begin_device(identity::address_of(call.peer), services.clock.mono_ns());
  if (!made) co_return oauth_error(429, "slow_down", "too many devices wait; try again in a minute");
  const auto shown = made->user_code.substr(0, 4) + "-" + made->user_code.substr(4);
  co_return admin::json_answer(fmt::format(R"({{"device_code":{},"user_code":{},"verification_uri":{},"expires_in":{},"interval":5}})", json::quote(made->device_code), json::quote(shown),
                                           json::quote(services.own_origin + "/device"), Grants::kDeviceLife / 1'000'000'000));
}

Answer SignIn::State::metadata() const {
  const auto at = [&](const char* path) { return json::quote(services.own_origin + path); };
  const bool clients_come = config->oauth.on;
  std::string out = fmt::format(R"({{"issuer":{},"authorization_endpoint":{},"token_endpoint":{},"device_authorization_endpoint":{},"response_types_supported":["code"],"grant_types_supported":["authorization_code",{})"
                                R"("urn:ietf:params:oauth:grant-type:device_code","client_credentials","urn:ietf:params:oauth:grant-type:jwt-bearer","urn:ietf:params:oauth:grant-type:token-exchange"],)"
                                R"("code_challenge_methods_supported":["S256"],"token_endpoint_auth_methods_supported":["none",{}"private_key_jwt"],)"
                                R"("token_endpoint_auth_signing_alg_values_supported":["RS256","PS256","ES256","ES384","EdDSA"],"authorization_response_iss_parameter_supported":true)",
                                json::quote(services.own_origin), at("/oauth/authorize"), at("/oauth/token"), at("/oauth/device_authorization"), clients_come ? R"("refresh_token",)" : "",
                                clients_come ? R"("client_secret_basic","client_secret_post",)" : "");
  if (clients_come) {
    std::string scopes;
    for (const auto& one : services.door.scopes) scopes += (scopes.empty() ? "" : ",") + json::quote(one);
    const auto& oauth = config->oauth;
    const bool documents = !oauth.document_hosts.empty() || std::ranges::any_of(oauth.clients, [](const auto& one) { return one.redirect_uris.empty(); });
    out += fmt::format(R"(,"revocation_endpoint":{},"scopes_supported":[{}],"client_id_metadata_document_supported":{})", at("/oauth/revoke"), scopes, documents);
    if (oauth.registration) out += R"(,"registration_endpoint":)" + at("/oauth/register");
  }
  return admin::json_answer(out + "}");
}

}  // namespace sallyport::signin
