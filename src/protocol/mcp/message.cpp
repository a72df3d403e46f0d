#include "protocol/mcp/message.h"

#include <algorithm>
#include <array>

namespace sallyport::protocol::mcp {
namespace {

constexpr std::array<std::string_view, 10> kHousekeeping = {
    "initialize", "server/discover", "ping", "tools/list", "resources/list", "resources/templates/list", "prompts/list", "logging/setLevel",
    "notifications/initialized", "notifications/roots/list_changed"};
constexpr std::array<std::string_view, 10> kEitherWay = {
    "ping", "notifications/progress", "notifications/cancelled", "notifications/message", "notifications/tools/list_changed",
    "notifications/resources/list_changed", "notifications/resources/updated", "notifications/prompts/list_changed",
    "notifications/elicitation/complete", "notifications/subscriptions/acknowledged"};
constexpr std::array<std::string_view, 3> kServerRequests = {"sampling/createMessage", "elicitation/create", "roots/list"};

bool contains(const auto& list, std::string_view word) { return std::ranges::find(list, word) != list.end(); }

bool has_case_variants(const json::Value& value) {
  if (value.is_object() && json::has_case_variant_keys(value)) return true;
  if (!value.is_object() && !value.is_array()) return false;
  for (const auto child : value)
    if (has_case_variants(child)) return true;
  return false;
}

Result<void> check_members(const Message& message, const json::Value& root) {
  static constexpr std::array<std::string_view, 6> kMembers = {"jsonrpc", "id", "method", "params", "result", "error"};
  for (const auto member : root) {
    if (contains(kMembers, member.key())) continue;
    std::string lower(member.key());
    for (auto& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    if (contains(kMembers, lower)) return fail(ErrorKind::Malformed, "\"" + std::string(member.key()) + "\" is not a member of a JSON-RPC message; case matters");
  }
  if (message.params.valid() && !message.params.is_object()) return fail(ErrorKind::Malformed, "\"params\" must be an object");
  return {};
}

}  // namespace

Result<Message> parse_message(std::string text, From from, std::size_t max_bytes) {
  json::Limits limits;
  limits.max_bytes = max_bytes;
  Message message;
  TRY(message.document, json::Document::parse(std::move(text), limits));
  const auto root = message.document.root();
  if (!root.is_object()) return fail(ErrorKind::Malformed, "a JSON-RPC message must be one object");
  if (root["jsonrpc"].as_string() != "2.0") return fail(ErrorKind::Malformed, "\"jsonrpc\" must be \"2.0\"");
  message.id = root["id"];
  message.params = root["params"];
  message.result = root["result"];
  message.error = root["error"];
  const auto method = root["method"];
  const bool id_null = message.id.valid() && message.id.kind() == json::Kind::Null;
  if (message.id.valid() && !id_null && message.id.kind() != json::Kind::String && message.id.kind() != json::Kind::Int)
    return fail(ErrorKind::Malformed, "\"id\" must be a string or an integer");
  if (method.valid()) {
    if (!method.is_string() || method.as_string().empty()) return fail(ErrorKind::Malformed, "\"method\" must be a string");
    if (message.result.valid() || message.error.valid()) return fail(ErrorKind::Malformed, "a message has both \"method\" and an answer");
    if (id_null) return fail(ErrorKind::Malformed, "\"id\" must not be null in a request");
    message.method = std::string(method.as_string());
    message.kind = message.id.valid() ? Message::Kind::Request : Message::Kind::Notification;
  } else if (message.result.valid() != message.error.valid()) {
    if (!message.id.valid() || (id_null && message.result.valid())) return fail(ErrorKind::Malformed, "an answer must have an \"id\"");
    if (message.error.valid() && !message.error.is_object()) return fail(ErrorKind::Malformed, "\"error\" must be an object");
    message.kind = message.result.valid() ? Message::Kind::Response : Message::Kind::Error;
  } else {
    return fail(ErrorKind::Malformed, "a message needs exactly one of \"method\", \"result\" and \"error\"");
  }
  TRY_VOID(check_members(message, root));
  // A server's data may well have keys that differ in case; what a client asks for may not, for it is judged by its keys.
  if (from == From::Client && has_case_variants(message.params))
    return fail(ErrorKind::Malformed, "\"params\" has two keys that differ only in case");
  return message;
}

Result<std::vector<std::string>> split_batch(std::string text, std::size_t max_bytes, std::size_t max_messages) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || text[first] != '[') return std::vector<std::string>{std::move(text)};
  json::Limits limits;
  limits.max_bytes = max_bytes;
  TRY(auto document, json::Document::parse(std::move(text), limits));
  if (document.root().size() == 0) return fail(ErrorKind::Malformed, "a batch must not be empty");
  if (document.root().size() > max_messages)
    return fail(ErrorKind::Malformed, "a batch may hold at most " + std::to_string(max_messages) + " messages");
  std::vector<std::string> out;
  for (const auto element : document.root()) out.emplace_back(element.raw());
  return out;
}

enforce::Action action_of(const Message& message, From from, const std::vector<std::string>& extra_methods) {
  const auto& method = message.method;
  const auto text = [&](std::string_view key) { return std::string(message.params[key].as_string()); };
  if (from == From::Client && method == "tools/call") {
    if (!message.params["name"].is_string()) return enforce::Raw{"mcp", "tools/call without a name"};
    if (message.params["arguments"].valid() && !message.params["arguments"].is_object()) return enforce::Raw{"mcp", "tools/call with arguments that are no object"};
    return enforce::ToolCall{text("name"), message.params["arguments"]};
  }
  enforce::McpRequest request;
  request.method = method;
  request.params = message.params;
  request.from_server = from == From::Server;
  if (from == From::Server) {
    if (contains(kServerRequests, method)) return request;
    if (contains(kEitherWay, method)) {
      request.housekeeping = true;
      return request;
    }
  } else if (method == "resources/read" || method == "resources/subscribe" || method == "resources/unsubscribe") {
    request.resource = text("uri");
    if (!request.resource.empty()) return request;
  } else if (method == "prompts/get") {
    request.prompt = text("name");
    if (!request.prompt.empty()) return request;
  } else if (method == "completion/complete") {
    // Values of a completion name what the prompt or resource would show: judged as that.
    const auto ref = message.params["ref"];
    request.prompt = std::string(ref["name"].as_string());
    request.resource = std::string(ref["uri"].as_string());
    if (request.prompt.empty() != request.resource.empty()) return request;
  } else if (contains(kHousekeeping, method) || method == "notifications/progress" || method == "notifications/cancelled") {
    request.housekeeping = true;
    return request;
  }
  if (contains(extra_methods, method)) {
    request.carries = method.starts_with("tasks/");  // the result of whatever call became that task
    return request;
  }
  return enforce::Raw{"mcp", method};
}

const ListKind* list_kind(std::string_view method) {
  static constexpr ListKind kTools{"tools", "name", "tools/call", "mcp.tool"};
  static constexpr ListKind kResources{"resources", "uri", "resources/read", "mcp.resource"};
  static constexpr ListKind kTemplates{"resourceTemplates", "uriTemplate", "resources/read", "mcp.resource"};
  static constexpr ListKind kPrompts{"prompts", "name", "prompts/get", "mcp.prompt"};
  if (method == "tools/list") return &kTools;
  if (method == "resources/list") return &kResources;
  if (method == "resources/templates/list") return &kTemplates;
  if (method == "prompts/list") return &kPrompts;
  return nullptr;
}

enforce::Facts object_facts(const ListKind& kind, std::string_view name) {
  enforce::McpRequest request;
  request.method = std::string(kind.method);
  enforce::Facts facts = enforce::facts_of(request);
  for (std::size_t i = 0; i < facts.values.size(); ++i) {
    const auto field = facts.schema->fields[i].name;
    if (field == kind.fact) facts.values[i] = std::string(name);
    else if (field == "mcp.args") facts.values[i] = enforce::Unknown{};
  }
  return facts;
}

std::string error_text(std::string_view id, int code, std::string_view message, std::string_view data) {
  std::string out = R"({"jsonrpc":"2.0","id":)";
  out.append(id.empty() ? "null" : id).append(R"(,"error":{"code":)").append(std::to_string(code));
  out.append(R"(,"message":)").append(json::quote(message));
  if (!data.empty()) out.append(R"(,"data":)").append(data);
  return out.append("}}");
}

std::string result_text(std::string_view id, std::string_view result) {
  std::string out = R"({"jsonrpc":"2.0","id":)";
  return out.append(id).append(R"(,"result":)").append(result).append("}");
}

}  // namespace sallyport::protocol::mcp
