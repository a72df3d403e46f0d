#include "admin/request_api.h"

#include <algorithm>
#include <charconv>

#include "base/clock.h"
#include "enforce/approval_machine.h"

namespace sallyport::admin {

using boost::asio::awaitable;

namespace {

constexpr std::uint64_t kLongPoll = 55;

std::string approval_json(const enforce::Approval& approval) {
  std::string terms, votes;
  for (const auto& [rule, term] : approval.terms) {
    terms += fmt::format(R"({}{{"rule":{},"group":{},"quorum":{},"missing":{}}})", terms.empty() ? "" : ",", json::quote(rule),
                         json::quote(term.by_group), term.quorum, enforce::missing(approval, term));
  }
  for (const auto& vote : approval.votes) {
    votes += fmt::format(R"({}{{"by":{},"approve":{},"reason":{},"at":{}}})", votes.empty() ? "" : ",", json::quote(vote.display), vote.approve,
                         json::quote(vote.reason), json::quote(utc_text(vote.wall_ns)));
  }
  return fmt::format(R"({{"id":{},"state":{},"request_id":{},"requester":{},"target":{},"session":{},"command":{},"reason":{},"created":{},)"
                     R"("expires":{},"terms":[{}],"votes":[{}]}})",
                     json::quote(approval.id), json::quote(enforce::to_string(approval.state)), json::quote(approval.request_id),
                     json::quote(approval.requester_display), json::quote(approval.target), json::quote(approval.session),
                     json::quote(approval.summary), json::quote(approval.reason), json::quote(utc_text(approval.created_wall_ns)),
                     json::quote(utc_text(approval.expires_wall_ns)), terms, votes);
}

std::uint64_t number_or(std::string_view text, std::uint64_t otherwise) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() ? value : otherwise;
}

/// Whose business a request is: the requester's, and that of those who may decide it.
bool concerns(const enforce::Approval& approval, const Call& call) {
  return approval.requester == call.who->person() ||
         (call.powers.has(Permission::Vote) && std::ranges::any_of(approval.terms, [&](const auto& term) { return call.who->in_group(term.second.by_group); }));
}

/// Auditors see all. Looking at what is others' business is reading evidence.
bool visible(const enforce::Approval& approval, const Call& call) { return call.powers.has(Permission::RequestsRead) || concerns(approval, call); }

/// Not there and not yours are one answer: ids are not for guessing.
Answer absent(const Call& call) { return problem(404, "not found", "there is no request " + call.param("id").substr(0, 64) + " for you", call.request_id); }

awaitable<Answer> list(const AdminServices& services, Call call) {
  const auto version = co_await services.approvals.changed(0, 0);
  const auto limit = std::min<std::uint64_t>(number_or(call.query_value("limit"), 100), 1000);
  const auto state = call.query_value("state");
  if (!state.empty() && state != "pending" && state != "all") co_return problem(400, "bad request", "state is pending or all", call.request_id);
  auto all = co_await services.approvals.list(state != "all", limit);
  if (!all) co_return problem_of(all.error(), call.request_id);
  std::string items;
  const bool others = std::ranges::any_of(*all, [&](const auto& approval) { return visible(approval, call) && !concerns(approval, call); });
  if (others)
    if (auto written = co_await services.readings->note(call, "requests", call.path, true); !written) co_return problem_of(written.error(), call.request_id);
  for (const auto& approval : *all)
    if (visible(approval, call)) items += (items.empty() ? "" : ",") + approval_json(approval);
  co_return json_answer(fmt::format(R"({{"version":{},"requests":[{}]}})", version, items));
}

awaitable<Answer> watch(const AdminServices& services, Call call) {
  const auto after = number_or(call.query_value("after"), 0);
  const auto seconds = std::min(number_or(call.query_value("seconds"), 50), kLongPoll);
  (void)co_await services.approvals.changed(after, net::after(static_cast<std::int64_t>(seconds) * 1'000'000'000));
  co_return co_await list(services, std::move(call));
}

awaitable<Answer> show(const AdminServices& services, Call call) {
  auto found = co_await services.approvals.get(call.param("id"));
  if (!found && found.error().kind != ErrorKind::Denied) co_return problem_of(found.error(), call.request_id);
  if (!found || !visible(*found, call)) co_return absent(call);
  if (!concerns(*found, call))
    if (auto written = co_await services.readings->note(call, "request", found->id); !written) co_return problem_of(written.error(), call.request_id);
  co_return json_answer(approval_json(*found));
}

awaitable<Answer> vote(const AdminServices& services, Call call, bool approve) {
  auto body = read_body(call.request, {"reason"});
  if (!body) co_return problem_of(body.error(), call.request_id);
  const auto& id = call.param("id");
  const auto reason = std::string(body->root()["reason"].as_string());
  auto found = co_await services.approvals.get(id);
  if (!found && found.error().kind != ErrorKind::Denied) co_return problem_of(found.error(), call.request_id);
  if (!found || !visible(*found, call)) {
    co_await record_refusal(services.port, call, approve ? "approve" : "deny", "no such request for this person: " + id.substr(0, 64));
    co_return absent(call);
  }
  auto voted = co_await services.approvals.vote(id, call.who, approve, reason);
  if (!voted) {
    // A vote that counts is an entry of its own; one that does not must not vanish.
    co_await record_refusal(services.port, call, approve ? "approve" : "deny", voted.error().what);
    co_return problem_of(voted.error(), call.request_id);
  }
  co_return json_answer(approval_json(*voted));
}

}  // namespace

Routes request_routes(const AdminServices& services) {
  static constexpr std::string_view kNumber = R"({"type":"integer","minimum":0})";
  const Parameter state{"state", "Only those that wait, or all.", R"({"enum":["pending","all"]})"}, limit{"limit", "How many at most; 100 when absent.", kNumber};
  Routes out;
  out.push_back({.method = "GET", .pattern = "/api/requests", .need = Permission::OwnRequests, .summary = "Your requests, and those your groups may decide.",
                 .gives = "RequestList", .query = {state, limit}, .handler = Handler([&services](Call call) { return list(services, std::move(call)); })});
  out.push_back({.method = "GET", .pattern = "/api/requests/watch", .need = Permission::OwnRequests, .summary = "The same, once something changed or the time is over.",
                 .gives = "RequestList", .query = {{"after", "The version that is known.", kNumber}, {"seconds", "How long to wait; at most 55.", kNumber}, state, limit},
                 .handler = Handler([&services](Call call) { return watch(services, std::move(call)); })});
  out.push_back({.method = "GET", .pattern = "/api/requests/{id}", .need = Permission::OwnRequests, .summary = "One request.", .gives = "Request",
                 .handler = Handler([&services](Call call) { return show(services, std::move(call)); })});
  out.push_back({.method = "POST", .pattern = "/api/requests/{id}/approve", .need = Permission::Vote, .action = "approve", .summary = "A vote for a request.", .takes = "VoteRequest",
                 .gives = "Request", .handler = Handler([&services](Call call) { return vote(services, std::move(call), true); })});
  out.push_back({.method = "POST", .pattern = "/api/requests/{id}/deny", .need = Permission::Vote, .action = "deny", .summary = "A vote against a request: it ends.",
                 .takes = "VoteRequest", .gives = "Request", .handler = Handler([&services](Call call) { return vote(services, std::move(call), false); })});
  return out;
}

}  // namespace sallyport::admin
