// How a program at the MCP door becomes somebody's agent: it sends the browser here (RFC 6749 §4.1 with PKCE, RFC 8707), the person comes by
// their provider, and then says whether this program may. No code exists before that, so nobody is used who did not mean it (the confused
// deputy of MCP's security best practices). What is wrong before program and redirect address are known is told to the person alone.
#include "signin/pages.h"
#include "signin/state.h"

namespace sallyport::signin {

using admin::Answer;
using admin::Call;
using boost::asio::awaitable;
using identity::Reason;

namespace {

constexpr std::size_t kMaxState = 512, kMaxResource = 256, kMaxScopes = 512;
constexpr const char* kAction = "sign-in.client";
constexpr const char* kDoorScope = "mcp";

std::string with_query(const std::string& uri, const identity::FormFields& fields) {
  return uri + (uri.find('?') == std::string::npos ? "?" : "&") + identity::form_encoded(fields);
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == text.npos;
}

std::string host_shown(const std::string& uri) {
  const auto host = identity::host_of_url(uri);
  return host == "127.0.0.1" || host == "::1" || host == "localhost" ? "a program on this computer" : host;
}

}  // namespace

/// The resource as we name it, "" when it is none of ours. Whether there is such a target is not told here.
std::string SignIn::State::resource_of(std::string text) const {
  if (text.ends_with('/')) text.pop_back();
  const auto& base = services.door.public_url;
  if (base.empty() || text.size() > kMaxResource) return "";
  if (text == base || text == base + "/mcp") return text;
  const auto prefix = base + "/mcp/";
  return text.starts_with(prefix) && is_name(std::string_view(text).substr(prefix.size())) ? text : "";
}

awaitable<Answer> SignIn::State::authorize_client(Call call) {
  const auto value = [&](std::string_view name) { return call.query_value(name); };
  const auto client = co_await clients.find(value("client_id"), call.peer);
  if (!client) {
    if (client.error().kind != ErrorKind::Denied) co_return message_page("Try again later", client.error().what + ".", 503);
    const auto error = co_await services.authenticator.failed(Reason::UnknownClient, kAction, call.peer);
    co_return message_page("This link does not work", client.error().what + ".", error.kind == ErrorKind::Denied ? 400 : 503);
  }
  const auto redirect = value("redirect_uri");
  if (!client->may_return_to(redirect)) {
    const auto error = co_await services.authenticator.failed(Reason::WrongRedirect, kAction, call.peer);
    co_return message_page("This link does not work", "The program that opened it wants you sent to an address that it did not register.", error.kind == ErrorKind::Denied ? 400 : 503);
  }
  const auto state = value("state");
  const auto resource = resource_of(value("resource"));
  const auto asked = identity::parse_scopes(value("scope"));
  std::string error, why;
  if (state.size() > kMaxState) error = "invalid_request", why = "state is too long";
  else if (value("response_type") != "code") error = "unsupported_response_type", why = "response_type is not code";
  else if (value("code_challenge_method") != "S256" || !is_challenge(value("code_challenge"))) error = "invalid_request", why = "a code_challenge with S256 is needed (RFC 7636)";
  else if (resource.empty()) error = "invalid_target", why = "resource is missing or none of this gateway's (RFC 8707)";
  else if (!asked) error = "invalid_scope", why = "scope is not well-formed";
  if (!error.empty()) {
    const auto back = with_query(redirect, {{"error", error}, {"error_description", why}, {"state", state.substr(0, kMaxState)}, {"iss", services.own_origin}});
    // Nobody is sent to a stranger's site by a link alone (RFC 9700 §4.11.2).
    if (client->vouched || redirect.starts_with("http:")) co_return admin::redirect(back);
    co_return message_page("This link does not work", "The program that opened it made a mistake: " + why + ".", 400);
  }
  // Unknown scopes are left out (RFC 6749 §3.3); the door's own is always there.
  identity::Scopes scopes = {kDoorScope};
  for (const auto& one : *asked)
    if (std::ranges::binary_search(services.door.scopes, one)) scopes.push_back(one);
  BrowserFlow flow;
  flow.redirect_uri = redirect;
  flow.challenge = value("code_challenge");
  flow.client_state = state;
  flow.client = client->id;
  flow.resource = resource;
  flow.scopes = identity::scopes_text(identity::sorted_scopes(std::move(scopes)));
  if (flow.scopes.size() > kMaxScopes) co_return message_page("This link does not work", "The program that opened it asks for too many scopes at once.", 400);
  co_return with(choices(""), std::move(flow));
}

awaitable<Answer> SignIn::State::ask_consent(const Call& call, BrowserFlow flow, identity::PrincipalPtr who) {
  const auto client = co_await clients.find(flow.client, call.peer);
  if (!client || !client->may_return_to(flow.redirect_uri)) co_return message_page("Begin again", "The program that sent you here is no longer known.", 400);
  ConsentQuestion question;
  question.who = who->email.empty() ? who->subject : who->email + " (" + who->subject + ")";
  question.program = client->name.empty() ? "A program without a name" : client->name;
  question.id = client->id;
  question.back_to = host_shown(flow.redirect_uri);
  question.resource = flow.resource;
  question.scopes = flow.scopes;
  question.vouched = client->vouched;
  question.token = flow.arrived;
  co_return consent_page(question);
}

awaitable<Answer> SignIn::State::answer_client(const Call& call, BrowserFlow flow, Arrived here, bool yes) {
  const auto forget = [&](Answer answer) {
    answer.headers.add("Set-Cookie", forget_flow_cookie(secure()));
    return answer;
  };
  if (!yes) {
    const auto back = with_query(flow.redirect_uri, {{"error", "access_denied"}, {"state", flow.client_state}, {"iss", services.own_origin}});
    co_return forget(message_page("Not allowed", "Nothing was allowed. You can close this window.", 200, back));
  }
  const auto client = co_await clients.find(flow.client, call.peer);
  if (!client || !client->may_return_to(flow.redirect_uri)) co_return message_page("Begin again", "The program that sent you here is no longer known.", 400);
  auto agent = std::make_shared<identity::Principal>(*here.who);
  agent->agent = client->agent;
  if (const auto standing = services.directory.current(agent); !standing) {
    const auto error = co_await services.authenticator.failed(standing.error(), kAction, call.peer, here.who->subject);
    co_return message_page("Not allowed", "This program may not act for you here. Ask an administrator: request " + call.request_id + ".", error.kind == ErrorKind::Denied ? 403 : 503);
  }
  // Written down before there is anything to use: first that it was allowed, then the sign-in that comes of it.
  identity::Consent consent;
  consent.issuer = here.who->issuer;
  consent.subject = here.who->subject;
  consent.client = client->id;
  consent.name = client->name;
  consent.resource = flow.resource;
  consent.scopes = identity::parse_scopes(flow.scopes).value_or(identity::Scopes());
  if (auto kept = co_await services.oauth.consent(std::move(consent)); !kept) co_return message_page("Not signed in", kept.error().what + ". Request " + call.request_id + ".", 503);
  auto terms = terms_of(call, here, config->oauth.lifetime_ns == 0 ? config->sign_in_ns : config->oauth.lifetime_ns);
  terms.client = client->id;
  auto made = co_await services.directory.sign_in(std::move(terms), here.who);
  if (!made) co_return message_page("Not signed in", made.error().what + ". Request " + call.request_id + ".", made.error().kind == ErrorKind::Denied ? 403 : 503);
  if (client->id.starts_with("dcr_")) (void)co_await services.oauth.client_used(client->id);
  CodeGrant grant;
  grant.sign_in = made->id;
  grant.challenge = flow.challenge;
  grant.redirect_uri = flow.redirect_uri;
  grant.client = client->id;
  grant.agent = client->agent;
  grant.resource = flow.resource;
  grant.scopes = flow.scopes;
  const auto code = grants.make_code(std::move(grant), services.clock.mono_ns());
  identity::FormFields fields = {{"code", code}, {"iss", services.own_origin}};
  if (!flow.client_state.empty()) fields.insert(fields.begin() + 1, {"state", flow.client_state});
  co_return forget(message_page("Allowed", "You can close this window and go back to the program.", 200, with_query(flow.redirect_uri, fields)));
}

}  // namespace sallyport::signin
