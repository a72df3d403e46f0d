// Looking a schema through, once: references, patterns, and what cannot be judged. Judging is in json_schema_judge.cpp.
#include "enforce/json_schema.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "enforce/json_schema_compiled.h"

namespace sallyport::enforce {

using json::Value;

namespace {

constexpr std::size_t kMostNoted = 32;
constexpr std::int64_t kPatternMemory = 256 << 10;
// A target has thousands of schemas; what one may cost to keep and to resolve is bounded, and what is beyond it is not judged.
constexpr std::size_t kMostPatterns = 100, kMostReferences = 256;
constexpr int kMostProgram = 20'000;  // instructions of all patterns
constexpr std::array<std::string_view, 6> kObjectsOfSchemas = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"};
constexpr std::array<std::string_view, 10> kSchemas = {"additionalProperties", "additionalItems", "contains", "propertyNames", "not", "if", "then", "else",
                                                       "unevaluatedItems", "unevaluatedProperties"};
constexpr std::array<std::string_view, 4> kListsOfSchemas = {"allOf", "anyOf", "oneOf", "prefixItems"};

bool is_schema(const Value& value) { return value.is_object() || (value.valid() && value.kind() == json::Kind::Bool); }

/// "http://json-schema.org/draft-07/schema#" -> 7; 2019 and 2020 for the later ones; 0 when nobody here knows it.
int dialect_of(std::string_view uri) {
  while (uri.ends_with('#')) uri.remove_suffix(1);
  if (uri.starts_with("http://")) uri.remove_prefix(7);
  else if (uri.starts_with("https://")) uri.remove_prefix(8);
  if (uri == "json-schema.org/draft/2020-12/schema") return 2020;
  if (uri == "json-schema.org/draft/2019-09/schema") return 2019;
  if (uri == "json-schema.org/draft-07/schema") return 7;
  if (uri == "json-schema.org/draft-06/schema") return 6;
  return uri == "json-schema.org/draft-04/schema" ? 4 : 0;
}

/// A segment of a JSON Pointer as it stands in a fragment: ~1, ~0 and percent-encoding undone.
std::string unescaped(std::string_view segment) {
  std::string out;
  for (std::size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] == '%' && i + 2 < segment.size()) {
      if (const auto byte = from_hex(segment.substr(i + 1, 2)); byte && byte->size() == 1) {
        out += static_cast<char>((*byte)[0]);
        i += 2;
        continue;
      }
    }
    out += segment[i];
  }
  std::string plain;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i] == '~' && i + 1 < out.size() && (out[i + 1] == '0' || out[i + 1] == '1')) plain += out[++i] == '0' ? '~' : '/';
    else plain += out[i];
  }
  return plain;
}

/// ECMA-262 as schemas write it, in RE2's words: \uXXXX becomes \x{XXXX}.
std::string for_re2(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 >= text.size()) {
      out += text[i];
      continue;
    }
    const auto digits = std::string_view(text).substr(i + 2, 4);
    const bool hexadecimal = digits.size() == 4 && std::ranges::all_of(digits, [](unsigned char c) { return std::isxdigit(c) != 0; });
    if (text[i + 1] == 'u' && hexadecimal) {
      out.append("\\x{").append(digits).append("}");
      i += 5;
    } else {
      out += text[i];
      out += text[++i];
    }
  }
  return out;
}

/// The subschema of that $anchor (or $dynamicAnchor, or draft-07's "$id": "#name"), anywhere in the document.
Value anchored(const Value& value, std::string_view name) {
  if (value.is_object())
    for (const auto* key : {"$anchor", "$dynamicAnchor"})
      if (value[key].is_string() && value[key].as_string() == name) return value;
  if (value.is_object())
    for (const auto* key : {"$id", "id"})
      if (value[key].is_string() && value[key].as_string().starts_with('#') && value[key].as_string().substr(1) == name) return value;
  if (value.is_object() || value.is_array()) {
    for (const auto child : value)
      if (child.key() != "enum" && child.key() != "const")
        if (auto found = anchored(child, name); found.valid()) return found;
  }
  return {};
}

}  // namespace

void JsonSchema::Compiled::note(const std::string& at, const std::string& why) {
  if (unchecked.size() < kMostNoted) unchecked.push_back(at + ": " + why);
}

Value JsonSchema::Compiled::find(std::string_view reference) const {
  const auto root = document.root();
  if (!reference.starts_with('#')) return {};
  reference.remove_prefix(1);
  if (reference.empty()) return root;
  if (reference.front() != '/') return anchored(root, unescaped(reference));
  auto at = root;
  while (!reference.empty() && at.valid()) {
    reference.remove_prefix(1);
    const auto end = std::min(reference.find('/'), reference.size());
    const auto segment = unescaped(reference.substr(0, end));
    reference.remove_prefix(end);
    if (!at.is_array()) {
      at = at[segment];
      continue;
    }
    std::size_t index = 0;
    Value found;
    for (const auto one : at)
      if (std::to_string(index++) == segment) found = one;
    at = found;
  }
  return at;
}

void JsonSchema::Compiled::read_reference(const Value& schema, const char* keyword, const std::string& at) {
  const auto target = schema[keyword];
  if (!target.valid()) return;
  const std::string text(target.as_string());
  if (references.contains(text)) return;
  if (++references_sought > kMostReferences) return note(at + "/" + keyword, "more references than are followed");
  const auto found = find(text);
  if (is_schema(found)) {
    references.emplace(text, found);
    waiting.emplace_back(found, text);  // it may stand where no keyword of ours leads
  } else {
    note(at + "/" + keyword, text.starts_with('#') ? "there is no such place in the schema" : "it refers to something outside of the schema, which is not fetched");
  }
}

void JsonSchema::Compiled::read_pattern(const std::string& text, const std::string& at) {
  if (patterns.contains(text)) return;
  if (patterns.size() >= kMostPatterns) return note(at, "more patterns than are kept");
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternMemory);
  auto pattern = std::make_unique<RE2>(for_re2(text), options);
  if (!pattern->ok()) {
    note(at, "a pattern that RE2 does not know");
    pattern.reset();
  } else if ((program += pattern->ProgramSize()) > kMostProgram) {
    note(at, "patterns that are too long to be kept");
    pattern.reset();
  }
  patterns.emplace(text, std::move(pattern));
}

void JsonSchema::Compiled::look_at_children(const Value& schema, const std::string& at) {
  for (const auto member : schema) {
    const auto key = member.key();
    const auto place = at + "/" + std::string(key);
    if (std::ranges::find(kSchemas, key) != kSchemas.end() && is_schema(member)) look_through(member, place);
    if (key == "items" && is_schema(member)) look_through(member, place);
    if (std::ranges::find(kListsOfSchemas, key) != kListsOfSchemas.end() || (key == "items" && member.is_array())) {
      std::size_t index = 0;
      for (const auto one : member) look_through(one, place + "/" + std::to_string(index++));
    }
    if (std::ranges::find(kObjectsOfSchemas, key) == kObjectsOfSchemas.end() || !member.is_object()) continue;
    for (const auto one : member) {
      const auto where = place + "/" + std::string(one.key());
      if (key == "patternProperties") read_pattern(std::string(one.key()), where);
      if (is_schema(one)) look_through(one, where);
    }
  }
}

void JsonSchema::Compiled::look_through(const Value& schema, const std::string& at) {
  if (!schema.is_object() || !visited.insert(schema.offset()).second) return;
  const auto id = schema["$id"].valid() ? schema["$id"] : schema["id"];
  if (!at.empty() && id.is_string() && !id.as_string().starts_with('#') && !(old && schema["$ref"].valid())) {
    // References inside it are relative to another address.
    opaque.insert(schema.offset());
    return note(at + "/$id", "a schema with an address of its own inside another");
  }
  for (const auto* keyword : {"$ref", "$dynamicRef", "$recursiveRef"}) read_reference(schema, keyword, at);
  if (schema["pattern"].is_string()) read_pattern(std::string(schema["pattern"].as_string()), at + "/pattern");
  if (schema["unevaluatedItems"].valid() || schema["unevaluatedProperties"].valid()) tracks = true;
  look_at_children(schema, at);
}

Result<std::shared_ptr<const JsonSchema>> JsonSchema::compile(std::string text) {
  auto compiled = std::make_unique<Compiled>();
  TRY(compiled->document, json::Document::parse(std::move(text)));
  const auto root = compiled->document.root();
  if (!is_schema(root)) return fail(ErrorKind::Malformed, "a schema is an object");
  int dialect = 2020;
  if (const auto named = root["$schema"]; named.valid()) dialect = dialect_of(named.as_string());
  compiled->nothing = dialect == 0;
  compiled->old = dialect != 0 && dialect < 2019;
  if (compiled->nothing) compiled->note("/$schema", "a dialect that is not judged here");
  else compiled->waiting.emplace_back(root, "");
  while (!compiled->waiting.empty()) {
    const auto [schema, at] = std::move(compiled->waiting.back());
    compiled->waiting.pop_back();
    compiled->look_through(schema, at);
  }
  return std::shared_ptr<const JsonSchema>(new JsonSchema(std::move(compiled)));
}

JsonSchema::JsonSchema(std::unique_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
JsonSchema::~JsonSchema() = default;

const std::vector<std::string>& JsonSchema::unchecked() const { return compiled_->unchecked; }

std::optional<JsonSchema::Violation> JsonSchema::violation(const Value& value) const {
  if (compiled_->nothing) return std::nullopt;
  SchemaJudge judge(*compiled_);
  if (judge.holds(compiled_->document.root(), value, nullptr, 0)) return std::nullopt;
  return judge.take();
}

}  // namespace sallyport::enforce
