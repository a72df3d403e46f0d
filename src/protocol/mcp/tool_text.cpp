#include "protocol/mcp/tool_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/text.h"

namespace sallyport::protocol::mcp {
namespace {

constexpr std::size_t kMostCells = 1'000'000;     // of the table of two texts' lines

bool counts_in_meta(std::string_view key) { return key == "ui" || key.starts_with("ui/"); }

/// Canonical as a whole, but for the members that are named.
std::string without(const json::Value& object, std::initializer_list<std::string_view> left_out) {
  std::string text = "{";
  const auto add = [&](std::string_view key, std::string_view raw) { text.append(text.size() > 1 ? "," : "").append(json::quote(key)).append(":").append(raw); };
  for (const auto member : object) {
    if (std::ranges::find(left_out, member.key()) != left_out.end()) continue;
    if (member.key() != "_meta") {
      add(member.key(), member.raw());
      continue;
    }
    std::string meta;
    for (const auto one : member)
      if (counts_in_meta(one.key())) meta.append(meta.empty() ? "" : ",").append(json::quote(one.key())).append(":").append(one.raw());
    if (!meta.empty()) add("_meta", "{" + meta + "}");
  }
  const auto document = json::Document::parse(text + "}");
  return document ? json::canonical(document->root()) : std::string();
}

/// Leaves by their place: texts as they are, everything else as JSON.
void flatten(const json::Value& value, const std::string& place, std::map<std::string, std::string>& out) {
  if ((!value.is_object() && !value.is_array()) || value.size() == 0) {
    out.emplace(place, value.is_string() ? std::string(value.as_string()) : std::string(value.raw()));
    return;
  }
  std::size_t index = 0;
  for (const auto child : value) {
    std::string segment = value.is_array() ? std::to_string(index++) : std::string(child.key());
    for (std::size_t at = 0; at < segment.size(); ++at) {
      if (segment[at] != '~' && segment[at] != '/') continue;
      segment.replace(at, 1, segment[at] == '~' ? "~0" : "~1");
      ++at;
    }
    flatten(child, place + "/" + segment, out);
  }
}

std::map<std::string, std::string> flattened(const std::string& definition) {
  std::map<std::string, std::string> out;
  if (definition.empty()) return out;
  if (const auto document = json::Document::parse(definition)) flatten(document->root(), "", out);
  return out;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::size_t at = 0;
  for (;;) {
    const auto end = text.find('\n', at);
    out.push_back(written_out(std::string_view(text).substr(at, end - at)));
    if (end == std::string::npos) return out;
    at = end + 1;
  }
}

/// The longest common lines stay; texts too long for the table are shown whole, one after the other.
std::vector<std::string> compared(const std::string& before, const std::string& after) {
  const auto a = lines_of(before), b = lines_of(after);
  std::vector<std::string> out;
  const bool table = a.size() * b.size() <= kMostCells;
  std::vector<std::uint32_t> common(table ? (a.size() + 1) * (b.size() + 1) : 0);
  const auto at = [&](std::size_t i, std::size_t j) -> std::uint32_t& { return common[i * (b.size() + 1) + j]; };
  if (table)
    for (std::size_t i = a.size(); i-- > 0;)
      for (std::size_t j = b.size(); j-- > 0;) at(i, j) = a[i] == b[j] ? at(i + 1, j + 1) + 1 : std::max(at(i + 1, j), at(i, j + 1));
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (table && i < a.size() && j < b.size() && a[i] == b[j]) {
      out.push_back("  " + a[i++]);
      ++j;
    } else if (i < a.size() && (!table || j == b.size() || at(i + 1, j) >= at(i, j + 1))) {
      out.push_back("- " + a[i++]);
    } else {
      out.push_back("+ " + b[j++]);
    }
  }
  return out;
}

/// Lower-case words of its texts and names of its arguments.
std::vector<std::string> words_of(const json::Value& definition) {
  std::vector<std::string> words;
  const auto add = [&](std::string_view text) {
    std::string word;
    for (const char c : ascii_lower(text) + " ") {
      const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
      if (letter) word += c;
      else if (!word.empty()) words.push_back(std::exchange(word, {}));
    }
  };
  const auto walk = [&](const auto& self, const json::Value& value) -> void {
    if (value.is_string()) add(value.as_string());
    for (const auto child : value) {
      if (child.key() == "name" || child.key() == "title" || child.key() == "icons") continue;
      add(child.key());
      self(self, child);
    }
  };
  if (definition["description"].valid()) walk(walk, definition["description"]);
  if (definition["inputSchema"].valid()) walk(walk, definition["inputSchema"]);
  if (definition["arguments"].valid()) walk(walk, definition["arguments"]);
  return words;
}

}  // namespace

std::string pinned_definition(const json::Value& element) { return without(element, {}); }

std::vector<Difference> differences(const std::string& before, const std::string& after) {
  const auto a = flattened(before), b = flattened(after);
  std::set<std::string> places;
  for (const auto* side : {&a, &b})
    for (const auto& [place, text] : *side) places.insert(place);
  std::vector<Difference> out;
  for (const auto& place : places) {
    const auto old = a.find(place), now = b.find(place);
    if (old != a.end() && now != b.end() && old->second == now->second) continue;
    Difference one{written_out(place), {}};
    if (old != a.end() && now != b.end()) one.lines = compared(old->second, now->second);
    else
      for (const auto& line : lines_of(old != a.end() ? old->second : now->second)) one.lines.push_back((old != a.end() ? "- " : "+ ") + line);
    out.push_back(std::move(one));
  }
  // What differs only in its form, such as a list that became a text of the same letters.
  if (out.empty() && before != after) out.push_back({"", {"- " + written_out(before), "+ " + written_out(after)}});
  return out;
}

enforce::Likeness likeness_of(const std::string& definition) {
  enforce::Likeness out;
  const auto document = json::Document::parse(definition);
  if (!document) return out;
  const auto root = document->root();
  const bool says_something = !root["description"].as_string().empty() || root["inputSchema"]["properties"].size() > 0 || root["arguments"].size() > 0;
  if (says_something) out.body = sha256(as_bytes(without(root, {"name", "title", "annotations"})));
  const auto words = words_of(root);
  for (std::size_t i = 0; i + 2 < words.size(); ++i)
    out.phrases.push_back(static_cast<std::uint32_t>(std::hash<std::string>{}(words[i] + " " + words[i + 1] + " " + words[i + 2])));
  std::ranges::sort(out.phrases);
  const auto same = std::ranges::unique(out.phrases);
  out.phrases.erase(same.begin(), same.end());
  return out;
}

std::string_view hidden_kind(char32_t c) {
  if (c == 0x1B || c == 0x9B) return "terminal-escape";
  if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029) return "control-character";
  if (c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069)) return "direction-control";
  if (c >= 0xE0000 && c <= 0xE0FFF) return "tag-character";
  const bool blank = c == 0xAD || c == 0x034F || c == 0x115F || c == 0x1160 || c == 0x17B4 || c == 0x17B5 || (c >= 0x180B && c <= 0x180F) || (c >= 0x200B && c <= 0x200D) ||
                     (c >= 0x2060 && c <= 0x206F) || c == 0x3164 || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF || c == 0xFFA0 || (c >= 0xFFF0 && c <= 0xFFFB) ||
                     (c >= 0x1BCA0 && c <= 0x1BCA3) || (c >= 0x1D173 && c <= 0x1D17A);
  return blank ? "invisible-character" : "";
}

std::string written_out(std::string_view text, bool letters) {
  std::string out;
  while (!text.empty()) {
    const auto before = text;
    const auto c = take_code_point(text);
    const bool plain = c == '\t' || (c != '\n' && c != '\r' && hidden_kind(c).empty() && (!letters || c < 0x80));
    if (plain) out += before.substr(0, before.size() - text.size());
    else out += fmt::format("\\u{{{:04X}}}", static_cast<std::uint32_t>(c));
  }
  return out;
}

}  // namespace sallyport::protocol::mcp
