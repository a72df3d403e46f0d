// Judging a value by a schema, keyword by keyword (JSON Schema 2020-12, Core and Validation). See json_schema.h.
#include <algorithm>
#include <cmath>

#include "enforce/cel_lexer.h"
#include "enforce/json_schema_compiled.h"

namespace sallyport::enforce {

using json::Kind;
using json::Value;

namespace {

constexpr std::size_t kMostUnits = 1'000'000;  // of about 50 ns
constexpr std::size_t kVisit = 10;
constexpr int kMostDepth = 200;

bool is_number(const Value& value) { return value.valid() && (value.kind() == Kind::Int || value.kind() == Kind::Double); }
bool is_whole(const Value& value) {
  if (value.kind() == Kind::Int) return true;
  return value.kind() == Kind::Double && std::isfinite(value.as_double()) && std::trunc(value.as_double()) == value.as_double();
}

bool is_of(const Value& value, std::string_view type) {
  switch (value.kind()) {
    case Kind::Null: return type == "null";
    case Kind::Bool: return type == "boolean";
    case Kind::String: return type == "string";
    case Kind::Array: return type == "array";
    case Kind::Object: return type == "object";
    case Kind::Int:
    case Kind::Double: return type == "number" || (type == "integer" && is_whole(value));
  }
  return false;
}

/// The text of a name in a message: short, and never a value.
std::string named(std::string_view name) { return json::quote(name.substr(0, 100)); }

bool is_multiple(const Value& value, const Value& of) {
  if (value.kind() == Kind::Int && of.kind() == Kind::Int) return of.as_int() != 0 && (of.as_int() == -1 || value.as_int() % of.as_int() == 0);
  const double quotient = value.as_double() / of.as_double();
  return std::isfinite(quotient) && std::abs(quotient - std::round(quotient)) <= 1e-9 * std::max(1.0, std::abs(quotient));
}

int compared(const Value& a, const Value& b) {
  if (a.kind() == Kind::Int && b.kind() == Kind::Int) return a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int();
  return a.as_double() < b.as_double() ? -1 : a.as_double() > b.as_double();
}

}  // namespace

void SchemaJudge::Seen::add(const Seen& other) {
  all = all || other.all;
  keys.insert(other.keys.begin(), other.keys.end());
  items.insert(other.items.begin(), other.items.end());
}

std::string SchemaJudge::path() const {
  std::string out;
  for (const auto& step : path_) {
    out += '/';
    if (!step.is_key) out += std::to_string(step.item);
    else
      for (const char c : step.key.substr(0, 200)) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return out.size() <= 1000 ? out : out.substr(0, 1000);
}

bool SchemaJudge::fail(std::string_view keyword, std::string what) {
  if (silent_ == 0 && !found_) found_ = JsonSchema::Violation{path(), std::string(keyword), std::move(what)};
  return false;
}

bool SchemaJudge::spend(std::size_t units) {
  spent_ += units;
  if (spent_ <= kMostUnits && !over_) return true;
  // Over is over, also inside of a `not`: nothing may come true because it was too long.
  if (!over_) found_ = JsonSchema::Violation{path(), "limit", "judging it by the tool's schema takes too long"};
  over_ = true;
  return false;
}

bool SchemaJudge::quietly(const Value& schema, const Value& value, Seen* seen, int depth) {
  ++silent_;
  const bool held = holds(schema, value, seen, depth);
  --silent_;
  return held;
}

bool SchemaJudge::matches(const std::string& pattern, std::string_view text) {
  const auto at = all_.patterns.find(pattern);
  spend(text.size() / 16 + 1);
  return at == all_.patterns.end() || !at->second || RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *at->second);
}

bool SchemaJudge::holds(const Value& schema, const Value& value, Seen* seen, int depth) {
  if (!spend(kVisit)) return false;
  if (depth > kMostDepth) return spend(kMostUnits + 1);
  if (schema.valid() && schema.kind() == Kind::Bool) return schema.as_bool() || fail("false", "nothing is allowed here");
  if (!schema.is_object() || all_.opaque.contains(schema.offset())) return true;
  Seen own;
  Seen* into = all_.tracks ? &own : nullptr;
  const bool hidden = all_.old && schema["$ref"].valid();
  for (const auto* keyword : {"$ref", "$dynamicRef", "$recursiveRef"})
    if (!reference(schema, keyword, value, into, depth)) return false;
  if (!hidden) {
    if (!types(schema, value)) return false;
    if (is_number(value) && !numbers(schema, value)) return false;
    if (value.is_string() && !strings(schema, value)) return false;
    if (value.is_array() && !arrays(schema, value, into, depth)) return false;
    if (value.is_object() && !objects(schema, value, into, depth)) return false;
    if (!combined(schema, value, into, depth)) return false;
    if (into != nullptr && !unevaluated(schema, value, into, depth)) return false;
  }
  if (seen != nullptr) seen->add(own);
  return !over_;
}

bool SchemaJudge::reference(const Value& schema, const char* keyword, const Value& value, Seen* seen, int depth) {
  const auto target = schema[keyword];
  if (!target.is_string()) return true;
  const auto found = all_.references.find(std::string(target.as_string()));
  return found == all_.references.end() || holds(found->second, value, seen, depth + 1);
}

bool SchemaJudge::types(const Value& schema, const Value& value) {
  if (const auto type = schema["type"]; type.is_string() && !is_of(value, type.as_string())) {
    return fail("type", "it must be of type " + std::string(type.as_string().substr(0, 20)));
  } else if (type.is_array()) {
    bool any = false;
    for (const auto one : type) any = any || is_of(value, one.as_string());
    if (!any) return fail("type", "it must be of one of the types " + std::string(type.raw().substr(0, 100)));
  }
  const auto all = schema["enum"], only = schema["const"];
  if (!all.is_array() && !only.valid()) return true;
  if (!spend(value.raw().size() / 8 + all.raw().size() / 8 + 1)) return false;
  const auto text = json::canonical(value);
  if (only.valid() && json::canonical(only) != text) return fail("const", "it must be the one value that the schema names");
  if (!all.is_array()) return true;
  for (const auto one : all)
    if (json::canonical(one) == text) return true;
  return fail("enum", "it must be one of " + (all.raw().size() <= 200 ? std::string(all.raw()) : "the values that the schema names"));
}

bool SchemaJudge::numbers(const Value& schema, const Value& value) {
  const auto least = schema["minimum"], most = schema["maximum"], above = schema["exclusiveMinimum"], below = schema["exclusiveMaximum"], of = schema["multipleOf"];
  const auto text = [](const Value& bound) { return std::string(bound.raw().substr(0, 40)); };
  // Draft-04's exclusive bounds are flags beside the inclusive ones.
  if (is_number(least) && (compared(value, least) < 0 || (above.as_bool() && compared(value, least) == 0))) return fail("minimum", "it must not be less than " + text(least));
  if (is_number(most) && (compared(value, most) > 0 || (below.as_bool() && compared(value, most) == 0))) return fail("maximum", "it must not be more than " + text(most));
  if (is_number(above) && compared(value, above) <= 0) return fail("exclusiveMinimum", "it must be more than " + text(above));
  if (is_number(below) && compared(value, below) >= 0) return fail("exclusiveMaximum", "it must be less than " + text(below));
  if (is_number(of) && !is_multiple(value, of)) return fail("multipleOf", "it must be a multiple of " + text(of));
  return true;
}

bool SchemaJudge::strings(const Value& schema, const Value& value) {
  const auto text = value.as_string();
  const auto least = schema["minLength"], most = schema["maxLength"], pattern = schema["pattern"];
  if (is_number(least) || is_number(most)) {
    const auto length = static_cast<double>(cel::code_points(text));
    if (is_number(least) && length < least.as_double()) return fail("minLength", "it must have at least " + std::string(least.raw()) + " characters");
    if (is_number(most) && length > most.as_double()) return fail("maxLength", "it must have at most " + std::string(most.raw()) + " characters");
  }
  if (pattern.is_string() && !matches(std::string(pattern.as_string()), text)) return fail("pattern", "it must match " + named(pattern.as_string()));
  return true;
}

bool SchemaJudge::unique(const Value& value) {
  std::unordered_set<std::string> before;
  for (const auto one : value) {
    if (!spend(one.raw().size() / 8 + 1)) return false;
    if (!before.insert(json::canonical(one)).second) return false;
  }
  return true;
}

bool SchemaJudge::arrays(const Value& schema, const Value& value, Seen* seen, int depth) {
  const auto least = schema["minItems"], most = schema["maxItems"];
  const auto size = static_cast<double>(value.size());
  if (is_number(least) && size < least.as_double()) return fail("minItems", "it must have at least " + std::string(least.raw()) + " elements");
  if (is_number(most) && size > most.as_double()) return fail("maxItems", "it must have at most " + std::string(most.raw()) + " elements");
  if (schema["uniqueItems"].as_bool() && !unique(value)) return fail("uniqueItems", "its elements must differ from each other");
  return items(schema, value, seen, depth) && contains(schema, value, seen, depth);
}

bool SchemaJudge::items(const Value& schema, const Value& value, Seen* seen, int depth) {
  // Before 2020-12 `items` may be the list, and `additionalItems` what follows it.
  const auto every = schema["items"];
  const bool listed = every.is_array();
  const auto prefix = listed ? every : schema["prefixItems"];
  const auto rest = listed ? schema["additionalItems"] : every;
  if (!prefix.is_array() && !rest.valid()) return true;
  auto first = prefix.begin();
  std::size_t index = 0;
  for (const auto one : value) {
    const bool in_prefix = prefix.is_array() && index < prefix.size();
    const auto by = in_prefix ? *first : rest;
    if (in_prefix) ++first;
    if (by.valid()) {
      path_.push_back({{}, index, false});
      const bool held = holds(by, one, nullptr, depth + 1);
      path_.pop_back();
      if (!held) return false;
      if (seen != nullptr) seen->items.insert(index);
    }
    ++index;
  }
  return true;
}

bool SchemaJudge::contains(const Value& schema, const Value& value, Seen* seen, int depth) {
  const auto by = schema["contains"];
  if (!by.valid()) return true;
  std::size_t index = 0, found = 0;
  for (const auto one : value) {
    if (quietly(by, one, nullptr, depth + 1)) {
      ++found;
      if (seen != nullptr) seen->items.insert(index);
    }
    ++index;
  }
  const auto least = schema["minContains"], most = schema["maxContains"];
  if (static_cast<double>(found) < (is_number(least) ? least.as_double() : 1)) return fail("contains", "too few of its elements are as the schema wants some to be");
  if (is_number(most) && static_cast<double>(found) > most.as_double()) return fail("maxContains", "too many of its elements are as the schema wants some to be");
  return !over_;
}

bool SchemaJudge::member(const Value& schema, const Value& one, Seen* seen, int depth) {
  const auto properties = schema["properties"], patterned = schema["patternProperties"], rest = schema["additionalProperties"];
  const auto key = one.key();
  if (!spend(properties.size() / 8 + 1)) return false;
  path_.push_back({key, 0, true});
  bool known = false, held = true;
  const auto judge = [&](const Value& by) {
    known = true;
    held = held && holds(by, one, nullptr, depth + 1);
  };
  if (const auto by = properties[key]; by.valid()) judge(by);
  for (const auto by : patterned)
    if (held && matches(std::string(by.key()), key)) judge(by);
  if (held && !known && rest.valid()) {
    if (rest.kind() == Kind::Bool && !rest.as_bool()) {
      path_.pop_back();
      return fail("additionalProperties", "there is no member " + named(key));
    }
    judge(rest);
  }
  path_.pop_back();
  if (known && seen != nullptr) seen->keys.insert(key);
  return held;
}

bool SchemaJudge::present(const Value& schema, const Value& value, Seen* seen, int depth) {
  const auto missing = [&](const Value& names, const char* keyword, const std::string& why) {
    for (const auto name : names) {
      if (!spend(value.size() / 8 + 1)) return false;
      if (name.is_string() && !value[name.as_string()].valid()) return fail(keyword, "the member " + named(name.as_string()) + " is missing" + why);
    }
    return true;
  };
  if (!missing(schema["required"], "required", "")) return false;
  for (const auto* keyword : {"dependentRequired", "dependentSchemas", "dependencies"}) {
    for (const auto one : schema[keyword]) {
      if (!spend(value.size() / 8 + 1)) return false;
      if (!value[one.key()].valid()) continue;
      if (one.is_array() && !missing(one, keyword, ", for " + named(one.key()) + " is there")) return false;
      if (!one.is_array() && !holds(one, value, seen, depth + 1)) return false;
    }
  }
  return true;
}

bool SchemaJudge::objects(const Value& schema, const Value& value, Seen* seen, int depth) {
  const auto least = schema["minProperties"], most = schema["maxProperties"];
  const auto size = static_cast<double>(value.size());
  if (is_number(least) && size < least.as_double()) return fail("minProperties", "it must have at least " + std::string(least.raw()) + " members");
  if (is_number(most) && size > most.as_double()) return fail("maxProperties", "it must have at most " + std::string(most.raw()) + " members");
  if (!present(schema, value, seen, depth)) return false;
  const auto names = schema["propertyNames"];
  const bool members = schema["properties"].valid() || schema["patternProperties"].valid() || schema["additionalProperties"].valid();
  if (!members && !names.valid()) return true;
  for (const auto one : value) {
    if (names.valid()) {
      const auto name = json::Document::parse(json::quote(one.key()));
      if (!name || !quietly(names, name->root(), nullptr, depth + 1)) return fail("propertyNames", "there may be no member " + named(one.key()));
    }
    if (members && !member(schema, one, seen, depth)) return false;
  }
  return true;
}

bool SchemaJudge::any_of(const Value& branches, const Value& value, Seen* seen, int depth, bool one) {
  std::size_t held = 0;
  for (const auto branch : branches) {
    Seen own;
    if (!quietly(branch, value, seen == nullptr ? nullptr : &own, depth + 1)) continue;
    ++held;
    if (seen != nullptr) seen->add(own);
    if (!one && seen == nullptr) break;  // all of them count for what was looked at, and for nothing else
  }
  if (over_) return false;
  if (held == 0) return fail(one ? "oneOf" : "anyOf", "it fits none of the forms that the schema knows");
  return !one || held == 1 || fail("oneOf", "it fits more than one of the forms that the schema knows");
}

bool SchemaJudge::combined(const Value& schema, const Value& value, Seen* seen, int depth) {
  for (const auto one : schema["allOf"])
    if (!holds(one, value, seen, depth + 1)) return false;
  if (const auto any = schema["anyOf"]; any.is_array() && !any_of(any, value, seen, depth, false)) return false;
  if (const auto one = schema["oneOf"]; one.is_array() && !any_of(one, value, seen, depth, true)) return false;
  if (const auto no = schema["not"]; no.valid() && quietly(no, value, nullptr, depth + 1)) return fail("not", "it is of a form that the schema excludes");
  if (const auto condition = schema["if"]; condition.valid()) {
    Seen own;
    const bool held = quietly(condition, value, seen == nullptr ? nullptr : &own, depth + 1);
    if (held && seen != nullptr) seen->add(own);
    if (const auto by = schema[held ? "then" : "else"]; by.valid() && !holds(by, value, seen, depth + 1)) return false;
  }
  return !over_;
}

bool SchemaJudge::unevaluated(const Value& schema, const Value& value, Seen* seen, int depth) {
  const auto by = value.is_array() ? schema["unevaluatedItems"] : value.is_object() ? schema["unevaluatedProperties"] : Value();
  if (!by.valid() || seen->all) return true;
  std::size_t index = 0;
  for (const auto one : value) {
    const auto at = index++;
    if (value.is_array() ? seen->items.contains(at) : seen->keys.contains(one.key())) continue;
    path_.push_back({one.key(), at, value.is_object()});
    const bool held = holds(by, one, nullptr, depth + 1);
    path_.pop_back();
    if (!held) return false;
  }
  seen->all = true;
  return true;
}

}  // namespace sallyport::enforce
