#include "admin/health_api.h"

#include "admin/evidence_status.h"

#include <set>

namespace sallyport::admin {

using boost::asio::awaitable;

namespace {

void sample(std::string& out, const Metric& metric, std::set<std::string>& described) {
  if (described.insert(metric.name).second) out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", metric.name, metric.help, metric.name, metric.type);
  out += metric.name;
  std::string labels;
  for (const auto& [key, value] : metric.labels) labels += fmt::format("{}{}={}", labels.empty() ? "" : ",", key, json::quote(value));
  if (!labels.empty()) out += "{" + labels + "}";
  out += fmt::format(" {}\n", metric.value);
}

Answer ready(const AdminServices& services) {
  const auto log = services.log.status();
  std::string why;
  if (!log.writable) why = "evidence: " + log.why_not;
  if (services.draining()) why += (why.empty() ? "" : "; ") + std::string("draining");
  return why.empty() ? text_answer("ready\n") : text_answer("not ready: " + why + "\n", 503);
}

awaitable<std::string> metrics(const AdminServices& services) {
  std::string out;
  std::set<std::string> described;
  const auto requests = co_await services.approvals.counts();
  for (const auto& metric : metrics_of(services.log.status(), services.witnesses())) sample(out, metric, described);
  const auto add = [&](const char* name, const char* help, const char* type, std::uint64_t value) { sample(out, {name, help, type, {}, static_cast<double>(value)}, described); };
  add("sallyport_approvals_pending", "Commands that wait for a human.", "gauge", requests.commands);
  add("sallyport_access_pending", "Requests for access that wait for a human.", "gauge", requests.access);
  add("sallyport_access_grants", "Grants of access that have not ended.", "gauge", requests.grants);
  add("sallyport_break_glass_total", "Break-glass accesses since the start.", "counter", requests.break_glass);
  add("sallyport_reviews_open", "Reviews of break-glass access that are open.", "gauge", requests.reviews);
  add("sallyport_reviews_overdue", "Reviews that are overdue.", "gauge", requests.reviews_overdue);
  for (const auto& metric : co_await services.metrics()) sample(out, metric, described);
  co_return out;
}

}  // namespace

Routes health_routes(const AdminServices& services) {
  Routes out;
  out.push_back({.method = "GET", .pattern = "/livez", .summary = "Whether the process runs.", .gives = "text/plain",
                 .handler = Handler([](Call) -> awaitable<Answer> { co_return text_answer("alive\n"); })});
  out.push_back({.method = "GET", .pattern = "/readyz", .summary = "Whether sessions can be served; 503 says why not.", .gives = "text/plain",
                 .handler = Handler([&services](Call) -> awaitable<Answer> { co_return ready(services); })});
  out.push_back({.method = "GET", .pattern = "/metrics", .summary = "Figures in Prometheus' text format.", .gives = "text/plain",
                 .handler = Handler([&services](Call) -> awaitable<Answer> {
                   co_return Answer{200, "text/plain; version=0.0.4; charset=utf-8", co_await metrics(services)};
                 })});
  out.push_back({.method = "GET", .pattern = "/api/evidence/status", .need = Permission::OwnIdentity, .summary = "How the log and its witnesses are.", .gives = "EvidenceStatus",
                 .handler = Handler([&services](Call) -> awaitable<Answer> { co_return json_answer(status_json(services.log.status(), services.witnesses())); })});
  return out;
}

}  // namespace sallyport::admin
