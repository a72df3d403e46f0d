#include "admin/admin.h"

#include <set>

#include "admin/config_api.h"
#include "admin/health_api.h"
#include "admin/keeping_api.h"
#include "admin/log_pages.h"
#include "admin/openapi.h"
#include "admin/receipt_api.h"
#include "admin/request_api.h"
#include "admin/session_api.h"
#include "admin/token_api.h"
#include "admin/tool_api.h"
#include "base/bytes.h"
#include "base/text.h"

namespace sallyport::admin {

using boost::asio::awaitable;

namespace {

/// A query that says something twice, or something the route does not know, is a mistake whose answer would mislead.
std::string query_problem(const Route& route, const Result<Form>& query) {
  if (!query) return "the query: " + query.error().what;
  if (route.any_query) return "";
  for (const auto& [name, value] : *query)
    if (std::ranges::find(route.query, name, &Parameter::name) == route.query.end()) return "the query has an unknown name \"" + name.substr(0, 40) + "\"";
  return "";
}

}  // namespace

struct Admin::State {
  explicit State(AdminServices s) : services(std::move(s)) {}
  AdminServices services;
  Router router;
  std::set<net::HttpServerConnection*> connections;

  awaitable<std::optional<Answer>> handle(const net::HttpRequest& request, net::HttpServerConnection& http);
  awaitable<std::optional<Answer>> sign_in(Call& call);
  awaitable<std::optional<Answer>> admit(const Route& route, Call& call);
  bool origin_fits(const net::HttpRequest& request, const Route* route) const;
};

Admin::Admin(AdminServices services) : state_(std::make_unique<State>(std::move(services))) {
  state_->services.readings = std::make_shared<ReadingRecord>(state_->services.port);
  for (auto* routes : {health_routes, token_routes, request_routes, receipt_routes, session_routes, config_routes, tool_routes, keeping_routes, log_routes}) add(routes(state_->services));
  Routes described;
  described.push_back({.method = "GET", .pattern = "/api/openapi.json", .need = Permission::OwnIdentity, .summary = "This description, OpenAPI 3.1.", .gives = "OpenApi",
                       .handler = Handler([this](Call) -> awaitable<Answer> { co_return json_answer(openapi(state_->router)); })});
  add(std::move(described));
}
Admin::~Admin() = default;

void Admin::add(Routes routes) {
  for (auto& route : routes) state_->router.add(std::move(route));
}
const Router& Admin::router() const { return state_->router; }
void Admin::reconfigure(std::shared_ptr<const AdminConfig> config) { state_->services.config = std::move(config); }

void Admin::close() {
  for (auto* connection : state_->connections) connection->close();
}

awaitable<void> Admin::serve(net::HttpServerConnection http) {
  auto& state = *state_;
  state.connections.insert(&http);
  for (;;) {
    auto request = co_await http.read_request();
    if (!request || !*request) break;
    const auto answer = co_await state.handle(**request, http);
    if (answer && !co_await http.respond(answer->status, full_headers(*answer), answer->body)) break;
    if (!(*request)->keep_alive) break;
  }
  state.connections.erase(&http);
}

bool Admin::State::origin_fits(const net::HttpRequest& request, const Route* route) const {
  const auto count = request.headers.count("Origin");
  if (count == 0 || (route && route->origins == Origins::Any)) return true;
  return count == 1 && route && route->origins == Origins::Own && !services.own_origin.empty() && request.headers.get("Origin") == services.own_origin;
}

/// A bearer token becomes call.who; or the answer that says why not.
awaitable<std::optional<Answer>> Admin::State::sign_in(Call& call) {
  const auto header = call.request.headers.get("Authorization");
  const bool bearer = call.request.headers.count("Authorization") == 1 && header.size() > 7 && (header.starts_with("Bearer ") || header.starts_with("bearer "));
  if (!bearer) co_return problem(401, "not authenticated", "send Authorization: Bearer TOKEN", call.request_id);
  auto who = co_await services.authenticator.authenticate(std::string(header.substr(7)), identity::Door::Api, call.peer);
  if (!who) {
    if (who.error().kind == ErrorKind::Denied) co_return problem(401, "not authenticated", who.error().what, call.request_id);
    co_return problem_of(who.error(), call.request_id);
  }
  call.who = std::move(*who);
  auto standing = standing_of(*call.who, services.config->roles);
  call.powers = standing.powers;
  call.roles = std::move(standing.roles);
  co_return std::nullopt;
}

/// Who asks is known: may they, and is it said well?
awaitable<std::optional<Answer>> Admin::State::admit(const Route& route, Call& call) {
  if (!call.powers.has(route.need)) {
    const auto why = why_not(*call.who, call.roles, route.need);
    if (route.method != "GET" || !route.action.empty()) co_await record_refusal(services.port, call, route.action.empty() ? route.method + " " + route.pattern : route.action, why);
    co_return problem(403, "denied", why, call.request_id);
  }
  if (call.request.body.size() > route.body_bytes) co_return problem(413, "too large", fmt::format("the body is over {} bytes", route.body_bytes), call.request_id);
  co_return std::nullopt;
}

awaitable<std::optional<Answer>> Admin::State::handle(const net::HttpRequest& request, net::HttpServerConnection& http) {
  const auto mark = request.target.find('?');
  Call call{request, request.target.substr(0, mark), {}, {}, http.peer(), random_name("req_"), nullptr, {}, {}};
  auto found = router.find(request.method, call.path);
  if (!origin_fits(request, found.route)) co_return problem(403, "denied", "browsers may not call this API across sites", call.request_id);
  const bool open = found.route ? found.route->need == Permission::Open : found.open;
  if (!open)
    if (auto refused = co_await sign_in(call)) co_return refused;
  if (!found.route) {
    if (found.allow.empty()) co_return problem(404, "not found", "there is nothing at " + call.path.substr(0, 100) + "; see docs/admin-api.md", call.request_id);
    auto answer = problem(405, "method not allowed", "use " + found.allow, call.request_id);
    answer.headers.add("Allow", found.allow);
    co_return answer;
  }
  if (auto refused = co_await admit(*found.route, call)) co_return refused;
  if (!found.malformed.empty()) co_return problem(400, "bad request", found.malformed, call.request_id);
  auto query = parse_form(mark == std::string::npos ? std::string_view{} : std::string_view(request.target).substr(mark + 1));
  if (const auto wrong = query_problem(*found.route, query); !wrong.empty()) co_return problem(400, "bad request", wrong, call.request_id);
  call.params = std::move(found.params);
  call.query = std::move(*query);
  if (const auto* stream = std::get_if<StreamHandler>(&found.route->handler)) co_return co_await (*stream)(std::move(call), http);
  co_return co_await std::get<Handler>(found.route->handler)(std::move(call));
}

namespace {

evidence::Entry action_entry(const Call& call, const std::string& action, evidence::Outcome outcome) {
  using evidence::Field;
  evidence::Entry entry(evidence::Kind::AdminAction);
  entry.text(Field::RequestId, call.request_id)
      .text(Field::Subject, call.who->subject)
      .text(Field::Issuer, call.who->issuer)
      .text(Field::Agent, call.who->agent)
      .text(Field::Peer, call.peer)
      .text(Field::Action, action)
      .uint(Field::Result, static_cast<std::uint64_t>(outcome));
  return entry;
}

}  // namespace

awaitable<void> record_refusal(evidence::Port& port, const Call& call, std::string action, std::string reason) {
  auto entry = action_entry(call, action, evidence::Outcome::Denied);
  entry.text(evidence::Field::Reason, reason.substr(0, 1024));
  (void)co_await port.append(std::move(entry));
}

awaitable<Result<void>> record_change(evidence::Port& port, const Call& call, std::string action, std::string object) {
  auto entry = action_entry(call, action, evidence::Outcome::Ok);
  entry.text(evidence::Field::Object, object.substr(0, 1024));
  auto written = co_await port.append(std::move(entry));
  if (!written) co_return std::unexpected(std::move(written).error());
  co_return Result<void>{};
}

}  // namespace sallyport::admin
