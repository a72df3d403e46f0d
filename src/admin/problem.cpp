#include "admin/problem.h"

#include <algorithm>

namespace sallyport::admin {

namespace {

constexpr std::size_t kMaxBody = 64u << 10;

std::string_view media_type(const net::HttpRequest& request) {
  const auto type = request.headers.get("Content-Type");
  return type.substr(0, type.find(';'));
}

}  // namespace

Answer json_answer(std::string body, unsigned status) { return {status, "application/json", std::move(body)}; }
Answer text_answer(std::string body, unsigned status) { return {status, "text/plain; charset=utf-8", std::move(body)}; }

Answer redirect(std::string location) {
  Answer out{303, "text/plain; charset=utf-8", ""};
  out.headers.add("Location", std::move(location));
  return out;
}

Answer html_answer(std::string body, unsigned status, std::string_view style) {
  Answer out{status, "text/html; charset=utf-8", std::move(body)};
  std::string csp = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
  if (!style.empty()) csp.append("; style-src ").append(style);
  out.headers.add("Content-Security-Policy", std::move(csp));
  out.headers.add("Referrer-Policy", "same-origin");
  return out;
}

net::Headers full_headers(const Answer& answer) {
  net::Headers out = answer.headers;
  const auto unless_said = [&](const char* name, std::string_view value) {
    if (out.count(name) == 0) out.add(name, std::string(value));
  };
  unless_said("Content-Type", answer.type);
  unless_said("Cache-Control", "no-store");
  unless_said("X-Content-Type-Options", "nosniff");
  unless_said("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  unless_said("Referrer-Policy", "no-referrer");
  if (answer.status == 401) unless_said("WWW-Authenticate", "Bearer realm=\"sallyport\"");
  return out;
}

Answer problem(unsigned status, std::string_view title, std::string_view detail, std::string_view request_id) {
  return {status, "application/problem+json",
          fmt::format(R"({{"type":"about:blank","title":{},"status":{},"detail":{},"request_id":{}}})", json::quote(title), status,
                      json::quote(detail), json::quote(request_id))};
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
  if (media_type(request) != "application/json") return fail(ErrorKind::Malformed, "Content-Type must be application/json");
  TRY(auto document, json::Document::parse(request.body.empty() ? "{}" : request.body, limits));
  if (!document.root().is_object()) return fail(ErrorKind::Malformed, "the body must be a JSON object");
  for (const auto member : document.root())
    if (std::ranges::find(known, member.key()) == known.end()) return fail(ErrorKind::Malformed, "the body has an unknown key \"" + std::string(member.key()).substr(0, 40) + "\"");
  return document;
}

Result<Form> read_form(const net::HttpRequest& request) {
  if (media_type(request) != "application/x-www-form-urlencoded") return fail(ErrorKind::Malformed, "Content-Type must be application/x-www-form-urlencoded");
  return parse_form(request.body);
}

}  // namespace sallyport::admin
