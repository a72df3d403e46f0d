#include "admin/session_api.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "evidence/keeping.h"

namespace sallyport::admin {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kMostAnswer = 4u << 20;    // of entries; the next page has the rest
constexpr std::size_t kMostPayload = 8u << 20;
constexpr std::string_view kCount = R"({"type":"integer","minimum":1,"maximum":1000})", kIndex = R"({"type":"integer","minimum":0})", kTime = R"({"type":"string","format":"date-time"})";

Result<std::uint64_t> number(const Call& call, std::string_view name, std::uint64_t otherwise, std::uint64_t least, std::uint64_t most) {
  const auto text = call.query_value(name);
  if (text.empty()) return otherwise;
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out < least || out > most)
    return fail(ErrorKind::Malformed, fmt::format("{} is a whole number from {} to {}", name, least, most));
  return out;
}

/// "2026-11-20" or "2026-11-20T10:00:00Z".
Result<std::int64_t> time_of(const Call& call, std::string_view name, std::int64_t otherwise) {
  const auto text = call.query_value(name);
  if (text.empty()) return otherwise;
  for (const char* form : {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"}) {
    std::tm parts{};
    const char* end = ::strptime(text.c_str(), form, &parts);
    // Within what nanoseconds of 64 bits can say.
    if (end != nullptr && *end == '\0' && parts.tm_year >= 70 && parts.tm_year < 300) return std::int64_t{::timegm(&parts)} * 1'000'000'000;
  }
  return fail(ErrorKind::Malformed, std::string(name) + " is a day or second in UTC: 2026-11-20 or 2026-11-20T10:00:00Z");
}

/// What came of a reading: a Denied of it is that there is none.
Answer answer_of(Result<std::string> text, const Call& call) {
  if (text) return json_answer(std::move(*text));
  return text.error().kind == ErrorKind::Denied ? problem(404, "not found", text.error().what, call.request_id) : problem_of(text.error(), call.request_id);
}

Result<evidence::SessionFilter> filter_of(const Call& call) {
  evidence::SessionFilter out;
  out.user = call.query_value("who");
  out.target = call.query_value("target");
  TRY(out.from, time_of(call, "from", 0));
  TRY(out.to, time_of(call, "to", INT64_MAX));
  TRY(out.limit, number(call, "limit", 100, 1, 1000));
  TRY(out.before, number(call, "cursor", UINT64_MAX, 0, UINT64_MAX));
  return out;
}

awaitable<Answer> list(const AdminServices& services, Call call) {
  auto filter = filter_of(call);
  if (!filter) co_return problem_of(filter.error(), call.request_id);
  std::string asked;
  for (const auto& [name, value] : call.query) asked += (asked.empty() ? "" : " ") + name + "=" + value;
  if (auto written = co_await services.readings->note(call, "sessions", asked); !written) co_return problem_of(written.error(), call.request_id);
  auto text = co_await services.sessions.run([filter = std::move(*filter)](const evidence::Reader& reader, const evidence::SessionReading::Stop& stop) mutable -> Result<std::string> {
    filter.stop = stop;
    TRY(const auto page, evidence::sessions_of(reader, filter));
    std::string items;
    for (auto one = page.sessions.rbegin(); one != page.sessions.rend(); ++one) items += (items.empty() ? "" : ",") + evidence::to_json(*one);
    const auto next = page.more ? std::to_string(page.sessions.front().first) : "null";
    return fmt::format(R"({{"sessions":[{}],"next":{}}})", items, next);
  });
  co_return answer_of(std::move(text), call);
}

Result<std::string> entries_of(const evidence::Reader& reader, const std::string& prefix, std::uint64_t from, std::uint64_t limit, const evidence::SessionReading::Stop& stop) {
  auto id = evidence::session_of(prefix);
  if (!id) {
    TRY(id, evidence::find_session(reader, prefix, stop));
  }
  std::string items, next = "null";
  bool any = false;
  std::uint64_t count = 0;
  TRY_VOID(evidence::each_of_session(reader, *id, [&](const evidence::StoredEntry& entry, bool own) {
    any = any || own;
    if (entry.index < from) return true;
    if (count++ == limit || items.size() > kMostAnswer) {
      next = std::to_string(entry.index);
      return false;
    }
    items += (items.empty() ? "" : ",") + evidence::to_json(entry);
    return true;
  }, stop));
  if (!any) return fail(ErrorKind::Denied, "there is no session " + prefix);
  return fmt::format(R"({{"session":"{}","entries":[{}],"next":{}}})", hex(*id), items, next);
}

awaitable<Answer> show(const AdminServices& services, Call call) {
  const auto& id = call.param("id");
  if (id.size() > 32 || id.find_first_not_of("0123456789abcdef") != std::string::npos)
    co_return problem(404, "not found", "a session's id has 32 lower-case hexadecimal digits; its beginning will do", call.request_id);
  const auto from = number(call, "cursor", 0, 0, UINT64_MAX), limit = number(call, "limit", 500, 1, 1000);
  if (!from) co_return problem_of(from.error(), call.request_id);
  if (!limit) co_return problem_of(limit.error(), call.request_id);
  if (auto written = co_await services.readings->note(call, "session", id); !written) co_return problem_of(written.error(), call.request_id);
  auto text = co_await services.sessions.run([id, from = *from, limit = *limit](const evidence::Reader& reader, const evidence::SessionReading::Stop& stop) { return entries_of(reader, id, from, limit, stop); });
  co_return answer_of(std::move(text), call);
}

awaitable<Answer> payload(const AdminServices& services, Call call) {
  const auto id = evidence::session_of(call.param("id"));
  std::uint64_t index = 0;
  const auto& text = call.param("entry");
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (!id || error != std::errc() || end != text.data() + text.size())
    co_return problem(404, "not found", "that is /api/sessions/ID/payloads/ENTRY: the whole id, and the index of an entry of it that has a payload", call.request_id);
  if (auto written = co_await services.readings->note(call, "payload", call.param("id") + "/" + text); !written) co_return problem_of(written.error(), call.request_id);
  auto bytes = co_await services.sessions.run([id = *id, index](const evidence::Reader& reader, const evidence::SessionReading::Stop&) { return evidence::payload_of(reader, id, index, kMostPayload); });
  if (bytes) co_return Answer{200, "application/octet-stream", std::move(*bytes)};
  if (bytes.error().kind == ErrorKind::Overloaded) co_return problem(413, "too large", bytes.error().what, call.request_id);
  co_return answer_of(std::move(bytes), call);
}

}  // namespace

Routes session_routes(const AdminServices& services) {
  Routes out;
  out.push_back({.method = "GET", .pattern = "/api/sessions", .need = Permission::SessionsRead, .summary = "Sessions, the newest first.", .gives = "SessionList",
                 .query = {{"who", "Only of this user."}, {"target", "Only on this target."}, {"from", "Only those with something since then.", kTime}, {"to", "Only those begun before.", kTime},
                           {"limit", "How many at most; 100 when absent.", kCount}, {"cursor", "`next` of the page before.", kIndex}},
                 .handler = Handler([&services](Call call) { return list(services, std::move(call)); })});
  out.push_back({.method = "GET", .pattern = "/api/sessions/{id}", .need = Permission::SessionsRead, .summary = "A session's entries in order, and those of its approvals.", .gives = "SessionEntries",
                 .query = {{"limit", "How many at most; 500 when absent.", kCount}, {"cursor", "`next` of the page before.", kIndex}},
                 .handler = Handler([&services](Call call) { return show(services, std::move(call)); })});
  out.push_back({.method = "GET", .pattern = "/api/sessions/{id}/payloads/{entry}", .need = Permission::PayloadRead, .summary = "The recorded bytes that an entry of a session refers to, masked as they were.",
                 .gives = "application/octet-stream", .handler = Handler([&services](Call call) { return payload(services, std::move(call)); })});
  return out;
}

}  // namespace sallyport::admin
