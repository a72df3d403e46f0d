#include "admin/token_api.h"

#include <algorithm>

#include "base/clock.h"

namespace sallyport::admin {

using boost::asio::awaitable;

namespace {

constexpr std::int64_t kMaxTokenLife = 7LL * 86'400'000'000'000;

awaitable<Answer> issue(const AdminServices& services, Call call) {
  auto body = read_body(call.request, {"user", "password", "agent", "lifetime_seconds"});
  if (!body) co_return problem_of(body.error(), call.request_id);
  const auto root = body->root();
  const auto lifetime = root["lifetime_seconds"];
  if (!root["user"].is_string() || !root["password"].is_string() || (lifetime.valid() && lifetime.kind() != json::Kind::Int) ||
      (root["agent"].valid() && !root["agent"].is_string()))
    co_return problem(400, "bad request", "the body needs user and password; agent is a name, lifetime_seconds a whole number", call.request_id);
  const std::int64_t life = std::clamp<std::int64_t>(lifetime.valid() ? lifetime.as_int() : 0, 0, kMaxTokenLife / 1'000'000'000) * 1'000'000'000;
  auto issued = co_await services.authenticator.issue(std::string(root["user"].as_string()), std::string(root["password"].as_string()), life,
                                                      std::string(root["agent"].as_string()), call.peer);
  if (!issued) {
    if (issued.error().kind == ErrorKind::Denied) co_return problem(401, "not authenticated", issued.error().what, call.request_id);
    co_return problem_of(issued.error(), call.request_id);
  }
  co_return json_answer(fmt::format(R"({{"token":{},"display":{},"expires":{}}})", json::quote(issued->token), json::quote(issued->principal->display()),
                                    json::quote(utc_text(issued->principal->expires_wall_ns))), 201);
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
  out.push_back({.method = "GET", .pattern = "/api/whoami", .need = Permission::OwnIdentity, .summary = "Whose token this is.", .gives = "Whoami", .handler = Handler(whoami)});
  return out;
}

}  // namespace sallyport::admin
