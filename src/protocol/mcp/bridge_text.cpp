#include "protocol/mcp/bridge_text.h"

#include <algorithm>
#include <array>

#include "protocol/mcp/modern_answer.h"

namespace sallyport::protocol::mcp {
namespace {

constexpr int kLegacyNotFound = -32002, kUrlNeeded = -32042;
constexpr std::array<std::string_view, 8> kLevels = {"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"};

bool is_modern_key(std::string_view key) { return key == kMetaVersion || key == kMetaClient || key == kMetaCapabilities || key == kMetaLogLevel; }

void add(std::string& object, std::string_view key, std::string_view raw) { object.append(object.empty() ? "" : ",").append(json::quote(key)).append(":").append(raw); }

std::string envelope(std::string_view id, std::string_view method, const std::string& params) {
  std::string out = R"({"jsonrpc":"2.0","id":)";
  out.append(id).append(R"(,"method":)").append(json::quote(method)).append(R"(,"params":{)").append(params).append("}}");
  return out;
}

}  // namespace

std::string legacy_request(const Message& request, std::string_view wire_id) {
  std::string params, meta;
  for (const auto member : request.params) {
    if (member.key() == "requestState" || member.key() == "inputResponses") continue;
    if (member.key() != "_meta") {
      add(params, member.key(), member.raw());
      continue;
    }
    for (const auto one : member) {
      if (is_modern_key(one.key())) continue;
      add(meta, one.key(), one.key() == "progressToken" ? wire_id : one.raw());
    }
  }
  if (!meta.empty()) add(params, "_meta", "{" + meta + "}");
  return envelope(wire_id, request.method, params);
}

std::string modern_response(const Message& answer, std::string_view id, std::string_view method) {
  if (answer.kind == Message::Kind::Error) {
    const auto number = answer.error["code"].as_int();
    if (number == kUrlNeeded && answer.error["data"]["elicitations"].is_array()) {
      std::string asked;
      std::size_t count = 0;
      for (const auto one : answer.error["data"]["elicitations"]) add(asked, "url-" + std::to_string(++count), R"({"method":"elicitation/create","params":)" + with_member(one, "elicitationId", "") + "}");
      return result_text(id, R"({"resultType":"input_required","inputRequests":{)" + asked + R"(},"requestState":"again"})");
    }
    const auto error = number == kLegacyNotFound ? with_member(answer.error, "code", std::to_string(code::kInvalidParams)) : std::string(answer.error.raw());
    std::string out = R"({"jsonrpc":"2.0","id":)";
    return out.append(id).append(R"(,"error":)").append(error).append("}");
  }
  auto out = with_member(answer.result, "resultType", "\"complete\"");
  if (is_cacheable(method)) {
    out.pop_back();
    out += R"(,"ttlMs":0,"cacheScope":"private"})";
  }
  return result_text(id, out);
}

std::string input_required(std::string_view id, std::string_view key, std::string_view asked, std::string_view state) {
  std::string result = R"({"resultType":"input_required","inputRequests":{)";
  result.append(json::quote(key)).append(":").append(asked).append(R"(},"requestState":)").append(json::quote(state)).append("}");
  return result_text(id, result);
}

std::string with_token(const Message& progress, std::string_view token) {
  json::Splice splice;
  splice.replace(progress.params["progressToken"], std::string(token));
  return splice.apply(progress.text());
}

std::string with_subscription(const Message& notification, std::string_view id) {
  std::string params, meta;
  for (const auto member : notification.params) {
    if (member.key() != "_meta") add(params, member.key(), member.raw());
    else
      for (const auto one : member)
        if (one.key() != kMetaSubscription) add(meta, one.key(), one.raw());
  }
  add(meta, kMetaSubscription, id);
  add(params, "_meta", "{" + meta + "}");
  return R"({"jsonrpc":"2.0","method":)" + json::quote(notification.method) + R"(,"params":{)" + params + "}}";
}

bool is_wanted(std::string_view level, std::string_view wanted) {
  const auto at = std::ranges::find(kLevels, level), least = std::ranges::find(kLevels, wanted);
  return least != kLevels.end() && (at == kLevels.end() || at >= least);
}

std::string modern_request(const Message& request, std::string_view id, std::string_view meta_members) {
  std::string params, meta(meta_members);
  for (const auto member : request.params) {
    if (member.key() != "_meta") add(params, member.key(), member.raw());
    else
      for (const auto one : member)
        if (!is_modern_key(one.key())) add(meta, one.key(), one.raw());
  }
  add(params, "_meta", "{" + meta + "}");
  return envelope(id, request.method, params);
}

std::string initialize_result(const Message& discovered, std::string_view id, std::string_view version) {
  const auto& result = discovered.result;
  std::string out, capabilities;
  for (const auto one : result["capabilities"])
    if (one.key() != "extensions" && one.key() != "tasks") add(capabilities, one.key(), one.raw());
  add(out, "protocolVersion", json::quote(version));
  add(out, "capabilities", "{" + capabilities + "}");
  const auto server = result["_meta"][kMetaServer];
  add(out, "serverInfo", server.is_object() ? std::string(server.raw()) : std::string(R"({"name":"unnamed","version":"0"})"));
  if (result["instructions"].is_string()) add(out, "instructions", result["instructions"].raw());
  return result_text(id, "{" + out + "}");
}

}  // namespace sallyport::protocol::mcp
