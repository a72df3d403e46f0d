#include "admin/request_api.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <variant>

#include "base/clock.h"
#include "enforce/approval_machine.h"

namespace sallyport::admin {

using boost::asio::awaitable;
using enforce::Approval;
using enforce::ApprovalState;
using enforce::RequestKind;

namespace {

constexpr std::int64_t kLongPoll = 55;                 // seconds
constexpr std::int64_t kHeartbeat = 5'000'000'000;     // also how late the end of a credential is noticed
constexpr std::size_t kMostListed = 1000, kHistory = 10, kMostTargets = 100;
constexpr std::int64_t kSecond = 1'000'000'000;

std::uint64_t number_or(std::string_view text, std::uint64_t otherwise) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() ? value : otherwise;
}

std::string list_json(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ",") + json::quote(text);
  return "[" + out + "]";
}

std::string time_json(std::int64_t wall_ns) { return wall_ns == 0 ? "null" : json::quote(utc_text(wall_ns)); }

std::string access_json(const Approval& approval) {
  const auto& access = approval.access;
  std::string labels;
  for (const auto& [label, value] : access.targets.labels) labels += fmt::format("{}{}:{}", labels.empty() ? "" : ",", json::quote(label), json::quote(value));
  return fmt::format(R"({{"targets":{},"labels":{{{}}},"seconds":{},"start":{},"begins":{},"ends":{},"agents":{},"break_glass":{}}})", list_json(access.targets.names), labels,
                     access.duration_ns / kSecond, time_json(access.start_wall_ns), time_json(access.begins_wall_ns), time_json(access.ends_wall_ns), access.for_agents,
                     access.break_glass);
}

}  // namespace

std::string approval_json(const Approval& approval) {
  std::string terms, votes;
  std::vector<std::string> rules;
  for (const auto& [rule, term] : approval.terms) rules.push_back(rule);
  const auto steps = enforce::steps_of(approval);
  const auto done = enforce::filled(approval, {});
  for (std::size_t i = 0; i < steps.size(); ++i) {
    for (std::size_t n = 0; n < steps[i].size(); ++n) {
      terms += fmt::format(R"({}{{"step":{},"group":{},"quorum":{},"missing":{}}})", terms.empty() ? "" : ",", i + 1, json::quote(steps[i][n].group), steps[i][n].count,
                           steps[i][n].count - done[i].of_need[n]);
    }
  }
  for (const auto& vote : approval.votes) {
    votes += fmt::format(R"({}{{"by":{},"approve":{},"step":{},"reason":{},"at":{}}})", votes.empty() ? "" : ",", json::quote(vote.display), vote.approve, vote.step + 1,
                         json::quote(vote.reason), time_json(vote.wall_ns));
  }
  auto out = fmt::format(R"({{"id":{},"kind":"{}","state":"{}","request_id":{},"requester":{},"subject":{},"issuer":{},"agent":{},"target":{},"session":{},"command":{},)",
                         json::quote(approval.id), to_string(approval.kind), to_string(approval.state), json::quote(approval.request_id), json::quote(approval.requester_display),
                         json::quote(approval.requester_subject), json::quote(approval.requester_issuer), json::quote(approval.requester_agent), json::quote(approval.target),
                         json::quote(approval.session), json::quote(approval.summary));
  out += fmt::format(R"("effect":{},"rules":{},"asked_for":{},"reason":{},"about":{},"created":{},"expires":{},"step":{},"terms":[{}],"votes":[{}])",
                     approval.effect.empty() ? "null" : approval.effect, list_json(rules), json::quote(approval.asked_for), json::quote(approval.reason), json::quote(approval.about),
                     time_json(approval.created_wall_ns), time_json(approval.expires_wall_ns), std::min(enforce::current_step(done) + 1, std::max<std::size_t>(done.size(), 1)), terms, votes);
  if (approval.kind == RequestKind::Access) out += R"(,"access":)" + access_json(approval);
  if (approval.kind == RequestKind::Review)
    out += fmt::format(R"(,"overdue":{})", approval.state == ApprovalState::Pending && system_clock().wall_ns() >= approval.expires_wall_ns);
  return out + "}";
}

namespace {

/// Whose business a request is: the requester's, that of those who may decide it, and of who may end access.
bool concerns(const Approval& approval, const Call& call, const enforce::Access::Setup& setup) {
  const auto in = [&](const std::string& group) { return call.who->in_group(group); };
  if (approval.requester == call.who->person()) return true;
  if (call.powers.has(Permission::GrantsRevoke) && approval.kind != RequestKind::Command) return true;
  if (!call.powers.has(Permission::Vote)) return false;
  if (std::ranges::any_of(groups_of(enforce::steps_of(approval)), in)) return true;
  if (!approval.access.break_glass || approval.terms.empty()) return false;
  const auto rule = setup.rules.find(approval.terms.front().first);
  return rule != setup.rules.end() && rule->second.break_glass && in(rule->second.break_glass->review.group);
}

/// Auditors see all. Looking at what is others' business is reading evidence.
bool visible(const Approval& approval, const Call& call, const enforce::Access::Setup& setup) {
  return call.powers.has(Permission::RequestsRead) || concerns(approval, call, setup);
}

/// Not there and not yours are one answer: ids are not for guessing.
Answer absent(const Call& call) { return problem(404, "not found", "there is no request " + call.param("id").substr(0, 64) + " for you", call.request_id); }

/// "2026-11-21T10:00:00Z" in nanoseconds.
std::optional<std::int64_t> read_time(const std::string& text) {
  std::tm parts{};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return std::int64_t{::timegm(&parts)} * kSecond;
}

Result<enforce::AccessAsk> read_ask(const Call& call) {
  TRY(const auto body, read_body(call.request, {"rule", "targets", "labels", "seconds", "start", "reason", "agents"}));
  const auto root = body.root();
  enforce::AccessAsk out;
  out.who = call.who;
  out.request_id = call.request_id;
  if (!root["rule"].is_string()) return fail(ErrorKind::Malformed, "rule is the id of an access rule");
  out.rule = std::string(root["rule"].as_string());
  if (root["targets"].valid() && !root["targets"].is_array()) return fail(ErrorKind::Malformed, "targets is a list of names");
  for (const auto name : root["targets"]) {
    if (!name.is_string() || out.targets.names.size() >= kMostTargets) return fail(ErrorKind::Malformed, "targets is a list of at most 100 names");
    out.targets.names.emplace_back(name.as_string());
  }
  if (root["labels"].valid() && !root["labels"].is_object()) return fail(ErrorKind::Malformed, "labels is an object of texts");
  for (const auto label : root["labels"]) {
    if (!label.is_string()) return fail(ErrorKind::Malformed, "labels is an object of texts");
    out.targets.labels[std::string(label.key())] = std::string(label.as_string());
  }
  const auto seconds = root["seconds"];
  if (seconds.kind() != json::Kind::Int || seconds.as_int() <= 0 || seconds.as_int() > 366 * 86'400) return fail(ErrorKind::Malformed, "seconds says for how long: a whole number");
  out.duration_ns = seconds.as_int() * kSecond;
  if (const auto start = root["start"]; start.valid() && start.kind() != json::Kind::Null) {
    const auto at = read_time(std::string(start.as_string()));
    if (!at) return fail(ErrorKind::Malformed, "start is a time in UTC, such as 2026-11-21T10:00:00Z");
    out.start_wall_ns = *at;
  }
  if (root["reason"].valid() && !root["reason"].is_string()) return fail(ErrorKind::Malformed, "reason is a text");
  out.reason = std::string(root["reason"].as_string());
  if (root["agents"].valid() && root["agents"].kind() != json::Kind::Bool) return fail(ErrorKind::Malformed, "agents is true or false");
  out.for_agents = root["agents"].as_bool();
  return out;
}

Result<enforce::ApprovalFilter> read_filter(const Call& call) {
  enforce::ApprovalFilter out;
  out.limit = std::min<std::uint64_t>(number_or(call.query_value("limit"), 100), kMostListed);
  const auto state = call.query_value("state"), kind = call.query_value("kind"), mine = call.query_value("mine");
  out.pending_only = state.empty() || state == "pending";
  if (!out.pending_only && state != "all") {
    for (int i = 0; i <= static_cast<int>(ApprovalState::Reviewed); ++i)
      if (state == to_string(static_cast<ApprovalState>(i))) out.state = static_cast<ApprovalState>(i);
    if (!out.state) return fail(ErrorKind::Malformed, "state is all, pending, granted, denied, expired, used, withdrawn, ended, revoked or reviewed");
  }
  for (int i = 0; i <= static_cast<int>(RequestKind::Review); ++i)
    if (kind == to_string(static_cast<RequestKind>(i))) out.kind = static_cast<RequestKind>(i);
  if (!kind.empty() && !out.kind) return fail(ErrorKind::Malformed, "kind is command, access or review");
  if (!mine.empty() && mine != "true" && mine != "false") return fail(ErrorKind::Malformed, "mine is true or false");
  if (mine == "true") out.requester = call.who->person();
  return out;
}

awaitable<Answer> list(const AdminServices& services, Call call) {
  auto& approvals = services.approvals;
  auto filter = read_filter(call);
  if (!filter) co_return problem_of(filter.error(), call.request_id);
  const auto version = co_await approvals.changed(0, 0);
  const auto setup = approvals.access()->setup();
  filter->visible = [&call, setup](const Approval& approval) { return visible(approval, call, *setup); };
  auto all = co_await approvals.list(std::move(*filter));
  if (!all) co_return problem_of(all.error(), call.request_id);
  if (std::ranges::any_of(*all, [&](const auto& approval) { return !concerns(approval, call, *setup); }))
    if (auto written = co_await services.readings->note(call, "requests", call.path, true); !written) co_return problem_of(written.error(), call.request_id);
  std::string items;
  for (const auto& approval : *all) items += (items.empty() ? "" : ",") + approval_json(approval);
  const auto counts = co_await approvals.counts();
  co_return json_answer(fmt::format(R"({{"version":{},"overdue_reviews":{},"requests":[{}]}})", version, counts.reviews_overdue, items));
}

awaitable<Answer> watch(const AdminServices& services, Call call) {
  const auto after = number_or(call.query_value("after"), 0);
  const auto seconds = std::min<std::uint64_t>(number_or(call.query_value("seconds"), 50), kLongPoll);
  (void)co_await services.approvals.changed(after, net::after(static_cast<std::int64_t>(seconds) * kSecond));
  co_return co_await list(services, std::move(call));
}

/// Server-sent events (WHATWG HTML §9.2): what waits now, then each request as it changes, until the client goes or its credential ends.
awaitable<std::optional<Answer>> events(const AdminServices& services, Call call, net::HttpServerConnection& http) {
  auto& approvals = services.approvals;
  std::map<std::string, std::string> told;
  const auto began = system_clock().wall_ns();
  std::uint64_t version = 0;
  bool begun = false;
  while (services.directory.current(call.who)) {
    const auto now = version == 0 ? co_await approvals.changed(0, 0) : co_await approvals.changed(version, net::after(kHeartbeat));
    const auto setup = approvals.access()->setup();
    std::string text = now == version ? ": still here\n\n" : "";
    if (now != version) {
      enforce::ApprovalFilter filter;
      filter.pending_only = version == 0;
      filter.limit = kMostListed;
      filter.visible = [&call, setup](const Approval& approval) { return visible(approval, call, *setup); };
      auto all = co_await approvals.list(std::move(filter));
      if (!all && !begun) co_return problem_of(all.error(), call.request_id);
      if (!all) break;
      if (std::ranges::any_of(*all, [&](const auto& approval) { return !concerns(approval, call, *setup); }))
        if (auto written = co_await services.readings->note(call, "requests", call.path, true); !written) co_return begun ? std::nullopt : std::optional(problem_of(written.error(), call.request_id));
      // What was over before the first look is no news.
      for (auto at = all->rbegin(); at != all->rend(); ++at) {
        const bool known = told.contains(at->id);
        const bool news = at->state == ApprovalState::Pending || known || at->created_wall_ns >= began;
        auto body = approval_json(*at);
        auto& before = told[at->id];
        if (before == body) continue;
        if (news) text += fmt::format("event: request\nid: {}-{}\ndata: {}\n\n", at->id, now, body);
        before = std::move(body);
      }
      version = now;
    }
    if (!begun) {
      net::Headers headers;
      headers.add("Content-Type", "text/event-stream");
      headers.add("Cache-Control", "no-store");
      headers.add("X-Content-Type-Options", "nosniff");
      if (!co_await http.begin(200, headers)) co_return std::nullopt;
      begun = true;
      if (text.empty()) text = ": nothing waits\n\n";
    }
    if (!text.empty() && !co_await http.chunk(text)) co_return std::nullopt;
  }
  if (!begun) co_return problem(401, "not authenticated", "the token has ended", call.request_id);
  (void)co_await http.end();
  co_return std::nullopt;
}

awaitable<Answer> status(const AdminServices& services) {
  const auto counts = co_await services.approvals.counts();
  co_return json_answer(fmt::format(R"({{"pending_commands":{},"pending_access":{},"active_grants":{},"open_reviews":{},"overdue_reviews":{},"break_glass":{}}})", counts.commands,
                                    counts.access, counts.grants, counts.reviews, counts.reviews_overdue, counts.break_glass));
}

/// The request that the path names, when the caller may see it; else the answer.
awaitable<std::variant<Approval, Answer>> named(const AdminServices& services, const Call& call, const char* verb) {
  auto found = co_await services.approvals.get(call.param("id"));
  if (!found && found.error().kind != ErrorKind::Denied) co_return problem_of(found.error(), call.request_id);
  if (!found || !visible(*found, call, *services.approvals.access()->setup())) {
    if (verb != nullptr) co_await record_refusal(services.port, call, verb, "no such request for this person: " + call.param("id").substr(0, 64));
    co_return absent(call);
  }
  co_return std::move(*found);
}

/// A request with what the same person asked for lately.
awaitable<Answer> show(const AdminServices& services, Call call) {
  auto found = co_await named(services, call, nullptr);
  if (auto* answer = std::get_if<Answer>(&found)) co_return std::move(*answer);
  const auto& approval = std::get<Approval>(found);
  if (!concerns(approval, call, *services.approvals.access()->setup()))
    if (auto written = co_await services.readings->note(call, "request", approval.id); !written) co_return problem_of(written.error(), call.request_id);
  enforce::ApprovalFilter filter;
  filter.pending_only = false;
  filter.requester = approval.requester;
  filter.limit = kHistory + 1;
  auto before = co_await services.approvals.list(std::move(filter));
  std::string items;
  std::size_t count = 0;
  if (before) {
    for (const auto& one : *before) {
      if (one.id == approval.id || ++count > kHistory) continue;
      items += fmt::format(R"({}{{"id":{},"kind":"{}","state":"{}","target":{},"command":{},"created":{}}})", items.empty() ? "" : ",", json::quote(one.id), to_string(one.kind),
                           to_string(one.state), json::quote(one.target), json::quote(one.summary.substr(0, 200)), time_json(one.created_wall_ns));
    }
  }
  auto text = approval_json(approval);
  text.pop_back();
  co_return json_answer(text + R"(,"history":[)" + items + "]}");
}

/// A vote or a request that counts is an entry of its own; one that does not must not vanish.
awaitable<Answer> answer_of(const AdminServices& services, Result<Approval> done, const Call& call, std::string verb, unsigned status) {
  if (done) co_return json_answer(approval_json(*done), status);
  co_await record_refusal(services.port, call, std::move(verb), done.error().what);
  co_return problem_of(done.error(), call.request_id);
}

awaitable<Answer> ask(const AdminServices& services, Call call) {
  auto what = read_ask(call);
  if (!what) co_return problem_of(what.error(), call.request_id);
  auto asked = co_await services.approvals.ask(std::move(*what));
  co_return co_await answer_of(services, std::move(asked), call, "request access", 201);
}

awaitable<Answer> change(const AdminServices& services, Call call, std::string verb) {
  using Known = std::initializer_list<std::string_view>;
  auto& approvals = services.approvals;
  auto found = co_await named(services, call, verb.c_str());
  if (auto* answer = std::get_if<Answer>(&found)) co_return std::move(*answer);
  const auto& approval = std::get<Approval>(found);
  auto body = read_body(call.request, verb == "renew" ? Known{"reason", "seconds"} : verb == "review" ? Known{"reason", "justified"} : Known{"reason"});
  if (!body) co_return problem_of(body.error(), call.request_id);
  const auto root = body->root();
  if (root["reason"].valid() && !root["reason"].is_string()) co_return problem(400, "bad request", "reason is a text", call.request_id);
  const std::string reason(root["reason"].as_string());
  if (verb == "renew") {
    const auto seconds = root["seconds"];
    if (seconds.valid() && (seconds.kind() != json::Kind::Int || seconds.as_int() <= 0 || seconds.as_int() > 366 * 86'400))
      co_return problem(400, "bad request", "seconds is a whole number", call.request_id);
    auto renewed = co_await approvals.renew(approval.id, call.who, seconds.as_int() * kSecond, reason, call.request_id);
    co_return co_await answer_of(services, std::move(renewed), call, "renew", 201);
  }
  if (verb == "revoke") {
    const auto& powers = call.powers;
    if (!powers.has(Permission::AskAccess) && !powers.has(Permission::Vote) && !powers.has(Permission::GrantsRevoke))
      co_return co_await answer_of(services, fail(ErrorKind::Denied, why_not(*call.who, call.roles, Permission::GrantsRevoke)), call, verb, 403);
    auto revoked = co_await approvals.revoke(approval.id, call.who, call.powers.has(Permission::GrantsRevoke), reason);
    co_return co_await answer_of(services, std::move(revoked), call, "revoke", 200);
  }
  if (verb == "review") {
    if (approval.kind != RequestKind::Review) co_return problem(400, "bad request", "request " + approval.id + " is no review", call.request_id);
    if (root["justified"].kind() != json::Kind::Bool) co_return problem(400, "bad request", "justified is true or false", call.request_id);
  }
  const bool approve = verb == "approve" || (verb == "review" && root["justified"].as_bool());
  auto voted = co_await approvals.vote(approval.id, call.who, approve, reason);
  co_return co_await answer_of(services, std::move(voted), call, verb, 200);
}

}  // namespace

Routes request_routes(const AdminServices& services) {
  static constexpr std::string_view kNumber = R"({"type":"integer","minimum":0})";
  const std::vector<Parameter> filters = {{"state", "pending when absent; all, or one state."}, {"kind", "command, access or review."}, {"mine", "true: your own only."},
                                          {"limit", "How many at most; 100 when absent.", kNumber}};
  auto watching = filters;
  watching.push_back({"after", "The version that is known.", kNumber});
  watching.push_back({"seconds", "How long to wait; at most 55.", kNumber});
  Routes out;
  const auto get = [&](const char* pattern, const char* summary, const char* gives, std::vector<Parameter> query, awaitable<Answer> (*does)(const AdminServices&, Call)) {
    out.push_back({.method = "GET", .pattern = pattern, .need = Permission::OwnRequests, .summary = summary, .gives = gives, .query = std::move(query),
                   .handler = Handler([&services, does](Call call) { return does(services, std::move(call)); })});
  };
  get("/api/requests", "Your requests, and those your groups may decide.", "RequestList", filters, list);
  get("/api/requests/watch", "The same, once something changed or the time is over.", "RequestList", watching, watch);
  get("/api/requests/status", "How much waits.", "RequestStatus", {}, [](const AdminServices& all, Call) { return status(all); });
  get("/api/requests/{id}", "One request, with the same person's ten before it.", "Request", {}, show);
  out.push_back({.method = "GET", .pattern = "/api/requests/events", .need = Permission::OwnRequests, .summary = "Requests as they change, as server-sent events.", .gives = "text/event-stream",
                 .handler = StreamHandler([&services](Call call, net::HttpServerConnection& http) { return events(services, std::move(call), http); })});
  out.push_back({.method = "POST", .pattern = "/api/requests", .need = Permission::AskAccess, .action = "request access", .summary = "Asks for access under a rule.", .takes = "AccessRequest", .gives = "Request",
                 .status = 201, .handler = Handler([&services](Call call) { return ask(services, std::move(call)); })});
  const auto post = [&](const char* verb, Permission need, const char* summary, const char* takes, unsigned status) {
    out.push_back({.method = "POST", .pattern = std::string("/api/requests/{id}/") + verb, .need = need, .action = verb, .summary = summary, .takes = takes, .gives = "Request", .status = status,
                   .handler = Handler([&services, verb](Call call) { return change(services, std::move(call), verb); })});
  };
  post("approve", Permission::Vote, "A vote for a request.", "VoteRequest", 200);
  post("deny", Permission::Vote, "A vote against a request: it ends.", "VoteRequest", 200);
  post("review", Permission::Vote, "Closes the review of a break-glass access.", "ReviewRequest", 200);
  post("renew", Permission::AskAccess, "Asks for the same access once more.", "RenewRequest", 201);
  post("revoke", Permission::OwnIdentity, "Ends access, or takes a request of one's own back.", "VoteRequest", 200);
  return out;
}

}  // namespace sallyport::admin
