#include "protocol/mcp/era.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <set>

#include "base/bytes.h"
#include "base/text.h"

namespace sallyport::protocol::mcp {
namespace {

constexpr std::string_view kOpen = "=?base64?", kClose = "?=";
constexpr std::int64_t kSafe = (std::int64_t{1} << 53) - 1;
constexpr int kMaxDepth = 64;

bool contains(const auto& list, std::string_view word) { return std::ranges::find(list, word) != list.end(); }

std::string_view get(const MirrorHeaders& headers, std::string_view name) {
  const auto at = headers.find(name);
  return at == headers.end() ? std::string_view{} : std::string_view(at->second);
}

Refusal mismatch(std::string what) { return {400, code::kHeaderMismatch, "Header mismatch: " + std::move(what), ""}; }

bool is_sentinel(std::string_view text) { return text.size() >= kOpen.size() + kClose.size() && text.starts_with(kOpen) && text.ends_with(kClose); }

bool plain(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.front() == '\t' || text.back() == ' ' || text.back() == '\t') return text.empty();
  return std::ranges::all_of(text, [](char c) { return (c >= 0x20 && c <= 0x7e) || c == '\t'; });
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

json::Value at_path(json::Value value, const std::vector<std::string>& path) {
  for (const auto& key : path) value = value[key];
  return value;
}

/// As a header says it; nullopt for null, absent and what cannot be annotated.
std::optional<std::string> as_header_text(const json::Value& value) {
  if (!value.valid()) return std::nullopt;
  switch (value.kind()) {
    case json::Kind::String: return std::string(value.as_string());
    case json::Kind::Bool: return value.as_bool() ? "true" : "false";
    case json::Kind::Int: return std::to_string(value.as_int());
    case json::Kind::Double:
      if (value.as_double() == std::floor(value.as_double()) && std::abs(value.as_double()) <= static_cast<double>(kSafe)) return std::to_string(static_cast<std::int64_t>(value.as_double()));
      return std::string(value.raw());
    default: return std::nullopt;
  }
}

bool same_value(const json::Value& value, const std::string& as_text, std::string_view header) {
  if (as_text == header) return true;
  if (value.kind() != json::Kind::Int && value.kind() != json::Kind::Double) return false;
  // Integers are compared as numbers: 42.0 is 42.
  auto parsed = json::Document::parse(std::string(header));
  if (!parsed || (parsed->root().kind() != json::Kind::Int && parsed->root().kind() != json::Kind::Double)) return false;
  return parsed->root().as_double() == value.as_double();
}

}  // namespace

bool may_need_input(std::string_view method) { return method == "tools/call" || method == "prompts/get" || method == "resources/read"; }

bool is_cacheable(std::string_view method) {
  static constexpr std::array<std::string_view, 6> kCacheable = {"server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"};
  return contains(kCacheable, method);
}

bool is_of_subscription(std::string_view method) { return method.ends_with("/list_changed") || method == "notifications/resources/updated"; }

bool asks_for(const json::Value& notifications, std::string_view method) {
  if (method == "notifications/tools/list_changed") return notifications["toolsListChanged"].as_bool();
  if (method == "notifications/prompts/list_changed") return notifications["promptsListChanged"].as_bool();
  if (method == "notifications/resources/list_changed") return notifications["resourcesListChanged"].as_bool();
  return method == "notifications/resources/updated" && notifications["resourceSubscriptions"].size() > 0;
}

bool is_removed(std::string_view method) {
  static constexpr std::array<std::string_view, 5> kRemoved = {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"};
  return contains(kRemoved, method) || method == "tasks/list" || method == "tasks/result";
}

bool is_input_required(const json::Value& result) { return result["resultType"].as_string() == "input_required"; }

bool is_modern_error(const json::Value& error) {
  const auto number = error["code"];
  return number.kind() == json::Kind::Int && number.as_int() <= code::kHeaderMismatch && number.as_int() >= code::kUnsupportedVersion;
}

std::optional<std::string> mirrored_name(const Message& message) {
  if (message.method == "tools/call" || message.method == "prompts/get") return std::string(message.params["name"].as_string());
  if (message.method == "tasks/get" || message.method == "tasks/update" || message.method == "tasks/cancel") return std::string(message.params["taskId"].as_string());
  if (message.method == "resources/read") return std::string(message.params["uri"].as_string());
  if (message.method == "tasks/get" || message.method == "tasks/update" || message.method == "tasks/cancel") return std::string(message.params["taskId"].as_string());  // extension tasks
  return std::nullopt;
}

std::string header_encoded(std::string_view text) {
  if (plain(text) && !is_sentinel(text)) return std::string(text);
  return std::string(kOpen) + base64(as_bytes(text)) + std::string(kClose);
}

Result<std::string> header_decoded(std::string_view value) {
  if (is_sentinel(value)) {
    const auto inner = from_base64(value.substr(kOpen.size(), value.size() - kOpen.size() - kClose.size()));
    if (!inner) return fail(ErrorKind::Malformed, "it is no base64");
    return std::string(as_text(*inner));
  }
  if (!plain(value)) return fail(ErrorKind::Malformed, "it has characters that a header may not have");
  return std::string(value);
}

std::optional<Refusal> check_modern(const Message& request, const MirrorHeaders& headers) {
  const auto said = get(headers, "mcp-protocol-version");
  const auto meta = request.params["_meta"];
  const auto version = meta[kMetaVersion];
  const auto unsupported = [](std::string_view asked) {
    return Refusal{400, code::kUnsupportedVersion, "Unsupported protocol version",
                   R"({"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26"],"requested":)" + json::quote(asked.substr(0, 64)) + "}"};
  };
  if (!version.valid() && !said.empty() && said != kModern) return unsupported(said);
  if (!version.is_string()) return Refusal{400, code::kInvalidParams, "params._meta lacks \"" + std::string(kMetaVersion) + "\"", ""};
  if (said.empty()) return mismatch("the MCP-Protocol-Version header is missing");
  if (said != version.as_string()) return mismatch("MCP-Protocol-Version does not match params._meta");
  if (version.as_string() != kModern) return unsupported(version.as_string());
  if (!meta[kMetaCapabilities].is_object()) return Refusal{400, code::kInvalidParams, "params._meta lacks \"" + std::string(kMetaCapabilities) + "\"", ""};
  if (get(headers, "mcp-method") != request.method) return mismatch(headers.contains("mcp-method") ? "Mcp-Method does not match the body's method" : "the Mcp-Method header is missing");
  if (const auto name = mirrored_name(request)) {
    if (!headers.contains("mcp-name")) return mismatch("the Mcp-Name header is missing");
    const auto decoded = header_decoded(get(headers, "mcp-name"));
    if (!decoded) return mismatch("Mcp-Name: " + decoded.error().what);
    if (*decoded != *name) return mismatch("Mcp-Name does not match the body");
  }
  for (const auto& [name, value] : headers) {
    if (!name.starts_with("mcp-param-")) continue;
    if (const auto decoded = header_decoded(value); !decoded) return mismatch(name + ": " + decoded.error().what);
  }
  return std::nullopt;
}

Result<std::vector<ParamHeader>> param_headers(const json::Value& input_schema) {
  std::vector<ParamHeader> out;
  std::set<std::string> seen;
  std::string wrong;
  std::vector<std::string> path;
  // `reachable`: every step so far was a key of "properties".
  const std::function<void(const json::Value&, bool, bool, int)> walk = [&](const json::Value& schema, bool reachable, bool property, int depth) {
    if (!wrong.empty()) return;
    if (depth > kMaxDepth) { wrong = "the schema is nested too deep"; return; }
    if (schema.is_array()) {
      for (const auto element : schema) walk(element, false, false, depth + 1);
      return;
    }
    if (!schema.is_object()) return;
    if (const auto header = schema["x-mcp-header"]; header.valid()) {
      const auto type = schema["type"].as_string();
      if (!reachable || !property) wrong = "x-mcp-header stands where no value can be read";
      else if (!header.is_string() || !is_token(header.as_string())) wrong = "x-mcp-header is no header name";
      else if (type != "string" && type != "integer" && type != "boolean") wrong = "x-mcp-header stands at a value that is no string, integer or boolean";
      else if (!seen.insert(ascii_lower(header.as_string())).second) wrong = "two parameters have one x-mcp-header";
      if (!wrong.empty()) return;
      out.push_back({std::string(header.as_string()), path});
    }
    for (const auto member : schema) {
      const auto key = member.key();
      if (key == "properties" && member.is_object()) {
        for (const auto one : member) {
          path.emplace_back(one.key());
          walk(one, reachable, reachable, depth + 1);
          path.pop_back();
        }
      } else if (key != "default" && key != "const" && key != "enum" && key != "examples") {
        walk(member, false, false, depth + 1);
      }
    }
  };
  walk(input_schema, true, false, 0);
  if (!wrong.empty()) return fail(ErrorKind::Malformed, wrong);
  return out;
}

std::optional<Refusal> check_params(const Message& call, const MirrorHeaders& headers, const std::vector<ParamHeader>& annotated) {
  for (const auto& one : annotated) {
    const auto value = at_path(call.params["arguments"], one.path);
    const auto text = as_header_text(value);
    const auto at = headers.find("mcp-param-" + ascii_lower(one.name));
    if (!text && at == headers.end()) continue;
    if (!text) return mismatch("Mcp-Param-" + one.name + " has no value in the body");
    if (at == headers.end()) return mismatch("the Mcp-Param-" + one.name + " header is missing");
    const auto decoded = header_decoded(at->second);
    if (!decoded || !same_value(value, *text, *decoded)) return mismatch("Mcp-Param-" + one.name + " does not match the body");
  }
  return std::nullopt;
}

std::vector<std::pair<std::string, std::string>> mirror_params(const json::Value& arguments, const std::vector<ParamHeader>& annotated) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& one : annotated)
    if (const auto text = as_header_text(at_path(arguments, one.path))) out.emplace_back("Mcp-Param-" + one.name, header_encoded(*text));
  return out;
}

}  // namespace sallyport::protocol::mcp
