#include "admin/token_api.h"

#include <algorithm>

#include "base/clock.h"

namespace sallyport::admin {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kMostListed = 1000;
constexpr std::int64_t kMaxTokenLife = 7LL * 86'400'000'000'000;

/// What a token is asked to be: for an agent or nobody's but the person's, with their words for it, good at one door or any.
Result<void> read_terms(const json::Value& root, identity::TokenTerms& terms) {
  for (const auto* key : {"agent", "label", "door"})
    if (root[key].valid() && !root[key].is_string()) return fail(ErrorKind::Malformed, std::string(key) + " is a text");
  terms.agent = root["agent"].as_string();
  terms.label = root["label"].as_string();
  if (terms.label.size() > 100) return fail(ErrorKind::Malformed, "label has at most 100 bytes");
  if (!identity::parse_door(root["door"].is_string() ? root["door"].as_string() : "any", terms.door)) return fail(ErrorKind::Malformed, "door is any, api, mcp or database");
  if (!identity::is_agent_name(terms.agent)) return fail(ErrorKind::Malformed, "an agent's name is 1 to 64 of letters, digits, dot, underscore and hyphen");
  if (!terms.agent.empty() && terms.door == identity::Door::Api) return fail(ErrorKind::Malformed, "an agent's door is not api: it decides nothing there");
  return {};
}

awaitable<Answer> issue(const AdminServices& services, Call call) {
  auto body = read_body(call.request, {"user", "password", "code", "break_glass", "agent", "door", "label", "lifetime_seconds"});
  if (!body) co_return problem_of(body.error(), call.request_id);
  const auto root = body->root();
  const auto lifetime = root["lifetime_seconds"];
  if (!root["user"].is_string() || !root["password"].is_string() || (lifetime.valid() && lifetime.kind() != json::Kind::Int))
    co_return problem(400, "bad request", "the body needs user and password; lifetime_seconds is a whole number", call.request_id);
  identity::TokenTerms terms;
  if (auto read = read_terms(root, terms); !read) co_return problem_of(read.error(), call.request_id);
  terms.peer = call.peer;
  const std::int64_t life = std::clamp<std::int64_t>(lifetime.valid() ? lifetime.as_int() : 0, 0, kMaxTokenLife / 1'000'000'000) * 1'000'000'000;
  identity::PasswordProof proof{std::string(root["user"].as_string()), std::string(root["password"].as_string()), std::string(root["code"].as_string()), root["break_glass"].as_bool()};
  auto issued = co_await services.authenticator.issue(std::move(proof), std::move(terms), life);
  if (!issued) {
    if (issued.error().kind == ErrorKind::Denied) co_return problem(401, "not authenticated", issued.error().what, call.request_id);
    co_return problem_of(issued.error(), call.request_id);
  }
  co_return json_answer(fmt::format(R"({{"token":{},"display":{},"expires":{}}})", json::quote(issued->token), json::quote(issued->principal->display()),
                                    json::quote(utc_text(issued->principal->expires_wall_ns))), 201);
}

/// The name that a database client gives with the token: an e-mail address reads better than most subjects.
std::string login_of(const identity::Principal& who) { return who.issuer == "local" || who.email.empty() ? who.subject : who.email; }

/// From a sign-in: a token for a protocol, or for an agent that acts for the person. It dies with the sign-in.
awaitable<Answer> derive(const AdminServices& services, Call call) {
  auto body = read_body(call.request, {"door", "agent", "label", "lifetime_seconds"});
  if (!body) co_return problem_of(body.error(), call.request_id);
  const auto root = body->root();
  const auto lifetime = root["lifetime_seconds"];
  identity::TokenTerms terms;
  if (auto read = read_terms(root, terms); !read) co_return problem_of(read.error(), call.request_id);
  if (lifetime.valid() && lifetime.kind() != json::Kind::Int) co_return problem(400, "bad request", "lifetime_seconds is a whole number", call.request_id);
  if (call.who->sign_in.empty() || call.who->is_agent())
    co_return problem(403, "denied", "tokens come from a person's own sign-in: run sallyport login first", call.request_id);
  terms.issuer = call.who->issuer;
  terms.subject = call.who->subject;
  terms.sign_in = call.who->sign_in;
  terms.login = login_of(*call.who);
  terms.peer = call.peer;
  const std::int64_t life = std::clamp<std::int64_t>(lifetime.valid() ? lifetime.as_int() : kMaxTokenLife / 1'000'000'000, 1, kMaxTokenLife / 1'000'000'000);
  terms.expires_wall_ns = system_clock().wall_ns() + life * 1'000'000'000;
  const auto login = terms.login;
  auto issued = co_await services.directory.issue(std::move(terms));
  if (!issued) co_return problem_of(issued.error(), call.request_id);
  co_return json_answer(fmt::format(R"({{"id":{},"token":{},"login":{},"display":{},"expires":{}}})", json::quote(issued->id), json::quote(issued->token), json::quote(login),
                                    json::quote(issued->principal->display()), json::quote(utc_text(issued->principal->expires_wall_ns))), 201);
}

std::string token_json(const identity::TokenInfo& one) {
  const auto time = [](std::int64_t ns) { return ns == 0 ? std::string("null") : json::quote(utc_text(ns)); };
  return fmt::format(R"({{"id":{},"subject":{},"issuer":{},"agent":{},"method":{},"door":{},"label":{},"login":{},"sign_in":{},"peer":{},"created":{},"expires":{},"used":{}}})",
                     json::quote(one.id), json::quote(one.subject), json::quote(one.issuer), json::quote(one.agent), json::quote(one.method), json::quote(to_string(one.door)),
                     json::quote(one.label), json::quote(one.login), json::quote(one.sign_in), json::quote(one.peer), time(one.created_wall_ns), time(one.expires_wall_ns), time(one.used_wall_ns));
}

awaitable<Answer> list(const AdminServices& services, Call call) {
  const auto everybody = call.query_value("all");
  if (!everybody.empty() && everybody != "true") co_return problem(400, "bad request", "all is true, or is not said", call.request_id);
  if (!everybody.empty() && !call.powers.has(Permission::TokensRead)) co_return problem(403, "denied", why_not(*call.who, call.roles, Permission::TokensRead), call.request_id);
  auto all = co_await services.directory.tokens(everybody.empty() ? call.who->person() : "", kMostListed);
  if (!all) co_return problem_of(all.error(), call.request_id);
  std::string items;
  for (const auto& one : *all) items += (items.empty() ? "" : ",") + token_json(one);
  co_return json_answer("{\"tokens\":[" + items + "]}");
}

awaitable<Answer> revoke(const AdminServices& services, Call call) {
  const auto& id = call.param("id");
  auto mine = co_await services.directory.tokens(call.who->person(), 1000);
  if (!mine) co_return problem_of(mine.error(), call.request_id);
  const bool own = std::ranges::any_of(*mine, [&](const auto& one) { return one.id == id || (!one.sign_in.empty() && one.sign_in == id); });
  const bool may = call.powers.has(Permission::TokensRevoke);
  const auto absent = [&] { return problem(404, "not found", "there is no live token " + id.substr(0, 64) + (may ? "" : " of yours"), call.request_id); };
  if ((!own && !may) || call.who->is_agent()) co_return absent();
  identity::Revocation what;
  what.id = id;
  auto ended = co_await services.directory.revoke(std::move(what), call.who->subject, own ? "revoked by its owner" : "revoked by an administrator");
  if (ended && *ended == 0) co_return absent();
  if (!ended) co_return problem_of(ended.error(), call.request_id);
  co_return json_answer(fmt::format(R"({{"ended":{}}})", *ended));
}

/// Everything of a person: sign-ins, tokens, and what their provider issued until now.
awaitable<Answer> revoke_person(const AdminServices& services, Call call) {
  auto body = read_body(call.request, {"issuer", "subject", "reason"});
  if (!body) co_return problem_of(body.error(), call.request_id);
  const auto root = body->root();
  identity::Revocation what;
  what.issuer = root["issuer"].as_string();
  what.subject = root["subject"].as_string();
  if (what.issuer.empty() || what.subject.empty() || !root["reason"].is_string())
    co_return problem(400, "bad request", "the body needs issuer (\"local\" for local users), subject and reason", call.request_id);
  auto ended = co_await services.directory.revoke(std::move(what), call.who->subject, std::string(root["reason"].as_string()));
  if (!ended) co_return problem_of(ended.error(), call.request_id);
  co_return json_answer(fmt::format(R"({{"ended":{}}})", *ended));
}

awaitable<Answer> whoami(Call call) {
  const auto& who = *call.who;
  const auto list = [](const std::vector<std::string>& names) {
    std::string out;
    for (const auto& name : names) out += (out.empty() ? "" : ",") + json::quote(name);
    return out;
  };
  co_return json_answer(fmt::format(R"({{"subject":{},"issuer":{},"agent":{},"display":{},"groups":[{}],"roles":[{}],"expires":{}}})", json::quote(who.subject),
                                    json::quote(who.issuer), json::quote(who.agent), json::quote(who.display()), list(who.groups), list(call.roles),
                                    json::quote(utc_text(who.expires_wall_ns))));
}

}  // namespace

Routes token_routes(const AdminServices& services) {
  Routes out;
  out.push_back({.method = "POST", .pattern = "/api/tokens", .summary = "A token for a local user's password.", .takes = "TokenRequest", .gives = "Token", .status = 201,
                 .handler = Handler([&services](Call call) { return issue(services, std::move(call)); })});
  out.push_back({.method = "POST", .pattern = "/api/tokens/derive", .need = Permission::OwnTokens, .summary = "A token for a protocol or an agent, from the caller's sign-in.", .takes = "DeriveRequest",
                 .gives = "Token", .status = 201, .handler = Handler([&services](Call call) { return derive(services, std::move(call)); })});
  out.push_back({.method = "POST", .pattern = "/api/tokens/revoke-person", .need = Permission::TokensRevoke, .action = "revoke person", .summary = "Takes back everything of a person.",
                 .takes = "RevokePersonRequest", .gives = "Ended", .handler = Handler([&services](Call call) { return revoke_person(services, std::move(call)); })});
  out.push_back({.method = "GET", .pattern = "/api/tokens", .need = Permission::OwnTokens, .summary = "The caller's live tokens; everybody's for who may see them.", .gives = "TokenList",
                 .query = {{"all", "true: everybody's.", R"({"const":"true"})"}},
                 .handler = Handler([&services](Call call) { return list(services, std::move(call)); })});
  out.push_back({.method = "DELETE", .pattern = "/api/tokens/{id}", .need = Permission::OwnTokens, .summary = "Takes a token, or a sign-in with all its tokens, back.", .gives = "Ended",
                 .handler = Handler([&services](Call call) { return revoke(services, std::move(call)); })});
  out.push_back({.method = "GET", .pattern = "/api/whoami", .need = Permission::OwnIdentity, .summary = "Whose token this is.", .gives = "Whoami", .handler = Handler(whoami)});
  return out;
}

}  // namespace sallyport::admin
