#include "admin/problem.h"

#include <algorithm>

namespace sallyport::admin {

namespace {
constexpr std::size_t kMaxBody = 64u << 10;
}

Answer json_answer(std::string body, unsigned status) { return {status, "application/json", std::move(body), {}}; }

Answer problem(unsigned status, std::string_view title, std::string_view detail, std::string_view request_id) {
  return {status, "application/problem+json",
          fmt::format(R"({{"type":"about:blank","title":{},"status":{},"detail":{},"request_id":{}}})", json::quote(title), status,
                      json::quote(detail), json::quote(request_id)),
          {}};
}

Answer problem_of(const Error& error, std::string_view request_id) {
  switch (error.kind) {
    case ErrorKind::Denied: return problem(403, "denied", error.what, request_id);
    case ErrorKind::Overloaded: return problem(429, "too many requests", error.what, request_id);
    case ErrorKind::Malformed: return problem(400, "bad request", error.what, request_id);
    case ErrorKind::Unavailable:
    case ErrorKind::Disconnected: return problem(503, "unavailable", error.what, request_id);
    case ErrorKind::Internal: break;
  }
  return problem(500, "internal error", error.what, request_id);
}

Result<json::Document> read_body(const net::HttpRequest& request, std::initializer_list<std::string_view> known) {
  json::Limits limits;
  limits.max_bytes = kMaxBody;
  limits.max_depth = 4;
  auto type = request.headers.get("Content-Type");
  type = type.substr(0, type.find(';'));
  if (type != "application/json") return fail(ErrorKind::Malformed, "Content-Type must be application/json");
  TRY(auto document, json::Document::parse(request.body.empty() ? "{}" : request.body, limits));
  if (!document.root().is_object()) return fail(ErrorKind::Malformed, "the body must be a JSON object");
  for (const auto member : document.root())
    if (std::ranges::find(known, member.key()) == known.end()) return fail(ErrorKind::Malformed, "the body has an unknown key \"" + std::string(member.key()).substr(0, 40) + "\"");
  return document;
}

}  // namespace sallyport::admin
