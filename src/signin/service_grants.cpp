// Grants without a person at the door: a service proves itself with its key (RFC 7523 §2.2) or with a token of the platform that it runs on (RFC
// 7523 §2.1), and an agent that is such a service exchanges a person's token for one that says who acts for whom (RFC 8693).
#include <fstream>
#include <iterator>

#include "identity/jwt.h"
#include "signin/oauth_error.h"
#include "signin/state.h"

namespace sallyport::signin {

using admin::Answer;
using admin::Call;
using admin::Form;
using admin::form_value;
using boost::asio::awaitable;
using identity::Judged;
using identity::Reason;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kLongestAssertion = 600 * kSecond;   // what a service signs for itself
constexpr std::size_t kMaxSeen = 100'000;
constexpr const char* kAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

Judged<identity::Keys> keys_of(const std::string& path) {
  std::ifstream in(path);
  if (!in) return std::unexpected(Reason::StateUnavailable);
  auto keys = identity::parse_jwks(std::string(std::istreambuf_iterator<char>(in), {}));
  if (!keys) return std::unexpected(Reason::StateUnavailable);
  return std::move(*keys);
}

struct Times {
  std::int64_t issued = 0, expires = 0;
};
Judged<Times> times_of(const json::Value& payload, std::int64_t now, std::int64_t leeway) {
  const auto at = [&](const char* name) { return payload[name].kind() == json::Kind::Int && payload[name].as_int() >= 0 && payload[name].as_int() < 9'000'000'000 ? payload[name].as_int() * kSecond : -1; };
  if (!payload["exp"].valid()) return std::unexpected(Reason::NoExpiry);
  const Times out{at("iat"), at("exp")};
  if (out.expires < 0 || (payload["iat"].valid() && out.issued < 0) || (payload["nbf"].valid() && at("nbf") < 0)) return std::unexpected(Reason::BadTime);
  if (now >= out.expires + leeway) return std::unexpected(Reason::Expired);
  if (out.issued > now + leeway || at("nbf") > now + leeway) return std::unexpected(Reason::NotYetValid);
  return out;
}

bool is_for(const json::Value& audience, std::string_view wanted) {
  if (audience.is_string()) return audience.as_string() == wanted;
  if (!audience.is_array()) return false;
  for (const auto one : audience)
    if (one.is_string() && one.as_string() == wanted) return true;
  return false;
}

/// "repo:org/app:ref:refs/heads/main", or with a * at its end whatever begins so.
bool matches(std::string_view pattern, std::string_view text) {
  return pattern.ends_with('*') ? text.starts_with(pattern.substr(0, pattern.size() - 1)) : pattern == text;
}

bool claims_hold(const identity::FederationRule& rule, const json::Value& payload) {
  return std::ranges::all_of(rule.claims, [&](const auto& claim) { return payload[claim.first].is_string() && payload[claim.first].as_string() == claim.second; });
}

identity::Door door_of(const Form& form, bool& known) {
  identity::Door door = identity::Door::Any;
  const auto name = form_value(form, "audience");
  known = name.empty() || identity::parse_door(name, door);
  return door;
}

}  // namespace

/// False when it came before, or too many are remembered.
bool SignIn::State::first_time(const std::string& id, std::int64_t until_wall_ns) {
  const auto now = services.clock.wall_ns();
  std::erase_if(assertions, [&](const auto& one) { return one.second <= now; });
  return assertions.size() < kMaxSeen && assertions.emplace(id, until_wall_ns).second;
}

/// private_key_jwt: the service signs, with a key that the configuration names, that it is itself and talks to us.
awaitable<Judged<std::string>> SignIn::State::judge_client_assertion(const Form& form) {
  const std::string assertion(form_value(form, "client_assertion"));
  if (form_value(form, "client_assertion_type") != kAssertionType || assertion.empty()) co_return std::unexpected(Reason::Malformed);
  auto jwt = identity::Jwt::parse(assertion, "client-authentication+jwt");
  if (!jwt) co_return std::unexpected(jwt.error());
  const auto payload = jwt->payload();
  const std::string name(payload["sub"].as_string());
  const auto named = form_value(form, "client_id");
  const auto user = config->users.find(name);
  if (name.empty() || payload["iss"].as_string() != name || (!named.empty() && named != name) || user == config->users.end() || !user->second.service || user->second.keys_file.empty())
    co_return std::unexpected(Reason::UnknownUser);
  const auto own = keys_of(user->second.keys_file);
  if (!own) co_return std::unexpected(own.error());
  static const std::vector<std::string> kAlgorithms = {"RS256", "PS256", "ES256", "ES384", "EdDSA"};
  if (const auto holds = jwt->verify(*own, kAlgorithms); !holds) co_return std::unexpected(holds.error());
  if (!is_for(payload["aud"], services.own_origin) && !is_for(payload["aud"], services.own_origin + "/oauth/token")) co_return std::unexpected(Reason::WrongAudience);
  const auto now = services.clock.wall_ns();
  const auto times = times_of(payload, now, 30 * kSecond);
  if (!times) co_return std::unexpected(times.error());
  if (times->expires > now + kLongestAssertion) co_return std::unexpected(Reason::BadTime);
  const auto id = payload["jti"].as_string();
  if (id.empty() || !first_time(name + "\n" + std::string(id), times->expires + 60 * kSecond)) co_return std::unexpected(Reason::Replayed);
  co_return name;
}

/// Workload identity: the platform's token names the workload, the configuration says which service that is.
awaitable<Judged<std::string>> SignIn::State::judge_workload(std::string assertion) {
  auto jwt = identity::Jwt::parse(assertion);
  if (!jwt) co_return std::unexpected(jwt.error());
  const auto payload = jwt->payload();
  const auto cfg = config;
  const auto at = std::ranges::find_if(cfg->federation, [&](const auto& one) { return payload["iss"].as_string() == one.oidc.issuer && is_for(payload["aud"], one.oidc.audience); });
  if (at == cfg->federation.end()) co_return std::unexpected(Reason::UnknownIssuer);
  const auto times = times_of(payload, services.clock.wall_ns(), at->oidc.leeway_ns);
  if (!times) co_return std::unexpected(times.error());
  auto known = co_await keys->keys(at->oidc.issuer, jwt->kid());
  if (!known) co_return std::unexpected(Reason::KeysUnavailable);
  if (const auto holds = jwt->verify(**known, at->oidc.algorithms); !holds) co_return std::unexpected(holds.error());
  const auto subject = payload["sub"].as_string();
  for (const auto& rule : at->rules) {
    if (subject.empty() || !matches(rule.subject, subject) || !claims_hold(rule, payload)) continue;
    const auto user = cfg->users.find(rule.service);
    if (user == cfg->users.end() || !user->second.service) continue;
    co_return rule.service;
  }
  co_return std::unexpected(Reason::BadSubject);
}

/// `resource` (RFC 8707) and `scope` of a request: they take away, and never add. What is wrong as an OAuth error, or nothing.
std::optional<Answer> SignIn::State::narrow(const Form& form, identity::TokenTerms& terms) const {
  if (const std::string asked(form_value(form, "resource")); !asked.empty()) {
    terms.resource = resource_of(asked);
    if (terms.resource.empty() || (terms.door != identity::Door::Any && terms.door != identity::Door::Mcp)) return oauth_error(400, "invalid_target", "resource is none of this gateway's MCP targets");
    if (terms.resource == services.door.public_url) terms.resource += "/mcp";
    terms.door = identity::Door::Mcp;
  }
  const auto asked = identity::parse_scopes(form_value(form, "scope"));
  if (!asked) return oauth_error(400, "invalid_scope", "scope is not well-formed");
  if (asked->empty()) return std::nullopt;
  identity::Scopes kept;
  for (const auto& one : *asked)
    if (std::ranges::binary_search(services.door.scopes, one) && (!terms.scoped || std::ranges::binary_search(terms.scopes, one))) kept.push_back(one);
  terms.scoped = true;
  terms.scopes = std::move(kept);
  return std::nullopt;
}

awaitable<Answer> SignIn::State::give_service_token(const Call& call, const Form& form, std::string service, std::string method) {
  bool known = false;
  identity::TokenTerms terms;
  terms.door = door_of(form, known);
  if (!known) co_return oauth_error(400, "invalid_target", "audience is any, api, mcp or database");
  if (auto wrong = narrow(form, terms)) co_return std::move(*wrong);
  terms.issuer = "local";
  terms.subject = terms.login = std::move(service);
  terms.method = std::move(method);
  terms.peer = call.peer;
  terms.expires_wall_ns = services.clock.wall_ns() + config->token_lifetime_ns;
  const auto scope = terms.scoped ? fmt::format(R"("scope":{},)", json::quote(identity::scopes_text(terms.scopes))) : std::string();
  co_return token_answer(co_await services.directory.issue(std::move(terms)), scope);
}

Answer SignIn::State::token_answer(Result<identity::IssuedToken> issued, std::string_view more) const {
  if (!issued) {
    const bool denied = issued.error().kind == ErrorKind::Denied;
    return oauth_error(denied ? 400 : 503, denied ? "invalid_grant" : "temporarily_unavailable", issued.error().what);
  }
  const auto left = (issued->principal->expires_wall_ns - services.clock.wall_ns()) / kSecond;
  return admin::json_answer(fmt::format(R"({{"access_token":{},"token_type":"Bearer","expires_in":{},{}"display":{},"expires":{}}})", json::quote(issued->token), left, more,
                                        json::quote(issued->principal->display()), json::quote(utc_text(issued->principal->expires_wall_ns))));
}

awaitable<Answer> SignIn::State::refuse_grant(const Call& call, Reason reason, const char* error, std::string action) {
  const auto failed = co_await services.authenticator.failed(reason, std::move(action), call.peer);
  if (failed.kind == ErrorKind::Denied) co_return oauth_error(std::string_view(error) == "invalid_client" ? 401 : 400, error, "this is not good here; the gateway's record says why");
  co_return oauth_error(503, "temporarily_unavailable", failed.what);
}

awaitable<Answer> SignIn::State::client_credentials(Call call, Form form) {
  auto service = co_await judge_client_assertion(form);
  if (!service) co_return co_await refuse_grant(call, service.error(), "invalid_client", "token.client-credentials");
  co_return co_await give_service_token(call, form, std::move(*service), "service-key");
}

awaitable<Answer> SignIn::State::workload(Call call, Form form) {
  auto service = co_await judge_workload(std::string(form_value(form, "assertion")));
  if (!service) co_return co_await refuse_grant(call, service.error(), "invalid_grant", "token.workload");
  co_return co_await give_service_token(call, form, std::move(*service), "workload");
}

/// The subject is a person, the actor a service: what comes out is the person with that agent, and can do no more than both (identity/person.h).
awaitable<Answer> SignIn::State::exchange(Call call, Form form) {
  constexpr auto kAction = "token.exchange";
  bool known = false;
  identity::TokenTerms terms;
  terms.door = door_of(form, known);
  if (!known || terms.door == identity::Door::Api) co_return oauth_error(400, "invalid_target", "audience is any, mcp or database");
  auto subject = co_await services.authenticator.authenticate(std::string(form_value(form, "subject_token")), identity::Door::Any, call.peer);
  if (!subject) co_return subject.error().kind == ErrorKind::Denied ? oauth_error(400, "invalid_grant", "the subject_token is not good here") : oauth_error(503, "temporarily_unavailable", subject.error().what);
  auto actor = co_await services.authenticator.authenticate(std::string(form_value(form, "actor_token")), identity::Door::Any, call.peer);
  if (!actor) co_return actor.error().kind == ErrorKind::Denied ? oauth_error(400, "invalid_grant", "the actor_token is not good here") : oauth_error(503, "temporarily_unavailable", actor.error().what);
  const auto& person = **subject;
  terms.scoped = person.scoped;   // what its provider limited stays limited
  terms.scopes = person.scopes;
  if (auto wrong = narrow(form, terms)) co_return std::move(*wrong);
  // Neither's token opens more doors this way than by itself; what `sallyport login` keeps stands for the person everywhere.
  const auto opens = [&](const identity::Principal& who) { return who.door == identity::Door::Any || who.door == terms.door || (who.door == identity::Door::Api && !who.sign_in.empty()); };
  if (!opens(person) || !opens(**actor)) co_return co_await refuse_grant(call, Reason::WrongDoor, "invalid_grant", kAction);
  const bool fits = !person.is_agent() && person.method != "break-glass" && (*actor)->service && (*actor)->agent.empty() && identity::is_agent_name((*actor)->subject);
  if (!fits) co_return co_await refuse_grant(call, Reason::BadActor, "invalid_grant", kAction);
  if (person.issuer != "local" && !services.directory.find(person.person())) {
    identity::Person first;
    first.issuer = person.issuer;
    first.subject = person.subject;
    first.email = person.email;
    first.display_name = person.display_name;
    first.groups = person.given_groups;
    if (auto learned = co_await services.directory.learn(std::move(first), kAction); !learned) co_return oauth_error(503, "temporarily_unavailable", learned.error().what);
  }
  terms.issuer = person.issuer;
  terms.subject = person.subject;
  terms.agent = (*actor)->subject;
  terms.method = "token-exchange";
  terms.sign_in = person.sign_in;
  terms.login = person.issuer == "local" || person.email.empty() ? person.subject : person.email;
  terms.peer = call.peer;
  terms.expires_wall_ns = std::min({person.expires_wall_ns, (*actor)->expires_wall_ns, services.clock.wall_ns() + config->token_lifetime_ns});
  co_return token_answer(co_await services.directory.issue(std::move(terms)), R"("issued_token_type":"urn:ietf:params:oauth:token-type:access_token",)");
}

}  // namespace sallyport::signin
