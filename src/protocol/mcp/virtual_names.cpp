#include "protocol/mcp/virtual_names.h"

#include "base/bytes.h"

namespace sallyport::protocol::mcp {
namespace {

constexpr std::size_t kMaxCursor = 64u << 10;

std::string made_id(std::string_view member, const json::Value& id) { return json::quote(std::string(member) + ":" + std::string(id.raw())); }

}  // namespace

std::optional<Owned> owner_of(const target::VirtualServer& server, std::string_view name) {
  std::optional<Owned> plain;
  for (std::size_t i = 0; i < server.members.size(); ++i) {
    const auto& prefix = server.members[i].prefix;
    if (prefix.empty()) plain = Owned{i, std::string(name)};
    else if (name.starts_with(prefix) && name.size() > prefix.size()) return Owned{i, std::string(name.substr(prefix.size()))};
  }
  return plain;
}

std::string element_of(const target::VirtualServer& server, std::size_t member, const json::Value& element, std::string_view name_key) {
  std::string out(element.raw());
  const auto name = element[name_key];
  if (name_key != "name") return out;
  const auto shown = server.members[member].prefix + std::string(name.as_string());
  const auto owner = owner_of(server, shown);
  if (!owner || owner->member != member) return "";
  if (!server.members[member].prefix.empty()) out.replace(name.offset() - element.offset(), name.raw().size(), json::quote(shown));
  return out;
}

std::string cursor_of(const Cursors& next) {
  std::string out = "{";
  for (const auto& [member, cursor] : next) out += (out.size() > 1 ? "," : "") + json::quote(member) + ":" + json::quote(cursor);
  return base64url(as_bytes(out + "}"));
}

Result<Cursors> parse_cursor(std::string_view cursor) {
  static const std::string kWrong = "this is no cursor of this server's";
  if (cursor.size() > kMaxCursor) return fail(ErrorKind::Malformed, kWrong);
  const auto bytes = from_base64url(cursor);
  if (!bytes) return fail(ErrorKind::Malformed, kWrong);
  const auto document = json::Document::parse(std::string(as_text(*bytes)));
  if (!document || !document->root().is_object() || document->root().size() == 0) return fail(ErrorKind::Malformed, kWrong);
  Cursors out;
  for (const auto member : document->root()) {
    if (!member.is_string()) return fail(ErrorKind::Malformed, kWrong);
    out.emplace(member.key(), member.as_string());
  }
  return out;
}

std::string merged_capabilities(const std::vector<json::Value>& capabilities, bool complete) {
  const auto any = [&](std::string_view area, std::string_view what = "") {
    for (const auto& one : capabilities)
      if (what.empty() ? one[area].valid() : one[area][what].as_bool()) return true;
    return false;
  };
  // Members come and go, so that every list may change.
  std::string out = R"({"tools":{"listChanged":true})";
  if (any("prompts") || !complete) out += R"(,"prompts":{"listChanged":true})";
  if (any("resources") || !complete) out += std::string(R"(,"resources":{"listChanged":true)") + (any("resources", "subscribe") ? R"(,"subscribe":true})" : "}");
  if (any("completions")) out += R"(,"completions":{})";
  if (any("logging")) out += R"(,"logging":{})";
  std::map<std::string, std::string> extensions;
  for (const auto& one : capabilities)
    for (const auto extension : one["extensions"]) extensions.try_emplace(std::string(extension.key()), extension.raw());
  std::string text;
  for (const auto& [name, raw] : extensions) text += (text.empty() ? "" : ",") + json::quote(name) + ":" + raw;
  return out + (text.empty() ? "" : R"(,"extensions":{)" + text + "}") + "}";
}

std::string from_member(const Message& message, std::string_view member) {
  json::Splice splice;
  if (message.kind == Message::Kind::Request) {
    splice.replace(message.id, made_id(member, message.id));
    if (const auto token = message.params["_meta"]["progressToken"]; token.valid()) splice.replace(token, made_id(member, token));
  } else if (message.method == "notifications/cancelled") {
    if (const auto id = message.params["requestId"]; id.valid()) splice.replace(id, made_id(member, id));
  } else if (message.method == "notifications/message") {
    const auto logger = message.params["logger"];
    if (logger.is_string()) splice.replace(logger, json::quote(std::string(member) + "/" + std::string(logger.as_string())));
    else if (message.params.size() > 0) splice.replace(message.params.offset() + 1, 0, R"("logger":)" + json::quote(member) + ",");
  }
  return splice.empty() ? std::string(message.text()) : splice.apply(message.text());
}

std::optional<MemberId> member_id(const json::Value& id) {
  const auto text = id.as_string();
  const auto colon = text.find(':');
  if (!id.is_string() || colon == std::string_view::npos) return std::nullopt;
  MemberId out{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
  const auto raw = json::Document::parse(out.raw);
  if (!raw || (raw->root().kind() != json::Kind::String && raw->root().kind() != json::Kind::Int)) return std::nullopt;
  return out;
}

Result<Message> with_value(const Message& message, const json::Value& value, std::string raw, From from) {
  json::Splice splice;
  splice.replace(value, std::move(raw));
  TRY(auto out, parse_message(splice.apply(message.text()), from, SIZE_MAX));
  out.mirrored = message.mirrored;
  return out;
}

std::string missing_text(const std::vector<Missing>& missing) {
  std::string out = "[";
  for (const auto& one : missing) out += (out.size() > 1 ? "," : "") + (R"({"server":)" + json::quote(one.member)) + R"(,"reason":)" + json::quote(one.reason) + "}";
  return out + "]";
}

}  // namespace sallyport::protocol::mcp
