// A person connects their account at a target: /connect/TARGET signs them in here, asks, and sends them to the target's authorization server
// (code with PKCE, state, RFC 9207); its answer counts in this browser, for this person, once. The tokens never leave identity::UpstreamTokens.
// Targets that are not there, or not for this person, are one answer.
#include "signin/pages.h"
#include "signin/state.h"

namespace sallyport::signin {

using admin::Answer;
using admin::Call;
using boost::asio::awaitable;
using identity::Reason;

namespace {

constexpr const char* kAction = "connect";

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == text.npos;
}

Answer nothing_here() { return message_page("Nothing to connect", "There is no target of this name where you could connect an account.", 404); }

std::string callback_of(const std::string& own_origin, const std::string& target) { return own_origin + "/connect/" + target + "/callback"; }

}  // namespace

awaitable<Answer> SignIn::State::begin_connect(Call call) {
  const auto target = call.param("target");
  if (!is_name(target)) co_return nothing_here();
  BrowserFlow flow;
  flow.connect = target;
  co_return with(choices(""), std::move(flow));
}

awaitable<Answer> SignIn::State::go_to_upstream(const Call& call, BrowserFlow flow, bool yes) {
  const auto at = arrived.find(flow.arrived);
  if (at == arrived.end()) co_return not_begun();
  if (!yes) {
    arrived.erase(at);
    co_return message_page("Not connected", "Nothing was connected. You can close this window.");
  }
  const auto who = at->second.who;
  const auto account = services.door.accounts.find(flow.connect);
  if (account == services.door.accounts.end() || !services.door.may_reach || !services.door.may_reach(*who, flow.connect)) co_return nothing_here();
  const auto client = account->second;
  const auto endpoints = co_await services.upstream.endpoints(client);
  if (!endpoints || endpoints->authorization.empty())
    co_return message_page("Try again later", flow.connect + " cannot be connected now: " + (endpoints ? "its server names no authorization endpoint" : endpoints.error().what) + ". Request " + call.request_id + ".", 503);
  const auto pkce = identity::make_pkce();
  flow.provider.clear();   // no sign-in of a provider may come in between
  flow.nonce.clear();
  flow.connect_issuer = endpoints->issuer;
  flow.state = random_text();
  flow.verifier = pkce.verifier;
  const auto url = identity::upstream_authorization_url(*client, *endpoints, callback_of(services.own_origin, flow.connect), flow.state, pkce.challenge);
  co_return with(message_page("One moment", "You are sent to " + identity::host_of_url(url) + " to connect your account.", 200, url), std::move(flow));
}

awaitable<Answer> SignIn::State::connected(Call call) {
  const auto flow = flow_of(call);
  const auto target = call.param("target");
  const auto at = flow ? arrived.find(flow->arrived) : arrived.end();
  // Another browser, another target, another beginning: the code is not looked at.
  if (at == arrived.end() || flow->connect != target || !flow->provider.empty() || flow->state.empty() || !equal_constant_time(as_bytes(flow->state), as_bytes(call.query_value("state"))))
    co_return co_await refused(call, Reason::WrongState, kAction);
  const auto here = std::move(at->second);
  arrived.erase(at);   // once
  const auto account = services.door.accounts.find(target);
  const auto standing = services.directory.current(here.who);
  if (!standing || here.until_mono_ns <= services.clock.mono_ns()) co_return co_await refused(call, standing ? Reason::Expired : standing.error(), kAction);
  if (account == services.door.accounts.end() || !services.door.may_reach(**standing, target)) co_return nothing_here();
  const auto client = account->second;
  const auto endpoints = co_await services.upstream.endpoints(client);
  if (!endpoints) co_return message_page("Try again later", endpoints.error().what + ".", 503);
  const auto issuer = call.query_value("iss");
  if ((issuer.empty() && endpoints->says_issuer) || (!issuer.empty() && !endpoints->issuer.empty() && issuer != endpoints->issuer)) co_return co_await refused(call, Reason::UnknownIssuer, kAction);
  if (!call.query_value("error").empty() || call.query_value("code").empty()) co_return co_await refused(call, Reason::RefusedByProvider, kAction);
  auto done = co_await services.upstream.connect(client, target, *standing, call.query_value("code"), callback_of(services.own_origin, target), flow->verifier, flow->connect_issuer);
  if (!done) co_return message_page("Not connected", done.error().what + ". Request " + call.request_id + ".", done.error().kind == ErrorKind::Denied ? 403 : 503);
  auto answer = message_page("Connected", "Your account at " + target + " is connected. You can close this window and try again.");
  answer.headers.add("Set-Cookie", forget_flow_cookie(secure()));
  co_return answer;
}

awaitable<Answer> SignIn::State::list_connections(Call call) {
  auto all = co_await services.upstream.connections(call.who->person());
  if (!all) co_return admin::problem_of(all.error(), call.request_id);
  std::string items;
  for (const auto& one : *all)
    items += fmt::format(R"({}{{"target":{},"scopes":{},"created":{},"changed":{}}})", items.empty() ? "" : ",", json::quote(one.target), json::quote(one.scopes), json::quote(utc_text(one.created_wall_ns)),
                         json::quote(utc_text(one.changed_wall_ns)));
  co_return admin::json_answer("{\"connections\":[" + items + "]}");
}

awaitable<Answer> SignIn::State::disconnect(Call call) {
  if (call.who->is_agent()) co_return admin::problem(403, "denied", "accounts are their person's to connect and to disconnect", call.request_id);
  const auto target = call.param("target");
  const auto account = services.door.accounts.find(target);
  auto gone = co_await services.upstream.disconnect(account == services.door.accounts.end() ? nullptr : account->second, target, call.who->person(), "by " + call.who->subject);
  if (!gone) co_return admin::problem_of(gone.error(), call.request_id);
  if (!*gone) co_return admin::problem(404, "not found", "no account of yours is connected there", call.request_id);
  co_return admin::json_answer(R"({"ended":1})");
}

void add_connect_routes(SignIn::State& state, admin::Routes& out) {
  using admin::Handler;
  using admin::Origins;
  using admin::Permission;
  auto* s = &state;
  const auto does = [s](awaitable<Answer> (SignIn::State::*what)(Call)) { return Handler([s, what](Call call) { return (s->*what)(std::move(call)); }); };
  out.push_back({.method = "GET", .pattern = "/connect/{target}", .summary = "Where a person connects their account at a target.", .gives = "text/html", .any_query = true, .origins = Origins::Own,
                 .handler = does(&SignIn::State::begin_connect)});
  out.push_back({.method = "GET", .pattern = "/connect/{target}/callback", .summary = "Back from the target's authorization server.", .gives = "text/html", .any_query = true, .origins = Origins::Any,
                 .handler = does(&SignIn::State::connected)});
  out.push_back({.method = "GET", .pattern = "/api/connections", .need = Permission::OwnTokens, .summary = "Targets where the caller's account is connected.", .gives = R"({"type":"object"})",
                 .handler = does(&SignIn::State::list_connections)});
  out.push_back({.method = "DELETE", .pattern = "/api/connections/{target}", .need = Permission::OwnTokens, .summary = "Ends the connection of the caller's account.", .gives = "Ended",
                 .handler = does(&SignIn::State::disconnect)});
}

}  // namespace sallyport::signin
