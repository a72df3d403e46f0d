// What MCP clients get at the token endpoint (RFC 6749 §4.1.3, §6), how they register (RFC 7591) and give tokens back (RFC 7009), and what a
// person sees and takes back of it. Tokens are good at the MCP door alone, for the resource that was asked for; refresh tokens come once.
#include "signin/oauth_error.h"
#include "signin/state.h"

namespace sallyport::signin {

using admin::Answer;
using admin::Call;
using admin::Form;
using admin::form_value;
using boost::asio::awaitable;
using identity::Reason;

namespace {

/// "Basic" with both parts form-encoded (RFC 6749 §2.3.1).
std::pair<std::string, std::string> basic_of(const net::Headers& headers) {
  const auto header = headers.get("Authorization");
  if (header.size() < 7 || (!header.starts_with("Basic ") && !header.starts_with("basic "))) return {};
  const auto bytes = from_base64(header.substr(6));
  const std::string text = bytes ? std::string(bytes->begin(), bytes->end()) : std::string();
  const auto colon = text.find(':');
  if (colon == text.npos) return {};
  auto id = admin::percent_decoded(text.substr(0, colon), true), secret = admin::percent_decoded(text.substr(colon + 1), true);
  return id && secret ? std::pair(*id, *secret) : std::pair<std::string, std::string>();
}

std::string consent_json(const identity::Consent& one) {
  std::string scopes;
  for (const auto& scope : one.scopes) scopes += (scopes.empty() ? "" : ",") + json::quote(scope);
  return fmt::format(R"({{"id":{},"client":{},"name":{},"resource":{},"scopes":[{}],"created":{},"changed":{}}})", json::quote(one.id), json::quote(one.client), json::quote(one.name),
                     json::quote(one.resource), scopes, json::quote(utc_text(one.created_wall_ns)), json::quote(utc_text(one.changed_wall_ns)));
}

}  // namespace

/// Which program calls. One with a secret shows it; the others have PKCE and tokens that come once. Errors: Denied, Unavailable.
awaitable<Result<OAuthClient>> SignIn::State::proven_client(const Call& call, const Form& form) {
  auto [id, secret] = basic_of(call.request.headers);
  const auto named = form_value(form, "client_id");
  if (id.empty()) id = named, secret = form_value(form, "client_secret");
  auto client = id.empty() || (!named.empty() && named != id) ? Result<OAuthClient>(fail(ErrorKind::Denied, "")) : co_await clients.find(id, call.peer);
  if (client && client->secret.set()) {
    const auto expected = client->secret.read();
    if (!expected) client = std::unexpected(expected.error());
    else if (!equal_constant_time(as_bytes(*expected), as_bytes(secret))) client = fail(ErrorKind::Denied, "");
  }
  if (client || client.error().kind != ErrorKind::Denied) co_return client;
  co_return std::unexpected(co_await services.authenticator.failed(Reason::UnknownClient, "token.client", call.peer));
}

/// The code's grant, when it was this client's and all fits. A code that comes twice, or wrongly, costs the sign-in that it stands for.
awaitable<std::optional<CodeGrant>> SignIn::State::spend_code(const Call& call, const Form& form, const std::string& client) {
  std::string ended, why = "its authorization code came a second time";
  auto grant = grants.take_code(std::string(form_value(form, "code")), services.clock.mono_ns(), ended);
  if (grant && (grant->client != client || grant->redirect_uri != form_value(form, "redirect_uri") || !identity::pkce_holds(form_value(form, "code_verifier"), grant->challenge))) {
    ended = grant->sign_in;
    why = "its authorization code came without its verifier, or from another program";
    grant.reset();
  }
  if (!ended.empty()) {
    identity::Revocation what;
    what.id = ended;
    (void)co_await services.directory.revoke(std::move(what), "", why);
  }
  co_return grant;
}

awaitable<Answer> SignIn::State::code_of_client(Call call, Form form) {
  const auto client = co_await proven_client(call, form);
  if (!client) co_return client.error().kind == ErrorKind::Denied ? oauth_error(401, "invalid_client", "this program is not known here, or did not prove itself") : oauth_error(503, "temporarily_unavailable", client.error().what);
  const auto grant = co_await spend_code(call, form, client->id);
  if (!grant) co_return co_await refuse_grant(call, Reason::WrongCode, "invalid_grant", "sign-in.code");
  if (const auto asked = std::string(form_value(form, "resource")); !asked.empty() && resource_of(asked) != grant->resource) {
    identity::Revocation what;
    what.id = grant->sign_in;
    (void)co_await services.directory.revoke(std::move(what), "", "its code was shown for another resource");
    co_return oauth_error(400, "invalid_target", "the code is for another resource");
  }
  const auto parent = co_await services.directory.find_sign_in(grant->sign_in);
  if (!parent) co_return oauth_error(503, "temporarily_unavailable", parent.error().what);
  if (!*parent) co_return oauth_error(400, "invalid_grant", "the sign-in has ended; begin again");
  co_return co_await give_client_tokens(call, {grant->sign_in, grant->client, grant->agent, grant->resource, identity::parse_scopes(grant->scopes).value_or(identity::Scopes()), (*parent)->expires_wall_ns}, "");
}

awaitable<Answer> SignIn::State::refresh(Call call, Form form) {
  constexpr auto kAction = "token.refresh";
  const auto client = co_await proven_client(call, form);
  if (!client) co_return client.error().kind == ErrorKind::Denied ? oauth_error(401, "invalid_client", "this program is not known here, or did not prove itself") : oauth_error(503, "temporarily_unavailable", client.error().what);
  const auto asked = identity::parse_scopes(form_value(form, "scope"));
  if (!asked) co_return oauth_error(400, "invalid_scope", "scope is not well-formed");
  auto used = co_await services.oauth.use_refresh(std::string(form_value(form, "refresh_token")), client->id);
  if (!used) co_return oauth_error(503, "temporarily_unavailable", used.error().what);
  if (used->outcome == identity::RefreshUse::Outcome::Reused) {
    identity::Revocation what;
    what.id = used->terms.sign_in;
    (void)co_await services.directory.revoke(std::move(what), "", "its refresh token came a second time");
    co_return co_await refuse_grant(call, Reason::Replayed, "invalid_grant", kAction);
  }
  if (used->outcome == identity::RefreshUse::Outcome::Unknown) co_return co_await refuse_grant(call, Reason::UnknownToken, "invalid_grant", kAction);
  if (const auto resource = std::string(form_value(form, "resource")); !resource.empty() && resource_of(resource) != used->terms.resource) {
    (void)co_await services.oauth.give_back_refresh(std::string(form_value(form, "refresh_token")));
    co_return oauth_error(400, "invalid_target", "the token is for another resource");
  }
  identity::Scopes narrowed = {"mcp"};
  for (const auto& one : *asked)
    if (std::ranges::binary_search(used->terms.scopes, one)) narrowed.push_back(one);
  auto answer = co_await give_client_tokens(call, used->terms, asked->empty() ? "" : identity::scopes_text(identity::sorted_scopes(std::move(narrowed))));
  // Nothing was given: the program may try once more with what it has.
  if (answer.status == 503) (void)co_await services.oauth.give_back_refresh(std::string(form_value(form, "refresh_token")));
  co_return answer;
}

/// `narrowed`: scopes of this one access token, "" for all that were granted.
awaitable<Answer> SignIn::State::give_client_tokens(const Call& call, identity::RefreshTerms given, std::string narrowed) {
  const auto parent = co_await services.directory.find_sign_in(given.sign_in);
  if (!parent) co_return oauth_error(503, "temporarily_unavailable", parent.error().what);
  if (!*parent || (*parent)->client != given.client) co_return oauth_error(400, "invalid_grant", "what was allowed has ended; begin again");
  identity::TokenTerms terms;
  terms.issuer = (*parent)->issuer;
  terms.subject = (*parent)->subject;
  terms.agent = given.agent;
  terms.method = "oauth";
  terms.sign_in = given.sign_in;
  terms.label = given.client.substr(0, 100);
  terms.peer = call.peer;
  terms.door = identity::Door::Mcp;
  terms.resource = given.resource == services.door.public_url ? given.resource + "/mcp" : given.resource;
  terms.scoped = true;
  terms.scopes = narrowed.empty() ? given.scopes : identity::parse_scopes(narrowed).value_or(identity::Scopes());
  terms.expires_wall_ns = std::min((*parent)->expires_wall_ns, services.clock.wall_ns() + config->token_lifetime_ns);
  const auto scope = identity::scopes_text(terms.scopes);
  auto issued = co_await services.directory.issue(std::move(terms));
  if (!issued) co_return issued.error().kind == ErrorKind::Denied ? oauth_error(400, "invalid_grant", issued.error().what) : oauth_error(503, "temporarily_unavailable", issued.error().what);
  auto refresh_token = co_await services.oauth.make_refresh(std::move(given));
  if (!refresh_token) co_return oauth_error(503, "temporarily_unavailable", refresh_token.error().what);
  co_return token_answer(std::move(issued), fmt::format(R"("refresh_token":{},"scope":{},)", json::quote(*refresh_token), json::quote(scope)));
}

awaitable<Answer> SignIn::State::register_client(Call call) {
  if (!config->oauth.on || !config->oauth.registration) co_return oauth_error(403, "access_denied", "programs do not register themselves here; ask an administrator");
  if (!registrations.begin(identity::address_of(call.peer), services.clock.mono_ns())) co_return oauth_error(429, "temporarily_unavailable", "too many registrations; try again in a minute");
  const auto client = read_registration(call.request.body);
  if (!client) co_return oauth_error(400, client.error().what.find("redirect") == std::string::npos ? "invalid_client_metadata" : "invalid_redirect_uri", client.error().what);
  auto made = co_await services.oauth.add_client(client->name, registration_text(*client, "", 0), call.peer, static_cast<std::size_t>(config->oauth.registrations));
  if (!made) co_return oauth_error(made.error().kind == ErrorKind::Overloaded ? 429 : 503, "temporarily_unavailable", made.error().what);
  co_return admin::json_answer(registration_text(*client, made->id, made->created_wall_ns), 201);
}

/// RFC 7009: a refresh token takes all of its sign-in with it, an access token itself. What is not known is revoked already.
awaitable<Answer> SignIn::State::revoke_by_client(Call call) {
  auto form = admin::read_form(call.request);
  if (!form) co_return oauth_error(400, "invalid_request", form.error().what);
  const auto client = co_await proven_client(call, *form);
  if (!client) co_return client.error().kind == ErrorKind::Denied ? oauth_error(401, "invalid_client", "this program is not known here, or did not prove itself") : oauth_error(503, "temporarily_unavailable", client.error().what);
  const std::string token(form_value(*form, "token"));
  identity::Revocation what;
  auto sign_in = co_await services.oauth.sign_in_of_refresh(token, client->id);
  if (!sign_in) co_return oauth_error(503, "temporarily_unavailable", sign_in.error().what);
  what.id = sign_in->empty() ? co_await services.directory.id_of(sha256(as_bytes(token))) : *sign_in;
  if (!what.id.empty())
    if (auto ended = co_await services.directory.revoke(std::move(what), "", "given back by " + client->id.substr(0, 200)); !ended) co_return oauth_error(503, "temporarily_unavailable", ended.error().what);
  co_return admin::json_answer("{}");
}

awaitable<Answer> SignIn::State::list_consents(Call call) {
  auto all = co_await services.oauth.consents(call.who->issuer, call.who->subject);
  if (!all) co_return admin::problem_of(all.error(), call.request_id);
  std::string items;
  for (const auto& one : *all) items += (items.empty() ? "" : ",") + consent_json(one);
  co_return admin::json_answer("{\"consents\":[" + items + "]}");
}

awaitable<Answer> SignIn::State::withdraw_consent(Call call) {
  if (call.who->is_agent()) co_return admin::problem(403, "denied", "a program does not say what programs may", call.request_id);
  auto gone = co_await services.oauth.withdraw(call.param("id"), call.who->issuer, call.who->subject);
  if (!gone) co_return admin::problem_of(gone.error(), call.request_id);
  if (!*gone) co_return admin::problem(404, "not found", "there is no such consent of yours", call.request_id);
  identity::Revocation what;
  what.issuer = (*gone)->issuer;
  what.subject = (*gone)->subject;
  what.client = (*gone)->client;
  auto ended = co_await services.directory.revoke(std::move(what), call.who->subject, "consent withdrawn");
  if (!ended) co_return admin::problem_of(ended.error(), call.request_id);
  co_return admin::json_answer(fmt::format(R"({{"ended":{}}})", *ended));
}

void add_client_routes(SignIn::State& state, admin::Routes& out) {
  using admin::Handler;
  using admin::Permission;
  auto* s = &state;
  const auto does = [s](awaitable<Answer> (SignIn::State::*what)(Call)) { return Handler([s, what](Call call) { return (s->*what)(std::move(call)); }); };
  out.push_back({.method = "POST", .pattern = "/oauth/register", .summary = "A program registers itself (RFC 7591), where the configuration allows it.", .takes = "application/json", .gives = "application/json",
                 .status = 201, .body_bytes = kMaxClientDocument, .handler = does(&SignIn::State::register_client)});
  out.push_back({.method = "POST", .pattern = "/oauth/revoke", .summary = "A program gives a token back (RFC 7009).", .takes = "application/x-www-form-urlencoded", .gives = "application/json",
                 .handler = does(&SignIn::State::revoke_by_client)});
  out.push_back({.method = "GET", .pattern = "/api/consents", .need = Permission::OwnTokens, .summary = "Programs that the caller allowed to act for them.", .gives = R"({"type":"object"})",
                 .handler = does(&SignIn::State::list_consents)});
  out.push_back({.method = "DELETE", .pattern = "/api/consents/{id}", .need = Permission::OwnTokens, .summary = "Takes a consent back, with every token of that program.", .gives = "Ended",
                 .handler = does(&SignIn::State::withdraw_consent)});
}

}  // namespace sallyport::signin
