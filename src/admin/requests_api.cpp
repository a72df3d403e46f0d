#include "admin/requests_api.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "base/clock.h"
#include "enforce/approval_machine.h"

namespace sallyport::admin {

using boost::asio::awaitable;
using enforce::Approval;
using enforce::ApprovalState;
using enforce::RequestKind;

namespace {

constexpr std::string_view kPath = "/api/requests";
constexpr std::int64_t kLongPoll = 55;                 // seconds
constexpr std::size_t kMostListed = 1000, kHistory = 10, kMostTargets = 100;
constexpr std::int64_t kSecond = 1'000'000'000;

std::string query_value(std::string_view query, std::string_view key) {
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto pair = query.substr(0, end);
    if (pair.starts_with(key) && pair.size() > key.size() && pair[key.size()] == '=') return std::string(pair.substr(key.size() + 1));
    query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
  }
  return "";
}

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

/// Whose business a request is: the requester's, that of those who may decide it, and of an administrator.
bool visible(const Approval& approval, const RequestsCall& call, const enforce::Access::Setup& setup) {
  const auto& who = *call.who;
  const auto in = [&](const std::string& group) { return who.in_group(group); };
  if (call.administrator || approval.requester == who.person()) return true;
  if (std::ranges::any_of(groups_of(enforce::steps_of(approval)), in)) return true;
  if (!approval.access.break_glass || approval.terms.empty()) return false;
  const auto rule = setup.rules.find(approval.terms.front().first);
  return rule != setup.rules.end() && rule->second.break_glass && in(rule->second.break_glass->review.group);
}

std::string access_json(const Approval& approval) {
  const auto& access = approval.access;
  std::string labels;
  for (const auto& [label, value] : access.targets.labels) labels += fmt::format("{}{}:{}", labels.empty() ? "" : ",", json::quote(label), json::quote(value));
  return fmt::format(R"({{"targets":{},"labels":{{{}}},"seconds":{},"start":{},"begins":{},"ends":{},"agents":{},"break_glass":{}}})", list_json(access.targets.names), labels,
                     access.duration_ns / kSecond, time_json(access.start_wall_ns), time_json(access.begins_wall_ns), time_json(access.ends_wall_ns), access.for_agents,
                     access.break_glass);
}

/// "2026-11-21T10:00:00Z" in nanoseconds.
std::optional<std::int64_t> read_time(const std::string& text) {
  std::tm parts{};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return std::int64_t{::timegm(&parts)} * kSecond;
}

Result<enforce::AccessAsk> read_ask(const RequestsCall& call) {
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

Result<enforce::ApprovalFilter> read_filter(const RequestsCall& call) {
  enforce::ApprovalFilter out;
  out.limit = std::min<std::uint64_t>(number_or(query_value(call.query, "limit"), 100), kMostListed);
  const auto state = query_value(call.query, "state"), kind = query_value(call.query, "kind"), mine = query_value(call.query, "mine");
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

awaitable<Answer> list(enforce::Approvals& approvals, RequestsCall call) {
  auto filter = read_filter(call);
  if (!filter) co_return problem_of(filter.error(), call.request_id);
  const auto version = co_await approvals.changed(0, 0);
  const auto setup = approvals.access()->setup();
  filter->visible = [&call, setup](const Approval& approval) { return visible(approval, call, *setup); };
  auto all = co_await approvals.list(std::move(*filter));
  if (!all) co_return problem_of(all.error(), call.request_id);
  std::string items;
  for (const auto& approval : *all) items += (items.empty() ? "" : ",") + approval_json(approval);
  const auto counts = co_await approvals.counts();
  co_return json_answer(fmt::format(R"({{"version":{},"overdue_reviews":{},"requests":[{}]}})", version, counts.reviews_overdue, items));
}

awaitable<Answer> watch(enforce::Approvals& approvals, RequestsCall call) {
  const auto after = number_or(query_value(call.query, "after"), 0);
  const auto seconds = std::min<std::uint64_t>(number_or(query_value(call.query, "seconds"), 50), kLongPoll);
  (void)co_await approvals.changed(after, net::after(static_cast<std::int64_t>(seconds) * kSecond));
  co_return co_await list(approvals, std::move(call));
}

awaitable<Answer> status(enforce::Approvals& approvals) {
  const auto counts = co_await approvals.counts();
  co_return json_answer(fmt::format(R"({{"pending_commands":{},"pending_access":{},"active_grants":{},"open_reviews":{},"overdue_reviews":{},"break_glass":{}}})", counts.commands,
                                    counts.access, counts.grants, counts.reviews, counts.reviews_overdue, counts.break_glass));
}

/// A request with what the same person asked for lately.
awaitable<Answer> show(enforce::Approvals& approvals, Approval approval) {
  enforce::ApprovalFilter filter;
  filter.pending_only = false;
  filter.requester = approval.requester;
  filter.limit = kHistory + 1;
  auto before = co_await approvals.list(std::move(filter));
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

awaitable<Answer> answer_of(Result<Approval> done, RequestsCall& call, std::string verb, unsigned status) {
  if (done) co_return json_answer(approval_json(*done), status);
  co_await call.attempt(std::move(verb), done.error().what);
  co_return problem_of(done.error(), call.request_id);
}

awaitable<Answer> change(enforce::Approvals& approvals, RequestsCall call, Approval approval, std::string verb) {
  using Known = std::initializer_list<std::string_view>;
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
    co_return co_await answer_of(std::move(renewed), call, "renew", 201);
  }
  if (verb == "revoke") {
    auto revoked = co_await approvals.revoke(approval.id, call.who, call.administrator, reason);
    co_return co_await answer_of(std::move(revoked), call, "revoke", 200);
  }
  if (verb == "review") {
    if (approval.kind != RequestKind::Review) co_return problem(400, "bad request", "request " + approval.id + " is no review", call.request_id);
    if (root["justified"].kind() != json::Kind::Bool) co_return problem(400, "bad request", "justified is true or false", call.request_id);
  }
  const bool approve = verb == "approve" || (verb == "review" && root["justified"].as_bool());
  auto voted = co_await approvals.vote(approval.id, call.who, approve, reason);
  co_return co_await answer_of(std::move(voted), call, verb, 200);
}

Answer wrong_method(const RequestsCall& call, const char* allow) {
  auto answer = problem(405, "method not allowed", std::string("use ") + allow, call.request_id);
  answer.allow = allow;
  return answer;
}

/// /api/requests/ID and /api/requests/ID/VERB.
awaitable<Answer> serve_one(enforce::Approvals& approvals, RequestsCall call, std::string id, std::string verb) {
  const char* due = verb.empty() ? "GET" : "POST";
  const bool known = verb.empty() || verb == "approve" || verb == "deny" || verb == "revoke" || verb == "renew" || verb == "review";
  if (!known) co_return problem(404, "not found", "there is nothing at " + call.path.substr(0, 100) + "; see docs/admin-api.md", call.request_id);
  if (call.request.method != due) co_return wrong_method(call, due);
  auto found = co_await approvals.get(id);
  // Not there and not yours are one answer: ids are not for guessing.
  if (!found && found.error().kind != ErrorKind::Denied) co_return problem_of(found.error(), call.request_id);
  if (!found || !visible(*found, call, *approvals.access()->setup())) {
    if (!verb.empty()) co_await call.attempt(verb, "no such request for this person: " + id.substr(0, 64));
    co_return problem(404, "not found", "there is no request " + id.substr(0, 64) + " for you", call.request_id);
  }
  if (verb.empty()) co_return co_await show(approvals, std::move(*found));
  co_return co_await change(approvals, std::move(call), std::move(*found), std::move(verb));
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

bool is_requests_path(std::string_view path) { return path == kPath || path.starts_with("/api/requests/"); }

awaitable<Answer> serve_requests(enforce::Approvals& approvals, RequestsCall call) {
  const auto& method = call.request.method;
  if (call.path == kPath) {
    if (method == "GET") co_return co_await list(approvals, std::move(call));
    if (method != "POST") co_return wrong_method(call, "GET, POST");
    auto ask = read_ask(call);
    if (!ask) co_return problem_of(ask.error(), call.request_id);
    auto asked = co_await approvals.ask(std::move(*ask));
    co_return co_await answer_of(std::move(asked), call, "request access", 201);
  }
  std::string rest = call.path.substr(kPath.size() + 1);
  if (rest == "watch" || rest == "status") {
    if (method != "GET") co_return wrong_method(call, "GET");
    if (rest == "status") co_return co_await status(approvals);
    co_return co_await watch(approvals, std::move(call));
  }
  const auto slash = rest.find('/');
  std::string verb = slash == std::string::npos ? "" : rest.substr(slash + 1);
  rest.resize(std::min(slash, rest.size()));
  co_return co_await serve_one(approvals, std::move(call), std::move(rest), std::move(verb));
}

}  // namespace sallyport::admin
