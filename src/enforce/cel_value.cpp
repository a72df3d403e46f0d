#include "enforce/cel_value.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <iterator>

namespace sallyport::enforce::cel {
namespace {

// Comparing text costs little a byte; the others walk structures.
constexpr std::size_t kBytesPerStep = 256;
constexpr std::size_t kMembersPerStep = 8;

Order order_of(std::int64_t a, std::int64_t b) { return a < b ? Order::Less : a > b ? Order::Greater : Order::Equal; }
Order order_of(std::uint64_t a, std::uint64_t b) { return a < b ? Order::Less : a > b ? Order::Greater : Order::Equal; }
Order order_of(double a, double b) {
  return a < b ? Order::Less : a > b ? Order::Greater : a == b ? Order::Equal : Order::Unordered;
}
Order reversed(Order order) {
  return order == Order::Less ? Order::Greater : order == Order::Greater ? Order::Less : order;
}
Order order_of(std::int64_t a, std::uint64_t b) {
  return a < 0 ? Order::Less : order_of(static_cast<std::uint64_t>(a), b);
}
// As CEL's conformance tests want it: within the integer's range the integer is converted, and that may round.
Order order_of(std::int64_t a, double b) {
  if (b < -9223372036854775808.0) return Order::Greater;
  if (b > 9223372036854775808.0) return Order::Less;
  return order_of(static_cast<double>(a), b);
}
Order order_of(std::uint64_t a, double b) {
  if (b < 0) return Order::Greater;
  if (b > 18446744073709551616.0) return Order::Less;
  return order_of(static_cast<double>(a), b);
}

Order order_of_numbers(const Value& a, const Value& b) {
  if (const auto* x = a.get<std::int64_t>()) {
    if (const auto* y = b.get<std::int64_t>()) return order_of(*x, *y);
    if (const auto* y = b.get<std::uint64_t>()) return order_of(*x, *y);
    if (const auto* y = b.get<double>()) return order_of(*x, *y);
  } else if (const auto* u = a.get<std::uint64_t>()) {
    if (const auto* y = b.get<std::int64_t>()) return reversed(order_of(*y, *u));
    if (const auto* y = b.get<std::uint64_t>()) return order_of(*u, *y);
    if (const auto* y = b.get<double>()) return order_of(*u, *y);
  } else if (const auto* d = a.get<double>()) {
    if (const auto* y = b.get<std::int64_t>()) return reversed(order_of(*y, *d));
    if (const auto* y = b.get<std::uint64_t>()) return reversed(order_of(*y, *d));
    if (const auto* y = b.get<double>()) return order_of(*d, *y);
  }
  return Order::None;
}

// Walks any list by position, without an index operation (a JSON array has none).
class Walk {
 public:
  explicit Walk(const Value& list) : list_(list) {
    if (const auto* json = list.get<json::Value>()) at_ = json->begin();
  }
  Value next() {
    const auto i = position_++;
    if (const auto* list = list_.get<ListRef>()) return list->data[i];
    if (const auto* strings = list_.get<StringsRef>()) return std::string_view((*strings->strings)[i]);
    const Value value = from_json(**at_);
    ++*at_;
    return value;
  }

 private:
  Value list_;
  std::size_t position_ = 0;
  std::optional<json::Value::Iterator> at_;
};

bool equal_lists(const Value& a, const Value& b, Budget& budget) {
  const auto size = elements(a);
  if (size != elements(b)) return false;
  Walk left(a), right(b);
  for (std::int64_t i = 0; i < size; ++i) {
    if (!equal(left.next(), right.next(), budget)) return false;
  }
  return true;
}

bool equal_maps(const Value& a, const Value& b, Budget& budget) {
  if (elements(a) != elements(b)) return false;
  bool same = true;
  each(a, [&](const Value& key) {
    Value left, right;
    same = lookup(a, key, left, budget) && lookup(b, key, right, budget) && equal(left, right, budget);
    return same;
  });
  return same;
}

}  // namespace

Value from_json(const json::Value& value) {
  if (!value.valid()) return Null{};
  switch (value.kind()) {
    case json::Kind::Null: return Null{};
    case json::Kind::Bool: return value.as_bool();
    case json::Kind::Int: return value.as_int();
    case json::Kind::Double: return value.as_double();
    case json::Kind::String: return value.as_string();
    case json::Kind::Array:
    case json::Kind::Object: break;
  }
  return value;
}

bool is_number(const Value& value) {
  return value.get<std::int64_t>() || value.get<std::uint64_t>() || value.get<double>();
}
bool is_list(const Value& value) {
  const auto* json = value.get<json::Value>();
  return value.get<ListRef>() || value.get<StringsRef>() || (json && json->is_array());
}
bool is_map(const Value& value) {
  const auto* json = value.get<json::Value>();
  return value.get<MapRef>() || value.get<LabelsRef>() || (json && json->is_object());
}

std::int64_t elements(const Value& value) {
  std::size_t size = 0;
  if (const auto* list = value.get<ListRef>()) size = list->size;
  else if (const auto* strings = value.get<StringsRef>()) size = strings->strings->size();
  else if (const auto* map = value.get<MapRef>()) size = map->size;
  else if (const auto* labels = value.get<LabelsRef>()) size = labels->labels->size();
  else if (const auto* json = value.get<json::Value>()) size = json->size();
  else return -1;
  return static_cast<std::int64_t>(size);
}

bool equal(const Value& a, const Value& b, Budget& budget) {
  if (!budget.spend(1)) return false;
  if (const auto* x = a.get<std::string_view>()) {
    const auto* y = b.get<std::string_view>();
    if (!y || x->size() != y->size() || !budget.spend(x->size() / kBytesPerStep)) return false;
    return *x == *y;
  }
  if (const auto* x = a.get<bool>()) {
    const auto* y = b.get<bool>();
    return y && *x == *y;
  }
  if (is_number(a)) return order_of_numbers(a, b) == Order::Equal;
  if (a.get<Null>()) return b.get<Null>() != nullptr;
  if (is_list(a)) return is_list(b) && equal_lists(a, b, budget);
  if (is_map(a)) return is_map(b) && equal_maps(a, b, budget);
  return false;
}

Order order(const Value& a, const Value& b, Budget& budget) {
  if (const auto* x = a.get<std::string_view>()) {
    const auto* y = b.get<std::string_view>();
    if (!y) return Order::None;
    if (!budget.spend(std::min(x->size(), y->size()) / kBytesPerStep)) return Order::None;
    // UTF-8 keeps the order of code points, and char_traits<char> compares bytes as unsigned.
    const int sign = x->compare(*y);
    return sign < 0 ? Order::Less : sign > 0 ? Order::Greater : Order::Equal;
  }
  if (const auto* x = a.get<bool>()) {
    const auto* y = b.get<bool>();
    return y ? order_of(std::int64_t{*x}, std::int64_t{*y}) : Order::None;
  }
  return order_of_numbers(a, b);
}

bool lookup(const Value& map, const Value& key, Value& out, Budget& budget) {
  const auto size = elements(map);
  if (size < 0 || !budget.spend(static_cast<std::uint64_t>(size) / kMembersPerStep)) return false;
  if (const auto* entries = map.get<MapRef>()) {
    for (std::size_t i = 0; i < entries->size; ++i) {
      if (!equal(entries->data[i].key, key, budget)) continue;
      out = entries->data[i].value;
      return true;
    }
    return false;
  }
  const auto* name = key.get<std::string_view>();
  if (!name) return false;
  if (const auto* labels = map.get<LabelsRef>()) {
    for (const auto& [label, text] : *labels->labels) {
      if (label != *name) continue;
      out = std::string_view(text);
      return true;
    }
    return false;
  }
  const auto* json = map.get<json::Value>();
  if (!json || !json->is_object()) return false;
  const json::Value member = (*json)[*name];
  if (!member.valid()) return false;
  out = from_json(member);
  return true;
}

std::string_view kind_name(const Value& value) {
  if (is_list(value)) return "list";
  if (is_map(value)) return "map";
  static constexpr std::string_view kNames[] = {"error", "unknown", "null_type", "bool", "int", "uint", "double", "string"};
  return value.index() < std::size(kNames) ? kNames[value.index()] : "list";
}

std::string to_text(const Value& value) {
  if (const auto* x = value.get<bool>()) return *x ? "true" : "false";
  if (const auto* x = value.get<std::int64_t>()) return fmt::format("{}", *x);
  if (const auto* x = value.get<std::uint64_t>()) return fmt::format("{}u", *x);
  if (const auto* x = value.get<double>()) {
    auto text = fmt::format("{}", *x);
    if (std::isfinite(*x) && text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
  }
  if (const auto* x = value.get<std::string_view>()) return json::quote(*x);
  if (value.get<Null>()) return "null";
  if (!is_list(value) && !is_map(value)) return std::string(kind_name(value));
  std::string out;
  Budget unlimited{std::numeric_limits<std::int64_t>::max()};
  each(value, [&](const Value& item) {
    if (!out.empty()) out += ", ";
    out += to_text(item);
    Value under;
    if (is_map(value) && lookup(value, item, under, unlimited)) out += ": " + to_text(under);
    return true;
  });
  return is_list(value) ? "[" + out + "]" : "{" + out + "}";
}

}  // namespace sallyport::enforce::cel
