#include "admin/openapi.h"

#include <map>

#include "admin/schemas.h"

namespace sallyport::admin {
namespace {

/// A schema's name, a schema written out, or for a media type the schema of such a body.
std::string schema_of(const std::string& named) {
  if (named.starts_with('{')) return named;
  if (named.find('/') == std::string::npos) return fmt::format(R"({{"$ref":"#/components/schemas/{}"}})", named);
  if (named == "application/x-www-form-urlencoded") return R"({"type":"object"})";
  return named == "application/octet-stream" ? R"({"type":"string","contentMediaType":"application/octet-stream"})" : R"({"type":"string"})";
}

std::string content_of(const std::string& named) {
  const bool media = !named.starts_with('{') && named.find('/') != std::string::npos;
  return fmt::format(R"("content":{{{}:{{"schema":{}}}}})", json::quote(media ? named : "application/json"), schema_of(named));
}

/// "{path...}" is a parameter like the others here: OpenAPI has none that takes several segments.
std::string path_of(const std::string& pattern) {
  std::string out = pattern;
  if (const auto rest = out.find("...}"); rest != std::string::npos) out.erase(rest, 3);
  return out;
}

std::string parameters_of(const Route& route) {
  std::string out;
  const auto add = [&](std::string_view name, const char* in, bool required, std::string_view about, std::string_view schema) {
    out += fmt::format(R"({}{{"name":{},"in":"{}","required":{},"description":{},"schema":{}}})", out.empty() ? "" : ",", json::quote(name), in, required, json::quote(about), schema);
  };
  const auto path = path_of(route.pattern);
  for (std::size_t at = path.find('{'); at != std::string::npos; at = path.find('{', at + 1)) {
    const auto name = path.substr(at + 1, path.find('}', at) - at - 1);
    const bool rest = route.pattern.find("{" + name + "...}") != std::string::npos;
    add(name, "path", true, rest ? "The rest of the path, with its slashes as they are." : "One segment, percent-encoded.", R"({"type":"string","minLength":1})");
  }
  for (const auto& one : route.query) add(one.name, "query", false, one.about, one.schema);
  return out;
}

/// "get_api_requests_id": unique, for the table has no two of the same method and path.
std::string operation_id(const Route& route) {
  std::string out;
  for (const char c : route.method) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  bool gap = true;
  for (const char c : route.pattern) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (word && gap) out += '_';
    if (word) out += c;
    gap = !word;
  }
  return out;
}

std::string operation(const Route& route) {
  const bool open = route.need == Permission::Open;
  std::string out = fmt::format(R"({{"operationId":"{}","summary":{},"security":[{}],"x-sallyport-permission":"{}","x-sallyport-role":"{}")", operation_id(route), json::quote(route.summary),
                                open ? "" : R"({"bearer":[]})", to_string(route.need), open ? "none" : role_of(route.need));
  out += fmt::format(R"(,"parameters":[{}])", parameters_of(route));
  if (!route.takes.empty()) out += fmt::format(R"(,"requestBody":{{"required":true,{}}})", content_of(route.takes));
  out += fmt::format(R"(,"responses":{{"{}":{{"description":"Done"{}}})", route.status, route.gives.empty() ? "" : "," + content_of(route.gives));
  if (!open) out += R"(,"401":{"$ref":"#/components/responses/Unauthenticated"},"403":{"$ref":"#/components/responses/Denied"})";
  return out + R"(,"default":{"$ref":"#/components/responses/Problem"}}})";
}

std::string response(const char* about) {
  return fmt::format(R"({{"description":"{}","content":{{"application/problem+json":{{"schema":{{"$ref":"#/components/schemas/Problem"}}}}}}}})", about);
}

}  // namespace

std::string openapi(const Router& router) {
  std::map<std::string, std::string> paths;
  for (const auto& route : router.routes()) {
    auto& path = paths[path_of(route.pattern)];
    std::string method = route.method;
    for (auto& c : method) c = static_cast<char>(c | 0x20);
    path += fmt::format(R"({}"{}":{})", path.empty() ? "" : ",", method, operation(route));
  }
  std::string listed, known;
  for (const auto& [path, operations] : paths) listed += fmt::format("{}{}:{{{}}}", listed.empty() ? "" : ",", json::quote(path), operations);
  for (const auto& one : schemas()) known += fmt::format(R"({}"{}":{})", known.empty() ? "" : ",", one.name, one.text);
  return fmt::format(
      R"({{"openapi":"3.1.0","info":{{"title":"Sallyport admin API","version":"1","description":"Errors are application/problem+json. Unknown names in a query or a body are refused."}},)"
      R"("paths":{{{}}},"components":{{"securitySchemes":{{"bearer":{{"type":"http","scheme":"bearer"}}}},"responses":{{"Problem":{},"Unauthenticated":{},"Denied":{}}},"schemas":{{{}}}}}}})",
      listed, response("What went wrong, and what to do"), response("No token, or none that counts"), response("The role is missing, or what is asked is against a rule"), known);
}

}  // namespace sallyport::admin
