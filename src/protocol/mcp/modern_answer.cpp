#include "protocol/mcp/modern_answer.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace sallyport::protocol::mcp {
namespace {

bool contains(const auto& list, std::string_view word) { return std::ranges::find(list, word) != list.end(); }

/// An object's text from pairs of keys and raw values.
class ObjectText {
 public:
  void add(std::string_view key, std::string_view raw) {
    out_.append(out_.size() > 1 ? "," : "").append(json::quote(key)).append(":").append(raw);
  }
  std::string str() && { return std::move(out_) + "}"; }

 private:
  std::string out_ = "{";
};

std::string only(const json::Value& object, const std::vector<std::string>& keys) {
  ObjectText out;
  for (const auto member : object)
    if (contains(keys, member.key())) out.add(member.key(), member.raw());
  return std::move(out).str();
}

std::string server_capabilities(const json::Value& capabilities, const std::vector<std::string>& extensions) {
  ObjectText out;
  for (const auto member : capabilities) {
    if (member.key() == "tasks") continue;
    if (member.key() != "extensions") out.add(member.key(), member.raw());
  }
  // Tasks are the gateway's own as well: what waits for a human becomes one.
  std::string told = R"("io.modelcontextprotocol/tasks":{})";
  for (const auto one : capabilities["extensions"])
    if (contains(extensions, one.key()) && one.key() != "io.modelcontextprotocol/tasks") told.append(",").append(json::quote(one.key())).append(":").append(one.raw());
  out.add("extensions", "{" + told + "}");
  return std::move(out).str();
}

}  // namespace

std::string with_member(const json::Value& object, std::string_view key, std::string_view raw) {
  ObjectText out;
  bool there = false;
  for (const auto member : object) {
    const bool same = member.key() == key;
    there = there || same;
    if (same && raw.empty()) continue;
    out.add(member.key(), same ? raw : member.raw());
  }
  if (!there && !raw.empty()) out.add(key, raw);
  return std::move(out).str();
}

std::string modern_result(const Message& answer, std::string_view method, const std::vector<std::string>& extensions, std::string_view sealed_state) {
  const auto result = answer.result;
  if (!result.is_object()) return std::string(answer.text());
  json::Splice splice;
  std::string added;
  const auto set = [&](std::string_view key, std::string raw, bool replace) {
    const auto member = result[key];
    if (!member.valid()) added += json::quote(key) + ":" + raw + ",";
    else if (replace && member.raw() != raw) splice.replace(member, std::move(raw));
  };
  set("resultType", "\"complete\"", false);
  if (!sealed_state.empty()) set("requestState", json::quote(sealed_state), true);
  if (is_cacheable(method) && !is_input_required(result)) {
    const auto ttl = result["ttlMs"];
    set("ttlMs", "0", ttl.valid() && (ttl.kind() != json::Kind::Int || ttl.as_int() < 0));
    set("cacheScope", "\"private\"", true);
  }
  if (method == "server/discover") {
    set("supportedVersions", R"(["2026-07-28","2025-11-25","2025-06-18","2025-03-26"])", true);
    if (result["capabilities"].is_object()) set("capabilities", server_capabilities(result["capabilities"], extensions), true);
  }
  if (!added.empty()) {
    if (result.size() == 0) added.pop_back();
    splice.replace(result.offset() + 1, 0, std::move(added));
  }
  return splice.empty() ? std::string(answer.text()) : splice.apply(answer.text());
}

std::string allowed_capabilities(const json::Value& capabilities, const std::vector<std::string>& server_requests, const std::vector<std::string>& extensions) {
  static constexpr std::array<std::string_view, 3> kAsked = {"sampling", "elicitation", "roots"};
  ObjectText out;
  for (const auto member : capabilities) {
    const auto key = member.key();
    if (key == "tasks" || (contains(kAsked, key) && !contains(server_requests, key))) continue;
    out.add(key, key == "extensions" ? only(member, extensions) : std::string(member.raw()));
  }
  return std::move(out).str();
}

std::string asked_secret(const json::Value& elicitation) {
  if (elicitation["mode"].as_string() == "url") return "";
  static constexpr std::array<std::string_view, 17> kWords = {"password", "passwd", "passphrase", "passcode", "secret", "token", "apikey", "privatekey", "credential",
                                                              "accesskey", "otp", "onetimecode", "pin", "cvv", "cvc", "ssn", "cardnumber"};
  for (const auto property : elicitation["requestedSchema"]["properties"]) {
    for (const auto text : {property.key(), property["title"].as_string()}) {
      // Words of camelCase, snake_case and plain titles; short ones only as a whole.
      std::string joined;
      std::vector<std::string> words{""};
      char before = 0;
      for (const char c : text) {
        const bool upper = c >= 'A' && c <= 'Z', letter = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter || (upper && before >= 'a' && before <= 'z')) words.emplace_back();
        if (letter) words.back() += static_cast<char>(upper ? c | 0x20 : c), joined += static_cast<char>(upper ? c | 0x20 : c);
        before = c;
      }
      for (const auto word : kWords)
        if (contains(words, word) || contains(words, std::string(word) + "s") || (word.size() > 5 && joined.find(word) != std::string::npos)) return std::string(property.key());
    }
  }
  return "";
}

}  // namespace sallyport::protocol::mcp
