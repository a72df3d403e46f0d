#include "admin/tool_api.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "protocol/mcp/tool_text.h"

namespace sallyport::admin {

using boost::asio::awaitable;
using enforce::Pin;
using enforce::PinKind;
using enforce::PinState;

namespace {

std::string time_json(std::int64_t wall_ns) { return wall_ns == 0 ? "null" : json::quote(utc_text(wall_ns)); }

/// The definition that is shown, and that a review decides.
const Digest& shown_digest(const Pin& pin) { return pin.state == PinState::Pinned ? pin.accepted_digest : pin.offered_digest; }

/// Somebody has to look, or had better.
bool waits(const Pin& pin) { return pin.state == PinState::Quarantined || (pin.state == PinState::Pinned && !pin.why.empty()); }

std::string pin_json(const Pin& pin, bool changes) {
  std::string findings, unchecked;
  for (const auto& one : pin.findings)
    findings += fmt::format(R"({}{{"kind":{},"place":{},"shown":{},"grave":{}}})", findings.empty() ? "" : ",", json::quote(one.kind), json::quote(one.place), json::quote(one.shown), one.grave);
  for (const auto& one : pin.unchecked) unchecked += (unchecked.empty() ? "" : ",") + json::quote(one);
  auto out = fmt::format(R"({{"kind":"{}","name":{},"state":"{}","why":{},"of":{},"digest":"{}","accepted":{},"accepted_by":{},"offered":{},"findings":[{}],"unchecked":[{}])", to_string(pin.kind),
                         json::quote(pin.name), to_string(pin.state), json::quote(pin.why), json::quote(pin.of), hex(shown_digest(pin)), time_json(pin.accepted_wall_ns),
                         json::quote(pin.accepted_by), time_json(pin.offered_wall_ns), findings, unchecked);
  if (changes) {
    std::string all;
    const bool pinned = pin.state == PinState::Pinned;
    for (const auto& difference : protocol::mcp::differences(pinned ? std::string() : pin.accepted, pinned ? pin.accepted : pin.offered)) {
      std::string lines;
      for (const auto& line : difference.lines) lines += (lines.empty() ? "" : ",") + json::quote(line);
      all += fmt::format(R"({}{{"place":{},"lines":[{}]}})", all.empty() ? "" : ",", json::quote(difference.place), lines);
    }
    out += R"(,"changes":[)" + all + "]";
  }
  return out + "}";
}

Answer list(const AdminServices& services, const Call& call, bool waiting) {
  const auto& target = call.param("target");
  const auto pins = services.pins.of(target);
  if (pins->pins.empty()) return problem(404, "not found", "nothing was listed yet of a target \"" + target.substr(0, 64) + "\"", call.request_id);
  const auto all = call.query_value("all");
  if (!all.empty() && all != "true" && all != "false") return problem(400, "bad request", "all is true or false", call.request_id);
  std::string items;
  for (const auto& [key, pin] : pins->pins)
    if (!waiting || waits(*pin) || (all == "true" && pin->state == PinState::Rejected)) items += (items.empty() ? "" : ",") + pin_json(*pin, waiting);
  return json_answer(fmt::format(R"({{"target":{},"tools":[{}]}})", json::quote(target), items));
}

Answer waiting(const AdminServices& services) {
  std::string items;
  for (const auto& [target, count] : services.pins.waiting()) items += fmt::format("{}{}:{}", items.empty() ? "" : ",", json::quote(target), count);
  return json_answer(R"({"targets":{)" + items + "}}");
}

Result<enforce::PinReview> read_review(const Call& call) {
  TRY(const auto body, read_body(call.request, {"kind", "name", "digest", "accept", "reason"}));
  const auto root = body.root();
  enforce::PinReview out;
  out.target = call.param("target");
  out.who = call.who;
  out.peer = call.peer;
  out.request_id = call.request_id;
  if (root["kind"].valid()) {
    bool known = false;
    for (const auto kind : {PinKind::Tool, PinKind::Prompt, PinKind::Template}) {
      if (root["kind"].as_string() != to_string(kind)) continue;
      out.kind = kind;
      known = true;
    }
    if (!known) return fail(ErrorKind::Malformed, "kind is tool, prompt or template");
  }
  const auto digest = from_hex(root["digest"].as_string());
  if (!root["name"].is_string()) return fail(ErrorKind::Malformed, "name is the tool's");
  if (!digest || digest->size() != out.digest.size()) return fail(ErrorKind::Malformed, "digest is that of the definition you have looked at, 64 hexadecimal digits");
  if (root["accept"].kind() != json::Kind::Bool) return fail(ErrorKind::Malformed, "accept is true or false");
  if (root["reason"].valid() && !root["reason"].is_string()) return fail(ErrorKind::Malformed, "reason is a text");
  out.name = std::string(root["name"].as_string());
  std::ranges::copy(*digest, out.digest.begin());
  out.accept = root["accept"].as_bool();
  out.reason = std::string(root["reason"].as_string());
  return out;
}

awaitable<Answer> review(const AdminServices& services, Call call) {
  auto asked = read_review(call);
  if (!asked) co_return problem_of(asked.error(), call.request_id);
  const std::string what = asked->accept ? "accept tool" : "reject tool";
  auto done = co_await services.pins.review(std::move(*asked));
  if (done) co_return json_answer(pin_json(**done, false));
  co_await record_refusal(services.port, call, what, done.error().what);
  // Not a matter of rights: somebody was faster, or the target was.
  if (done.error().kind == ErrorKind::Denied) co_return problem(409, "conflict", done.error().what, call.request_id);
  co_return problem_of(done.error(), call.request_id);
}

}  // namespace

Routes tool_routes(const AdminServices& services) {
  Routes out;
  const auto get = [&](const char* pattern, const char* summary, const char* gives, std::vector<Parameter> query, std::function<Answer(const Call&)> does) {
    out.push_back({.method = "GET", .pattern = pattern, .need = Permission::ToolsRead, .summary = summary, .gives = gives, .query = std::move(query),
                   .handler = Handler([does = std::move(does)](Call call) -> awaitable<Answer> { co_return does(call); })});
  };
  get("/api/mcp/review", "How many tools wait for a review, by target.", "WaitingTools", {}, [&services](const Call&) { return waiting(services); });
  get("/api/mcp/{target}/tools", "What is known of a target's tools, prompts and resource templates.", "PinnedTools", {}, [&services](const Call& call) { return list(services, call, false); });
  get("/api/mcp/{target}/review", "Those that somebody has to look at, with what has changed.", "PinnedTools", {{"all", "true: rejected ones as well."}},
      [&services](const Call& call) { return list(services, call, true); });
  out.push_back({.method = "POST", .pattern = "/api/mcp/{target}/review", .need = Permission::ToolsReview, .action = "review tool", .summary = "Accepts or rejects a definition.", .takes = "ToolReview",
                 .gives = "PinnedTool", .handler = Handler([&services](Call call) { return review(services, std::move(call)); })});
  return out;
}

}  // namespace sallyport::admin
