#include "signin/sign_in.h"

#include <charconv>

#include "signin/pages.h"
#include "signin/state.h"

namespace sallyport::signin {

using admin::Answer;
using admin::Call;
using admin::form_value;
using boost::asio::awaitable;
using identity::Reason;

namespace {

/// RFC 8252 §7.3: http on a loopback address, any port; the path is the client's own, and nothing else may stand there.
bool is_loopback_redirect(const std::string& uri) {
  for (const std::string_view begin : {"http://127.0.0.1:", "http://[::1]:"}) {
    if (!uri.starts_with(begin)) continue;
    const auto rest = std::string_view(uri).substr(begin.size());
    unsigned port = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), port);
    return error == std::errc() && port > 0 && port < 65536 && std::string_view(end, rest.data() + rest.size()) == "/callback";
  }
  return false;
}

}  // namespace

bool is_challenge(std::string_view text) {
  const auto bytes = from_base64url(text);
  return bytes && bytes->size() == 32;
}

Answer not_begun() {
  return message_page("Begin again", "This sign-in is over, or was begun in another browser. Go back to where you began it and start once more.", 400);
}

const identity::OidcConfig* SignIn::State::find_provider(const std::string& name) const {
  for (const auto& one : config->oidc)
    if (!one.client_id.empty() && one.name == name) return &one;
  return nullptr;
}

Answer SignIn::State::with(Answer answer, BrowserFlow flow) const {
  flow.expires_wall_ns = services.clock.wall_ns() + kFlowLife;
  answer.headers.add("Set-Cookie", flow_cookie(services.directory.vault(), flow, secure()));
  return answer;
}

Answer SignIn::State::choices(std::string_view message, unsigned status) const {
  std::vector<ProviderChoice> out;
  for (const auto& one : config->oidc)
    if (!one.client_id.empty()) out.push_back({one.name, "/auth/login/" + one.name});
  for (const auto& one : config->saml) out.push_back({one.name, "/saml/" + one.name + "/login"});
  return choice_page(out, !config->users.empty(), message, status);
}

awaitable<Answer> SignIn::State::refused(const Call& call, Reason reason, std::string action) {
  const auto error = co_await services.authenticator.failed(reason, std::move(action), call.peer);
  if (error.kind == ErrorKind::Unavailable) co_return message_page("Try again later", "You cannot be signed in now: the identity provider or the gateway's record cannot be reached. Request " + call.request_id + ".", 503);
  if (error.kind == ErrorKind::Overloaded) co_return message_page("Too many attempts", "Wait a minute and try again.", 429);
  co_return message_page("Not signed in", "This did not prove who you are. Begin again; if it happens once more, tell an administrator: request " + call.request_id + ".", 403);
}

identity::SignInTerms SignIn::State::terms_of(const Call& call, const Arrived& here, std::int64_t life_ns) const {
  identity::SignInTerms terms;
  terms.issuer = here.who->issuer;
  terms.subject = here.who->subject;
  terms.provider = here.arrival.provider;
  terms.provider_session = here.arrival.provider_session;
  terms.peer = call.peer;
  terms.secrets = here.arrival.secrets;
  terms.asks = here.arrival.asks;
  terms.expires_wall_ns = services.clock.wall_ns() + life_ns;
  if (here.arrival.expires_wall_ns != 0) terms.expires_wall_ns = std::min(terms.expires_wall_ns, here.arrival.expires_wall_ns);
  return terms;
}

/// The command line sends the browser here (RFC 6749 §4.1.1). What is wrong with the request is told to the person, never sent to an address
/// that is not known to be the program's own (§4.1.2.1).
awaitable<Answer> SignIn::State::authorize(Call call) {
  const auto value = [&](std::string_view name) { return call.query_value(name); };
  if (config->oauth.on && value("client_id") != kClientId) co_return co_await authorize_client(std::move(call));
  std::string wrong;
  if (value("client_id") != kClientId) wrong = "client_id is not known here";
  else if (!is_loopback_redirect(value("redirect_uri"))) wrong = "redirect_uri is not http://127.0.0.1:PORT/callback";
  else if (value("response_type") != "code") wrong = "response_type is not code";
  else if (value("code_challenge_method") != "S256" || !is_challenge(value("code_challenge"))) wrong = "a code_challenge with S256 is needed (RFC 7636)";
  else if (value("state").empty() || value("state").size() > 512) wrong = "state is missing or too long";
  if (!wrong.empty()) co_return message_page("This link does not work", "The program that opened it made a mistake: " + wrong + ".", 400);
  BrowserFlow flow;
  flow.redirect_uri = value("redirect_uri");
  flow.challenge = value("code_challenge");
  flow.client_state = value("state");
  co_return with(choices(""), std::move(flow));
}

awaitable<Answer> SignIn::State::device_code(Call call) {
  auto form = admin::read_form(call.request);
  const auto now = services.clock.mono_ns();
  if (!codes_typed.begin(identity::address_of(call.peer), now)) co_return message_page("Too many attempts", "Wait a minute and try again.", 429);
  auto* grant = form ? grants.find_device(form_value(*form, "user_code"), now) : nullptr;
  if (grant == nullptr) co_return device_page("No device waits with this code. Codes live ten minutes.", 400);
  // Who has come already (a SAML provider's own beginning) needs not come again.
  const auto before = flow_of(call);
  const bool known = before && arrived.contains(before->arrived);
  BrowserFlow flow;
  flow.user_code = grant->user_code;
  if (known) flow.arrived = before->arrived;
  co_return with(known ? admin::redirect("/auth/confirm") : choices(""), std::move(flow));
}

awaitable<Answer> SignIn::State::to_provider(Call call) {
  auto flow = flow_of(call);
  const auto* found = find_provider(call.param("provider"));
  if (!flow || found == nullptr) co_return not_begun();
  const auto config_now = *found;
  auto known = co_await keys->metadata(config_now.issuer);
  if (!known || (*known)->authorization_endpoint.empty())
    co_return message_page("Try again later", config_now.name + " cannot be reached: " + (known ? "it publishes no authorization endpoint" : known.error().what) + ".", 503);
  const auto pkce = identity::make_pkce();
  flow->provider = config_now.name;
  flow->state = random_text();
  flow->nonce = random_text();
  flow->verifier = pkce.verifier;
  flow->arrived.clear();
  const auto url = identity::authorization_url(**known, config_now, callback_url(config_now.name), flow->state, flow->nonce, pkce.challenge);
  co_return with(admin::redirect(url), std::move(*flow));
}

awaitable<Answer> SignIn::State::callback(Call call) {
  constexpr auto kAction = "sign-in.oidc";
  auto flow = flow_of(call);
  const auto* found = find_provider(call.param("provider"));
  // Another browser, another provider's address, another sign-in: the code is not even looked at (mix-up, CSRF).
  if (!flow || found == nullptr || flow->provider != found->name || flow->state.empty() || !equal_constant_time(as_bytes(flow->state), as_bytes(call.query_value("state"))))
    co_return co_await refused(call, Reason::WrongState, kAction);
  const auto config_now = *found;
  auto known = co_await keys->metadata(config_now.issuer);
  if (!known) co_return co_await refused(call, Reason::KeysUnavailable, kAction);
  const auto issuer = call.query_value("iss");
  if ((issuer.empty() && (*known)->says_issuer) || (!issuer.empty() && issuer != config_now.issuer)) co_return co_await refused(call, Reason::UnknownIssuer, kAction);
  if (!call.query_value("error").empty()) co_return co_await refused(call, Reason::RefusedByProvider, kAction);
  const auto nonce = flow->nonce, verifier = flow->verifier;
  flow->state.clear();  // once
  auto arrival = co_await provider().exchange(config_now, call.query_value("code"), callback_url(config_now.name), verifier, nonce);
  if (!arrival) co_return with(co_await refused(call, arrival.error(), kAction), std::move(*flow));
  co_return co_await came(call, std::move(*flow), std::move(*arrival));
}

awaitable<Answer> SignIn::State::password(Call call) {
  constexpr auto kAction = "sign-in.password";
  auto flow = flow_of(call);
  if (!flow) co_return not_begun();
  auto form = admin::read_form(call.request);
  if (!form) co_return choices("The form was not understood.", 400);
  identity::PasswordProof proof{std::string(form_value(*form, "user")), std::string(form_value(*form, "password")), std::string(form_value(*form, "code"))};
  auto who = co_await services.authenticator.check_password(std::move(proof), kAction, call.peer);
  if (!who) {
    if (who.error().kind == ErrorKind::Unavailable) co_return message_page("Try again later", who.error().what + ".", 503);
    co_return choices(who.error().kind == ErrorKind::Overloaded ? "Too many attempts: wait a minute." : "User, password or code is wrong.", 403);
  }
  Arrival arrival;
  arrival.person.issuer = "local";
  arrival.person.subject = (*who)->subject;
  arrival.method = "password";
  arrival.provider = "local";
  co_return co_await came(call, std::move(*flow), std::move(arrival));
}

/// Who proved who they are is written down as known now, and asked for the last word.
awaitable<Answer> SignIn::State::came(const Call& call, BrowserFlow flow, Arrival arrival) {
  if (arrival.person.issuer != "local") {
    auto learned = co_await services.directory.learn(arrival.person, arrival.method);
    if (!learned) co_return co_await refused(call, Reason::StateUnavailable, "sign-in");
  }
  auto who = std::make_shared<identity::Principal>();
  who->issuer = arrival.person.issuer;
  who->subject = arrival.person.subject;
  who->email = arrival.person.email;
  who->display_name = arrival.person.display_name;
  who->method = arrival.method;
  who->issued_wall_ns = services.clock.wall_ns();
  const auto standing = services.directory.current(who);
  if (!standing) co_return co_await refused(call, standing.error(), "sign-in");
  const auto now = services.clock.mono_ns();
  std::erase_if(arrived, [&](const auto& one) { return one.second.until_mono_ns <= now; });
  flow.arrived = random_text();
  arrived[flow.arrived] = {*standing, std::move(arrival), now + kFlowLife};
  co_return with(admin::redirect(flow.has_purpose() ? "/auth/confirm" : "/device"), std::move(flow));
}

awaitable<Answer> SignIn::State::ask_last_word(Call call) {
  const auto flow = flow_of(call);
  const auto at = flow ? arrived.find(flow->arrived) : arrived.end();
  if (at == arrived.end() || !flow->has_purpose()) co_return not_begun();
  if (!flow->client.empty()) co_return co_await ask_consent(call, *flow, at->second.who);
  const auto& who = *at->second.who;
  const auto name = who.email.empty() ? who.subject : who.email + " (" + who.subject + ")";
  const auto about = !flow->connect.empty() ? "Your account at " + flow->connect + " will be connected: the gateway will use it for your calls there, and for those of programs that act for you."
                     : flow->for_device() ? "The device that shows the code " + flow->user_code.substr(0, 4) + "-" + flow->user_code.substr(4) + " will act as you."
                                        : std::string("A program on this computer asked for it and will act as you.");
  co_return confirm_page(name, about, flow->arrived);
}

awaitable<Answer> SignIn::State::last_word(Call call) {
  const auto flow = flow_of(call);
  auto form = admin::read_form(call.request);
  const auto at = flow && form && !flow->arrived.empty() && form_value(*form, "token") == flow->arrived ? arrived.find(flow->arrived) : arrived.end();
  if (at == arrived.end() || !flow->has_purpose() || at->second.until_mono_ns <= services.clock.mono_ns()) co_return not_begun();
  if (!flow->connect.empty()) co_return co_await go_to_upstream(call, *flow, form_value(*form, "answer") == "yes");
  const auto here = std::move(at->second);
  arrived.erase(at);
  if (!flow->client.empty()) co_return co_await answer_client(call, *flow, here, form_value(*form, "answer") == "yes");
  auto* device = flow->for_device() ? grants.find_device(flow->user_code, services.clock.mono_ns()) : nullptr;
  if (form_value(*form, "answer") != "yes") {
    if (device != nullptr) device->state = DeviceGrant::State::Denied;
    co_return message_page("Not signed in", "Nothing was allowed. You can close this window.");
  }
  if (flow->for_device() && device == nullptr) co_return message_page("Begin again", "The device's code is over. Begin once more on the device.", 400);
  auto made = co_await services.directory.sign_in(terms_of(call, here, config->sign_in_ns), here.who);
  if (!made) co_return message_page("Not signed in", made.error().what + ". Request " + call.request_id + ".", made.error().kind == ErrorKind::Denied ? 403 : 503);
  if (flow->for_device()) {
    device = grants.find_device(flow->user_code, services.clock.mono_ns());
    if (device == nullptr) co_return message_page("Begin again", "The device's code is over. Begin once more on the device.", 400);
    device->sign_in = made->id;
    device->state = DeviceGrant::State::Granted;
    auto answer = message_page("Signed in", "The device goes on by itself. You can close this window.");
    answer.headers.add("Set-Cookie", forget_flow_cookie(secure()));
    co_return answer;
  }
  const auto code = grants.make_code({made->id, flow->challenge, flow->redirect_uri}, services.clock.mono_ns());
  const auto back = flow->redirect_uri + "?" + identity::form_encoded({{"code", code}, {"state", flow->client_state}, {"iss", services.own_origin}});
  auto answer = message_page("Signed in", "You can close this window and go back to the program.", 200, back);
  answer.headers.add("Set-Cookie", forget_flow_cookie(secure()));
  co_return answer;
}

SignIn::SignIn(Services services, std::shared_ptr<const identity::IdentityConfig> config, std::shared_ptr<identity::KeySource> keys)
    : state_(std::make_shared<State>(std::move(services), std::move(config), std::move(keys))) {
  state_->clients.reconfigure(state_->config);
}
SignIn::~SignIn() = default;

void SignIn::reconfigure(std::shared_ptr<const identity::IdentityConfig> config, std::shared_ptr<identity::KeySource> keys, McpDoor door) {
  state_->config = std::move(config);
  state_->keys = std::move(keys);
  state_->clients.reconfigure(state_->config);
  state_->services.door = std::move(door);
}

void SignIn::end_elsewhere_by(std::function<std::string(const identity::SignIn&)> url) { state_->ends_elsewhere = std::move(url); }

awaitable<Answer> SignIn::arrived(const Call& call, BrowserFlow flow, Arrival arrival) { co_return co_await state_->came(call, std::move(flow), std::move(arrival)); }

admin::Routes SignIn::routes() {
  using admin::Handler;
  using admin::Origins;
  using admin::Permission;
  using admin::Route;
  auto* s = state_.get();
  const auto does = [s](awaitable<Answer> (State::*what)(Call)) { return Handler([s, what](Call call) { return (s->*what)(std::move(call)); }); };
  const auto page = [&](const char* method, const char* pattern, const char* summary, awaitable<Answer> (State::*what)(Call)) {
    return Route{.method = method, .pattern = pattern, .summary = summary, .gives = "text/html", .any_query = true, .origins = Origins::Own, .handler = does(what)};
  };
  admin::Routes out;
  out.push_back(page("GET", "/oauth/authorize", "Where the command line sends the browser to sign in (RFC 6749, RFC 7636, RFC 8252).", &State::authorize));
  out.push_back({.method = "GET", .pattern = "/device", .summary = "Where a person types a device's code (RFC 8628).", .gives = "text/html", .any_query = true, .origins = Origins::Own,
                 .handler = Handler([](Call) -> awaitable<Answer> { co_return device_page(""); })});
  out.push_back(page("POST", "/device", "A device's code, typed.", &State::device_code));
  out.push_back(page("GET", "/auth/login/{provider}", "On to an OpenID provider.", &State::to_provider));
  out.push_back(page("GET", "/auth/callback/{provider}", "Back from an OpenID provider.", &State::callback));
  out.back().origins = Origins::Any;
  out.push_back(page("POST", "/auth/password", "A local user's password and one-time code.", &State::password));
  out.push_back(page("GET", "/auth/confirm", "Who came, and what for.", &State::ask_last_word));
  out.push_back(page("POST", "/auth/confirm", "The person's last word.", &State::last_word));
  out.push_back({.method = "GET", .pattern = "/requests/{id}", .summary = "Where notices lead: how to answer a request. It shows nothing of it.", .gives = "text/html", .any_query = true,
                 .origins = Origins::Any, .handler = Handler([](Call call) -> awaitable<Answer> {
                   const auto& id = call.param("id");
                   const bool plain = id.size() <= 64 && id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
                   if (!plain) co_return message_page("Not here", "This is no request.", 404);
                   co_return message_page("Request " + id, "In a terminal: sallyport login, then sallyport requests show " + id + " shows it, and sallyport approve " + id + " or sallyport deny " + id + " answers it.");
                 })});
  const auto oauth = [&](const char* pattern, const char* summary, awaitable<Answer> (State::*what)(Call)) {
    return Route{.method = "POST", .pattern = pattern, .summary = summary, .takes = "application/x-www-form-urlencoded", .gives = "application/json", .handler = does(what)};
  };
  out.push_back(oauth("/oauth/token", "Tokens of the gateway (RFC 6749, RFC 8628).", &State::token));
  out.push_back(oauth("/oauth/device_authorization", "Begins a device's sign-in (RFC 8628).", &State::begin_device));
  out.push_back(oauth("/auth/backchannel/{provider}", "A provider's logout token (OpenID Connect Back-Channel Logout 1.0).", &State::back_channel));
  for (const char* path : {"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"})
    out.push_back({.method = "GET", .pattern = path, .summary = "What the gateway's OAuth endpoints can do (RFC 8414).", .gives = "application/json",
                   .handler = Handler([s](Call) -> awaitable<Answer> { co_return s->metadata(); })});
  add_client_routes(*s, out);
  add_connect_routes(*s, out);
  out.push_back({.method = "POST", .pattern = "/api/logout", .need = Permission::OwnTokens, .summary = "Ends the sign-in that the token came from.", .gives = "Logout", .handler = does(&State::logout)});
  return out;
}

}  // namespace sallyport::signin
