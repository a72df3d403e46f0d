#pragma once
// Values while an expression is evaluated: views into the facts, the program's constants or the evaluation's arena;
// trivially copied, never owning. Equality and order are CEL's: numbers compare across int, uint and double, other
// kinds only with their own. Pure, any thread.
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/json.h"
#include "enforce/facts.h"

namespace sallyport::enforce::cel {

/// Why an evaluation has no value.
enum class Fault : std::uint8_t {
  NoSuchKey, NoSuchOverload, IndexOutOfRange, DivideByZero, ModulusByZero, Overflow, RepeatedKey, BadKey, NotBool,
  MissingFact, TooExpensive,
};

struct Failure {
  Fault fault;
  std::uint32_t at;  // the operation that failed
};

struct Value;
struct Entry;
struct ListRef { const Value* data = nullptr; std::size_t size = 0; };      // a list of this evaluation or program
struct MapRef { const Entry* data = nullptr; std::size_t size = 0; };       // a map of this evaluation or program
struct StringsRef { const std::vector<std::string>* strings = nullptr; };   // a fact
struct LabelsRef { const std::map<std::string, std::string>* labels = nullptr; };  // a fact
struct Null {};

struct Value : std::variant<Failure, Unknown, Null, bool, std::int64_t, std::uint64_t, double, std::string_view, ListRef,
                            StringsRef, MapRef, LabelsRef, json::Value /* array or object only */> {
  using variant::variant;
  template <class T> const T* get() const { return std::get_if<T>(this); }
  bool is_failure() const { return index() == 0; }
  bool is_unknown() const { return index() == 1; }
  /// Not a value: a failure or unknown, which ends whatever needed it.
  bool is_absent() const { return index() <= 1; }
};
struct Entry { Value key, value; };

/// The work an evaluation may still do. A step is about the cost of one operation; work on long values is charged
/// by their size, so that a hostile argument costs its sender a refusal and not the gateway its time.
struct Budget {
  std::int64_t steps;
  bool spend(std::uint64_t amount) {
    if (amount > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) || steps < 0) steps = -1;
    else steps -= static_cast<std::int64_t>(amount);
    return steps >= 0;
  }
  bool spent() const { return steps < 0; }
};

/// From JSON: scalars become CEL's own, arrays and objects stay where they are. An integer that fits is an int.
Value from_json(const json::Value& value);

bool is_number(const Value& value);
/// Elements of a list or entries of a map; -1 for any other kind.
std::int64_t elements(const Value& value);

/// CEL's ==. Neither side may be absent. What the budget does not cover is false, and the budget is spent.
bool equal(const Value& a, const Value& b, Budget& budget);

/// CEL's order; None when the kinds have no common order (a NaN is unordered: every comparison is false).
enum class Order : std::uint8_t { Less, Equal, Greater, Unordered, None };
Order order(const Value& a, const Value& b, Budget& budget);

/// The value under a key of a map; nullptr-like (Unknown) never: returns false when there is none.
bool lookup(const Value& map, const Value& key, Value& out, Budget& budget);

/// Calls visit(element) for each element of a list, or each key of a map, until it returns false.
/// Returns false when `range` is neither.
template <class Visit>
bool each(const Value& range, const Visit& visit) {
  if (const auto* list = range.get<ListRef>()) {
    for (std::size_t i = 0; i < list->size && visit(list->data[i]); ++i) {}
  } else if (const auto* strings = range.get<StringsRef>()) {
    for (const auto& text : *strings->strings) {
      if (!visit(Value(std::string_view(text)))) break;
    }
  } else if (const auto* map = range.get<MapRef>()) {
    for (std::size_t i = 0; i < map->size && visit(map->data[i].key); ++i) {}
  } else if (const auto* labels = range.get<LabelsRef>()) {
    for (const auto& [key, text] : *labels->labels) {
      if (!visit(Value(std::string_view(key)))) break;
    }
  } else if (const auto* json = range.get<json::Value>()) {
    for (const auto item : *json) {
      if (!visit(json->is_array() ? from_json(item) : Value(item.key()))) break;
    }
  } else {
    return false;
  }
  return true;
}

bool is_list(const Value& value);
bool is_map(const Value& value);
/// "int", "string", "list", … as CEL names types.
std::string_view kind_name(const Value& value);
/// The value as a CEL literal, for traces and tests.
std::string to_text(const Value& value);

}  // namespace sallyport::enforce::cel
