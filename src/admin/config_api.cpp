#include "admin/config_api.h"

#include <algorithm>
#include <filesystem>

#include "evidence/file_ops.h"

namespace sallyport::admin {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kMostPolicies = 1000;

bool is_digest(std::string_view text) {
  return text.size() == 64 && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

awaitable<Answer> show(const AdminServices& services, Call call) {
  const auto config = services.config;
  if (auto written = co_await services.readings->note(call, "config", hex(config->policy)); !written) co_return problem_of(written.error(), call.request_id);
  co_return json_answer(fmt::format(R"({{"policy":"{}","config":{}}})", hex(config->policy), config->shown));
}

/// Every text that was applied is kept beside the log, under its digest.
awaitable<Answer> policies(const AdminServices& services, Call call) {
  const auto running = hex(services.config->policy);
  if (auto written = co_await services.readings->note(call, "policies", "", true); !written) co_return problem_of(written.error(), call.request_id);
  auto text = co_await services.reading.run([running](evidence::LogView& view) -> Result<std::string> {
    std::vector<std::string> digests;
    std::error_code error;
    for (const auto& file : std::filesystem::directory_iterator(view.directory() + "/policies", error))
      if (file.path().extension() == ".yaml" && is_digest(file.path().stem().string()) && digests.size() < kMostPolicies) digests.push_back(file.path().stem());
    if (error) return fail(ErrorKind::Unavailable, "the kept policies cannot be read: " + error.message());
    std::ranges::sort(digests);
    std::string out;
    for (const auto& digest : digests) out += (out.empty() ? "\"" : ",\"") + digest + "\"";
    return fmt::format(R"({{"running":"{}","policies":[{}]}})", running, out);
  });
  co_return text ? json_answer(std::move(*text)) : problem_of(text.error(), call.request_id);
}

awaitable<Answer> policy(const AdminServices& services, Call call) {
  const auto digest = call.param("digest");
  const auto absent = [&] { return problem(404, "not found", "no policy of that digest was applied here; a digest has 64 lower-case hexadecimal digits", call.request_id); };
  if (!is_digest(digest)) co_return absent();
  if (auto written = co_await services.readings->note(call, "policy", digest); !written) co_return problem_of(written.error(), call.request_id);
  auto text = co_await services.reading.run([digest](evidence::LogView& view) -> Result<std::string> {
    const auto path = view.directory() + "/policies/" + digest + ".yaml";
    std::error_code error;
    if (!std::filesystem::exists(path, error)) return fail(ErrorKind::Denied, "");
    TRY(const auto bytes, evidence::read_file(path));
    if (hex(sha256(bytes)) != digest) return fail(ErrorKind::Internal, "the kept policy is not the one of its digest");
    return std::string(as_text(bytes));
  });
  if (!text) co_return text.error().kind == ErrorKind::Denied ? absent() : problem_of(text.error(), call.request_id);
  co_return Answer{200, "application/yaml; charset=utf-8", std::move(*text)};
}

awaitable<Answer> reload(const AdminServices& services, Call call) {
  auto body = read_body(call.request, {});
  if (!body) co_return problem_of(body.error(), call.request_id);
  if (auto written = co_await record_change(services.port, call, "config reload", ""); !written) co_return problem_of(written.error(), call.request_id);
  auto done = co_await services.reload();
  if (done) co_return json_answer(fmt::format(R"({{"policy":"{}"}})", *done));
  // The person may; the file says no.
  if (done.error().kind == ErrorKind::Denied) co_return problem(409, "not possible", done.error().what, call.request_id);
  co_return problem_of(done.error(), call.request_id);
}

std::string user_json(std::string_view issuer, std::string_view subject, std::string_view email, const std::vector<std::string>& groups, bool service, bool active, bool provisioned) {
  std::string list;
  for (const auto& group : groups) list += (list.empty() ? "" : ",") + json::quote(group);
  return fmt::format(R"({{"issuer":{},"subject":{},"email":{},"groups":[{}],"service":{},"active":{},"provisioned":{}}})", json::quote(issuer), json::quote(subject), json::quote(email), list,
                     service, active, provisioned);
}

/// Those of the configuration file, and those who were seen or provisioned.
awaitable<Answer> users(const AdminServices& services, Call call) {
  std::string out;
  for (const auto& [name, user] : services.config->users)
    out += (out.empty() ? "" : ",") + user_json("local", name, "", user.groups, user.service, true, false);
  for (const auto& person : services.directory.people()) {
    if (person.issuer == "local") continue;  // only marks of what was taken back
    out += (out.empty() ? "" : ",") + user_json(person.issuer, person.subject, person.email, person.groups, person.service, person.active, person.provisioned);
  }
  co_return json_answer(fmt::format(R"({{"users":[{}]}})", out));
}

}  // namespace

Routes config_routes(const AdminServices& services) {
  Routes out;
  out.push_back({.method = "GET", .pattern = "/api/config", .need = Permission::ConfigRead, .summary = "The running configuration; secrets are references.", .gives = "Config",
                 .handler = Handler([&services](Call call) { return show(services, std::move(call)); })});
  out.push_back({.method = "GET", .pattern = "/api/config/policies", .need = Permission::ConfigRead, .summary = "Digests of the configurations that were applied.", .gives = "PolicyList",
                 .handler = Handler([&services](Call call) { return policies(services, std::move(call)); })});
  out.push_back({.method = "GET", .pattern = "/api/config/policies/{digest}", .need = Permission::ConfigRead, .summary = "The text of one, as entries name it.", .gives = "application/yaml",
                 .handler = Handler([&services](Call call) { return policy(services, std::move(call)); })});
  out.push_back({.method = "POST", .pattern = "/api/config/reload", .need = Permission::ConfigReload, .action = "config reload", .summary = "Reads the configuration file anew, as SIGHUP does.",
                 .takes = "Nothing", .gives = "Reloaded", .handler = Handler([&services](Call call) { return reload(services, std::move(call)); })});
  out.push_back({.method = "GET", .pattern = "/api/users", .need = Permission::UsersRead, .summary = "Local users, and people of providers as they were seen or provisioned last.", .gives = "UserList",
                 .handler = Handler([&services](Call call) { return users(services, std::move(call)); })});
  return out;
}

}  // namespace sallyport::admin
