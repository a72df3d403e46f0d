#include "protocol/mcp/answer.h"

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "base/text.h"
#include "protocol/mcp/modern_answer.h"

namespace sallyport::protocol::mcp {
namespace {

bool contains(const auto& list, std::string_view word) { return std::ranges::find(list, word) != list.end(); }

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

/// One text for the model and the person behind it: what happened, why, and what to do now.
std::string sentence(const enforce::Denial& denial) {
  std::string out;
  if (denial.kind != ErrorKind::Denied) {
    out = "Sallyport could not let this through: " + denial.reason + ".";
  } else if (denial.pending) {
    out = "Sallyport holds this for a human's approval (" + denial.approval + ", until " + utc_text(denial.expires_wall_ns) +
          "). It has NOT run. Make the same call again with the same arguments to attach to the request; it runs once it is approved.";
  } else {
    out = "Sallyport blocked this: " + denial.reason + ".";
  }
  if (!denial.message.empty()) out += " " + denial.message;
  if (!denial.rules.empty()) out += " Rule: " + joined(denial.rules) + ".";
  return out + " Request: " + denial.request_id + ".";
}

std::string decision_json(const enforce::Denial& denial) {
  std::string out = R"({"requestId":)" + json::quote(denial.request_id) + R"(,"decision":)" +
                    (denial.kind != ErrorKind::Denied ? "\"unavailable\"" : denial.pending ? "\"held\"" : "\"blocked\"");
  out += R"(,"rules":[)";
  for (std::size_t i = 0; i < denial.rules.size(); ++i) out += (i ? "," : "") + json::quote(denial.rules[i]);
  out += "]";
  if (!denial.approval.empty()) out += R"(,"approval":)" + json::quote(denial.approval);
  return out + R"(,"reason":)" + json::quote(denial.reason) + "}";
}

constexpr std::array<std::string_view, 16> kNotMaskable = {
    "uri",  "uriTemplate", "mimeType", "type",   "nextCursor",      "inputSchema", "outputSchema",
    "role", "progressToken", "level",  "method", "requestedSchema", "src",
    "resultType", "requestState", "cacheScope"};

void collect(const json::Value& value, std::vector<json::Value>& out) {
  if (value.is_string()) {
    out.push_back(value);
  } else if (value.is_array()) {
    for (const auto element : value) collect(element, out);
  } else if (value.is_object()) {
    const bool binary = value["mimeType"].is_string() || value["blob"].is_string();
    for (const auto member : value) {
      if (contains(kNotMaskable, member.key())) continue;
      if (binary && member.is_string() && (member.key() == "blob" || member.key() == "data") && from_base64(member.as_string())) continue;
      // Data of the tool's own making is masked as a whole, so that field rules find their paths in it.
      if (member.key() == "structuredContent" || member.key() == "_meta" || member.key() == "annotations" ||
          (member.key() == "data" && !member.is_string())) out.push_back(member);
      else collect(member, out);
    }
  }
}

/// Case does not count in media types, and their parameters say nothing of what they are.
bool is_text_type(std::string_view said) {
  const auto mime = ascii_lower(said.substr(0, said.find_first_of("; ")));
  return mime.starts_with("text/") || mime.starts_with("application/json") || mime.starts_with("application/xml") ||
         mime.ends_with("+json") || mime.ends_with("+xml");
}

}  // namespace

const std::vector<std::string>& versions() {
  static const std::vector<std::string> kVersions = {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"};
  return kVersions;
}

bool is_version(std::string_view version) { return contains(versions(), version); }

std::string without_our_meta(const Message& answer) {
  constexpr std::string_view kOurs = "sallyport/";
  const auto meta = answer.result["_meta"];
  std::string kept;
  bool found = false;
  for (const auto member : meta) {
    if (member.key().starts_with(kOurs)) found = true;
    else kept.append(kept.empty() ? "" : ",").append(json::quote(member.key())).append(":").append(member.raw());
  }
  if (!found) return "";
  json::Splice splice;
  splice.replace(meta, "{" + kept + "}");
  return splice.apply(answer.text());
}

std::string with_receipt(std::string answer, const Result<std::string>& receipt) {
  return with_meta(std::move(answer), receipt ? R"("sallyport/receipt":)" + json::quote(*receipt) : R"("sallyport/receiptError":)" + json::quote(receipt.error().what));
}

std::string with_meta(std::string answer, const std::string& member) {
  const auto document = json::Document::parse(answer);
  if (!document || !document->root()["result"].is_object()) return answer;
  const auto result = document->root()["result"], meta = result["_meta"];
  const auto& into = meta.is_object() ? meta : result;
  const auto added = meta.is_object() ? member : R"("_meta":{)" + member + "}";
  if (meta.valid() && !meta.is_object()) return answer;
  answer.insert(into.offset() + 1, into.size() == 0 ? added : added + ",");
  return answer;
}

std::string denial_text(const Message& request, const enforce::Denial& denial, bool hidden) {
  const bool denied = denial.kind == ErrorKind::Denied;
  const auto id = request.id.raw();
  if (hidden && denied) {
    const std::string what = request.method == "tools/call" ? "tool" : request.method == "prompts/get" ? "prompt" : "resource";
    const auto name = what == "resource" ? request.params["uri"].as_string() : request.params["name"].as_string();
    return error_text(id, code::kInvalidParams, "Unknown " + what + ": " + std::string(name),
                      R"({"requestId":)" + json::quote(denial.request_id) + "}");
  }
  if (request.method == "tools/call") {
    return result_text(id, R"({"content":[{"type":"text","text":)" + json::quote(sentence(denial)) +
                               R"(}],"isError":true,"_meta":{"sallyport/decision":)" + decision_json(denial) + "}}");
  }
  return error_text(id, denied ? code::kDenied : code::kUnavailable, sentence(denial), decision_json(denial));
}

std::vector<json::Value> maskable(const json::Value& root) {
  std::vector<json::Value> out;
  collect(root, out);
  return out;
}

std::vector<TextBlob> text_blobs(const json::Value& root) {
  std::vector<TextBlob> out;
  if (root.is_object()) {
    const bool text = is_text_type(root["mimeType"].as_string());
    for (const auto blob : {root["blob"], root["data"]}) {
      if (!blob.is_string() || !text) continue;
      if (auto bytes = from_base64(blob.as_string())) out.push_back({blob, std::string(as_text(*bytes))});
    }
  }
  if (root.is_object() || root.is_array())
    for (const auto child : root)
      for (auto& found : text_blobs(child)) out.push_back(std::move(found));
  return out;
}

std::string filter_list(const Message& answer, const ListKind& kind, const std::function<bool(std::string_view name, const json::Value& element)>& visible,
                        std::size_t& hidden) {
  const auto array = answer.result[kind.array];
  hidden = 0;
  if (!array.is_array()) return "";
  std::string kept = "[";
  for (const auto element : array) {
    // An element without a name cannot be judged, so it is not shown.
    const auto name = element[kind.name_key];
    if (name.is_string() && visible(name.as_string(), element)) kept.append(kept.size() > 1 ? "," : "").append(element.raw());
    else ++hidden;
  }
  if (hidden == 0) return "";
  json::Splice splice;
  splice.replace(array, kept + "]");
  return splice.apply(answer.text());
}

std::string rewrite_initialize(const Message& request, const std::vector<std::string>& server_requests, const std::vector<std::string>& extensions) {
  json::Splice splice;
  const auto version = request.params["protocolVersion"];
  if (version.valid() && !is_version(version.as_string())) splice.replace(version, json::quote(versions().back()));
  if (const auto capabilities = request.params["capabilities"]; capabilities.is_object() && capabilities.size() > 0)
    if (auto allowed = allowed_capabilities(capabilities, server_requests, extensions); allowed != capabilities.raw()) splice.replace(capabilities, std::move(allowed));
  return splice.apply(request.text());
}

Result<std::string> rewrite_initialize_answer(const Message& answer, const std::vector<std::string>& extensions) {
  const auto version = answer.result["protocolVersion"].as_string();
  if (!is_version(version))
    return fail(ErrorKind::Unavailable, "the target answered with protocol version \"" + std::string(version).substr(0, 40) +
                                            "\"; spoken here are 2024-11-05, 2025-03-26, 2025-06-18 and 2025-11-25");
  json::Splice splice;
  const auto capabilities = answer.result["capabilities"];
  if (capabilities["tasks"].valid() || capabilities["extensions"].valid()) splice.replace(capabilities, allowed_capabilities(capabilities, {}, extensions));
  return splice.apply(answer.text());
}

std::string hold_progress(std::string_view token, const enforce::Approval& approval, std::int64_t held_ns) {
  // Progress must grow with every notification: the seconds held so far do.
  const std::string seconds = std::to_string(held_ns / 1'000'000'000) + "." + std::to_string(held_ns / 100'000'000 % 10);
  return R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":)" + std::string(token) +
         R"(,"progress":)" + seconds + R"(,"message":)" +
         json::quote("Held for approval: request " + approval.id + ", waiting for " + approval.approvers()) + "}}";
}

}  // namespace sallyport::protocol::mcp
