#include "admin/admin.h"

#include <set>

#include "admin/keeping_api.h"
#include "admin/log_pages.h"
#include "admin/requests_api.h"
#include "base/clock.h"

namespace sallyport::admin {

using boost::asio::awaitable;
using identity::PrincipalPtr;

namespace {

constexpr std::int64_t kMaxTokenLife = 7LL * 86'400'000'000'000;

std::string new_request_id() {
  std::array<std::uint8_t, 10> random;
  random_bytes(random);
  return "req_" + hex(random);
}

/// A request to the API with what its route needs.
struct Call {
  const net::HttpRequest& request;
  std::string path, query;
  std::string peer, request_id;
  PrincipalPtr who;
};

void sample(std::string& out, const Metric& metric, std::set<std::string>& described) {
  if (described.insert(metric.name).second) out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", metric.name, metric.help, metric.name, metric.type);
  out += metric.name;
  std::string labels;
  for (const auto& [key, value] : metric.labels) labels += fmt::format("{}{}={}", labels.empty() ? "" : ",", key, json::quote(value));
  if (!labels.empty()) out += "{" + labels + "}";
  out += fmt::format(" {}\n", metric.value);
}

}  // namespace

struct Admin::State {
  explicit State(AdminServices s) : services(std::move(s)) {}
  AdminServices services;
  std::set<net::HttpServerConnection*> connections;

  awaitable<Answer> handle(const net::HttpRequest& request, std::string peer);
  awaitable<Answer> route(Call call);
  awaitable<Answer> with_who(Call call);
  awaitable<Answer> issue_token(Call call);
  awaitable<Answer> receipt(Call call);
  awaitable<Answer> log_page(Call call);
  awaitable<Answer> keep(Call call, std::string verb);
  std::map<std::string, std::int64_t> log_readers;  // by person: when reading was last put on record
  awaitable<void> record(const Call& call, std::string action, std::string reason);
  awaitable<std::string> metrics();
  Answer ready() const;
};

Admin::Admin(AdminServices services) : state_(std::make_unique<State>(std::move(services))) {}
Admin::~Admin() = default;

void Admin::close() {
  for (auto* connection : state_->connections) connection->close();
}

awaitable<void> Admin::serve(net::HttpServerConnection http) {
  auto& state = *state_;
  state.connections.insert(&http);
  for (;;) {
    auto request = co_await http.read_request();
    if (!request || !*request) break;
    auto answer = co_await state.handle(**request, http.peer());
    net::Headers headers;
    headers.add("Content-Type", answer.type);
    headers.add("Cache-Control", "no-store");
    headers.add("X-Content-Type-Options", "nosniff");
    if (answer.status == 401) headers.add("WWW-Authenticate", "Bearer realm=\"sallyport\"");
    if (!answer.allow.empty()) headers.add("Allow", answer.allow);
    if (!co_await http.respond(answer.status, headers, answer.body)) break;
    if (!(*request)->keep_alive) break;
  }
  state.connections.erase(&http);
}

Answer Admin::State::ready() const {
  const auto log = services.log.status();
  std::string why;
  if (!log.writable) why = "evidence: " + log.why_not;
  if (services.draining()) why += (why.empty() ? "" : "; ") + std::string("draining");
  return why.empty() ? Answer{200, "text/plain; charset=utf-8", "ready\n", {}} : Answer{503, "text/plain; charset=utf-8", "not ready: " + why + "\n", {}};
}

awaitable<std::string> Admin::State::metrics() {
  std::string out;
  std::set<std::string> described;
  const auto log = services.log.status();
  const auto requests = co_await services.approvals.counts();
  const auto add = [&](const char* name, const char* help, const char* type, double value) { sample(out, {name, help, type, {}, value}, described); };
  add("sallyport_evidence_entries_total", "Durable entries of the evidence log.", "counter", static_cast<double>(log.size));
  add("sallyport_evidence_signed_entries", "Entries under the last signed tree head.", "gauge", static_cast<double>(log.signed_size));
  add("sallyport_evidence_unsigned_age_seconds", "Age of the oldest entry that is not under a signed head.", "gauge", static_cast<double>(log.signed_age_ns) / 1e9);
  add("sallyport_evidence_writable", "1 when evidence can be written.", "gauge", log.writable ? 1 : 0);
  add("sallyport_evidence_bytes_total", "Bytes written to the evidence log.", "counter", static_cast<double>(log.bytes_written));
  add("sallyport_evidence_batches_total", "Group commits.", "counter", static_cast<double>(log.batches));
  add("sallyport_evidence_failures_total", "Failed writes of the evidence log.", "counter", static_cast<double>(log.failures));
  add("sallyport_evidence_refused_total", "Entries refused because evidence could not be written.", "counter", static_cast<double>(log.refused));
  add("sallyport_approvals_pending", "Commands that wait for a human.", "gauge", static_cast<double>(requests.commands));
  add("sallyport_access_pending", "Requests for access that wait for a human.", "gauge", static_cast<double>(requests.access));
  add("sallyport_access_grants", "Grants of access that have not ended.", "gauge", static_cast<double>(requests.grants));
  add("sallyport_break_glass_total", "Break-glass accesses since the start.", "counter", static_cast<double>(requests.break_glass));
  add("sallyport_reviews_open", "Reviews of break-glass access that are open.", "gauge", static_cast<double>(requests.reviews));
  add("sallyport_reviews_overdue", "Reviews that are overdue.", "gauge", static_cast<double>(requests.reviews_overdue));
  for (const auto& metric : co_await services.metrics()) sample(out, metric, described);
  co_return out;
}

awaitable<Answer> Admin::State::handle(const net::HttpRequest& request, std::string peer) {
  const auto mark = request.target.find('?');
  Call call{request, request.target.substr(0, mark), mark == std::string::npos ? "" : request.target.substr(mark + 1), std::move(peer), new_request_id(), nullptr};
  if (request.headers.count("Origin") != 0) co_return problem(403, "denied", "browsers may not call this API across sites", call.request_id);
  const bool get = request.method == "GET" || request.method == "HEAD";
  if (call.path == "/livez" || call.path == "/readyz" || call.path == "/metrics") {
    if (!get) {
      auto answer = problem(405, "method not allowed", "use GET", call.request_id);
      answer.allow = "GET, HEAD";
      co_return answer;
    }
    if (call.path == "/livez") co_return Answer{200, "text/plain; charset=utf-8", "alive\n", {}};
    if (call.path == "/readyz") co_return ready();
    co_return Answer{200, "text/plain; version=0.0.4; charset=utf-8", co_await metrics(), {}};
  }
  co_return co_await route(std::move(call));
}

awaitable<Answer> Admin::State::route(Call call) {
  if (call.path == "/api/tokens") {
    if (call.request.method == "POST") co_return co_await issue_token(std::move(call));
    auto answer = problem(405, "method not allowed", "use POST", call.request_id);
    answer.allow = "POST";
    co_return answer;
  }
  const auto header = call.request.headers.get("Authorization");
  const bool bearer = call.request.headers.count("Authorization") == 1 && header.size() > 7 && (header.starts_with("Bearer ") || header.starts_with("bearer "));
  if (!bearer) co_return problem(401, "not authenticated", "send Authorization: Bearer TOKEN", call.request_id);
  auto who = co_await services.authenticator.authenticate(std::string(header.substr(7)), call.peer);
  if (!who) {
    if (who.error().kind == ErrorKind::Denied) co_return problem(401, "not authenticated", who.error().what, call.request_id);
    co_return problem_of(who.error(), call.request_id);
  }
  call.who = std::move(*who);
  co_return co_await with_who(std::move(call));
}

awaitable<Answer> Admin::State::with_who(Call call) {
  const auto& method = call.request.method;
  std::string_view rest = call.path;
  const auto wrong = [&](const char* allow) {
    auto answer = problem(405, "method not allowed", std::string("use ") + allow, call.request_id);
    answer.allow = allow;
    return answer;
  };
  if (rest == "/api/whoami") {
    if (method != "GET") co_return wrong("GET");
    std::string groups;
    for (const auto& group : call.who->groups) groups += (groups.empty() ? "" : ",") + json::quote(group);
    co_return json_answer(fmt::format(R"({{"subject":{},"issuer":{},"agent":{},"display":{},"groups":[{}],"expires":{}}})", json::quote(call.who->subject),
                                      json::quote(call.who->issuer), json::quote(call.who->agent), json::quote(call.who->display()), groups,
                                      json::quote(utc_text(call.who->expires_wall_ns))));
  }
  if (is_requests_path(rest)) {
    const auto attempt = [this, &call](std::string action, std::string reason) { return record(call, std::move(action), std::move(reason)); };
    co_return co_await serve_requests(services.approvals, {call.request, call.path, call.query, call.request_id, call.who, services.may_administer && services.may_administer(*call.who), attempt});
  }
  if (rest.starts_with("/api/receipts/")) {
    if (method != "GET") co_return wrong("GET");
    co_return co_await receipt(std::move(call));
  }
  if (rest.starts_with("/api/evidence/") && is_keeping_verb(rest.substr(14))) {
    const char* due = rest.ends_with("/holds") ? "GET" : "POST";
    if (method != due) co_return wrong(due);
    std::string verb(rest.substr(14));
    co_return co_await keep(std::move(call), std::move(verb));
  }
  if (rest.starts_with("/log/")) {
    if (method != "GET" && method != "HEAD") co_return wrong("GET, HEAD");
    co_return co_await log_page(std::move(call));
  }
  co_return problem(404, "not found", "there is nothing at " + call.path.substr(0, 100) + "; see docs/admin-api.md", call.request_id);
}

awaitable<Answer> Admin::State::issue_token(Call call) {
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

/// Whoever knows a request's id was told it: the requester, by the answer or the error. A receipt shows who asked and what for.
awaitable<Answer> Admin::State::receipt(Call call) {
  const auto id = call.path.substr(std::string_view("/api/receipts/").size());
  auto text = co_await services.reading.receipts(id);
  const auto absent = [&] { return problem(404, "not found", "there is no request " + id.substr(0, 64) + " for you", call.request_id); };
  if (!text) co_return text.error().kind == ErrorKind::Denied ? absent() : problem_of(text.error(), call.request_id);
  if (!services.may_read_log(*call.who)) {
    const auto own = co_await services.reading.receipt_is_of(*text, call.who->subject);
    if (!own) co_return problem_of(own.error(), call.request_id);
    if (!*own) co_return absent();
  }
  co_return Answer{200, "text/plain; charset=utf-8", std::move(*text), {}};
}

awaitable<Answer> Admin::State::log_page(Call call) {
  using evidence::Field;
  if (!services.may_read_log(*call.who)) co_return problem(403, "denied", "the log is for the groups of evidence.log_readers", call.request_id);
  const auto page = parse_log_path(std::string_view(call.path).substr(5));
  if (!page) co_return problem(404, "not found", "tlog-tiles has no such path: /log/checkpoint, /log/tile/L/N, /log/tile/entries/N", call.request_id);
  // Once a minute for each reader: an entry for each tile would make the log grow as fast as it is read.
  auto& last = log_readers[call.who->person()];
  const auto now = system_clock().mono_ns();
  if (last == 0 || now - last > 60'000'000'000) {
    last = now;
    evidence::Entry entry(evidence::Kind::EvidenceRead);
    entry.text(Field::RequestId, call.request_id).text(Field::Subject, call.who->subject).text(Field::Issuer, call.who->issuer).text(Field::Agent, call.who->agent);
    entry.text(Field::Peer, call.peer).text(Field::Action, "log").text(Field::Object, call.path.substr(0, 200));
    if (auto written = co_await services.port.append(std::move(entry)); !written) {
      log_readers.erase(call.who->person());
      co_return problem_of(written.error(), call.request_id);
    }
  }
  co_return co_await serve_log(services.reading, *page, call.request_id);
}

awaitable<Answer> Admin::State::keep(Call call, std::string verb) {
  if (!services.may_keep(*call.who)) {
    co_await record(call, "evidence " + verb, "not of evidence.keepers");
    co_return problem(403, "denied", "that is for the groups of evidence.keepers", call.request_id);
  }
  co_return co_await serve_keeping(services.keeping, std::move(verb), call.request, {call.request_id, call.who->subject, call.who->issuer, call.who->agent, call.peer});
}

awaitable<void> Admin::State::record(const Call& call, std::string action, std::string reason) {
  using evidence::Field;
  evidence::Entry entry(evidence::Kind::AdminAction);
  entry.text(Field::RequestId, call.request_id)
      .text(Field::Subject, call.who->subject)
      .text(Field::Issuer, call.who->issuer)
      .text(Field::Agent, call.who->agent)
      .text(Field::Peer, call.peer)
      .text(Field::Action, action)
      .uint(Field::Result, static_cast<std::uint64_t>(evidence::Outcome::Denied))
      .text(Field::Reason, reason.substr(0, 1024));
  (void)co_await services.port.append(std::move(entry));
}

}  // namespace sallyport::admin
