#include "enforce/cel_eval.h"

#include <re2/re2.h>

#include <cmath>
#include <cstring>

namespace sallyport::enforce::cel {
namespace {

// What one step buys, in bytes: searching is fast, matching a pattern is not.
constexpr std::size_t kSearchedPerStep = 64;
constexpr std::size_t kMatchedPerStep = 8;
constexpr std::size_t kCopiedPerStep = 16;

}  // namespace

// An exhausted budget is never absorbed: values computed after it mean nothing.
Value Run::finish(Value value) const {
  if (budget_.spent()) return failure(Fault::TooExpensive, program_.root_);
  return value;
}

Value Run::eval(std::uint32_t at) {
  if (!budget_.spend(1)) return failure(Fault::TooExpensive, at);
  const Code& code = program_.codes_[at];
  switch (code.op) {
    case Op::Constant: return program_.constants_[code.slot];
    case Op::Fact: return fact(code.slot, at);
    case Op::Local: return locals_[code.slot];
    case Op::Select:
    case Op::Has: return select(code, at);
    case Op::Index: return index(code, at);
    case Op::List: return list(code);
    case Op::Map: return map(code, at);
    case Op::And:
    case Op::Or: return logical(code, at);
    case Op::Conditional: return conditional(code, at);
    case Op::Not:
    case Op::Negate:
    case Op::Size:
    case Op::Matches: return unary(code, at);
    case Op::All:
    case Op::Exists:
    case Op::ExistsOne: return macro(code, at);
    default: return binary(code, at);
  }
}

Value Run::fact(std::uint32_t slot, std::uint32_t at) const {
  const auto& who = inputs_.who;
  switch (slot) {  // in the order of common_facts()
    case 0: return std::string_view(who.subject);
    case 1: return std::string_view(who.email);
    case 2: return StringsRef{&who.groups};
    case 3: return std::string_view(who.agent);
    case 4: return std::string_view(who.issuer);
    case 5: return std::string_view(inputs_.target.name);
    case 6: return LabelsRef{&inputs_.target.labels};
    default: break;
  }
  const auto i = slot - kFirstProtocolSlot;
  const auto& facts = inputs_.facts;
  if (facts.schema != program_.schema_ || i >= facts.values.size()) return failure(Fault::MissingFact, at);
  const FactValue& value = facts.values[i];
  switch (value.index()) {
    case 0: return Unknown{};
    case 1: return std::get<bool>(value);
    case 2: return std::get<std::int64_t>(value);
    case 3: return std::get<double>(value);
    case 4: return std::string_view(std::get<std::string>(value));
    case 5: return StringsRef{&std::get<std::vector<std::string>>(value)};
    case 7: return std::get<std::string_view>(value);
    case 8: return StringsRef{std::get<const std::vector<std::string>*>(value)};
    default: break;
  }
  const auto& json = std::get<json::Value>(value);
  if (!json.valid()) return MapRef{};
  return from_json(json);
}

Value Run::select(const Code& code, std::uint32_t at) {
  const Value object = eval_operand(code, 0);
  if (object.is_absent()) return object;
  if (!is_map(object)) return failure(Fault::NoSuchOverload, at);
  Value found;
  const bool there = lookup(object, std::string_view(program_.names_[code.slot]), found, budget_);
  if (code.op == Op::Has) return there;
  if (!there) return failure(Fault::NoSuchKey, at);
  return found;
}

Value Run::index(const Code& code, std::uint32_t at) {
  const Value object = eval_operand(code, 0);
  if (object.is_failure()) return object;
  const Value key = eval_operand(code, 1);
  if (key.is_failure()) return key;
  if (object.is_unknown() || key.is_unknown()) return Unknown{};
  if (is_list(object)) return element(object, key, at);
  if (!is_map(object)) return failure(Fault::NoSuchOverload, at);
  Value found;
  if (!lookup(object, key, found, budget_)) return failure(Fault::NoSuchKey, at);
  return found;
}

Value Run::element(const Value& list, const Value& position, std::uint32_t at) {
  std::int64_t i = -1;
  if (const auto* x = position.get<std::int64_t>()) {
    i = *x;
  } else if (const auto* u = position.get<std::uint64_t>()) {
    if (*u <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) i = static_cast<std::int64_t>(*u);
  } else if (const auto* d = position.get<double>()) {
    if (*d >= 0 && *d < 9007199254740992.0 && std::trunc(*d) == *d) i = static_cast<std::int64_t>(*d);
  } else {
    return failure(Fault::NoSuchOverload, at);
  }
  if (i < 0 || i >= elements(list)) return failure(Fault::IndexOutOfRange, at);
  if (const auto* values = list.get<ListRef>()) return values->data[i];
  if (const auto* strings = list.get<StringsRef>()) return std::string_view((*strings->strings)[static_cast<std::size_t>(i)]);
  if (!budget_.spend(static_cast<std::uint64_t>(i) / 8)) return failure(Fault::TooExpensive, at);
  auto item = list.get<json::Value>()->begin();
  while (i-- > 0) ++item;
  return from_json(*item);
}

Value Run::list(const Code& code) {
  auto values = std::make_unique<std::vector<Value>>();
  values->reserve(code.count);
  bool unknown = false;
  for (std::uint32_t i = 0; i < code.count; ++i) {
    const Value value = eval_operand(code, i);
    if (value.is_failure()) return value;
    unknown |= value.is_unknown();
    values->push_back(value);
  }
  if (unknown) return Unknown{};
  lists_.push_back(std::move(values));
  return ListRef{lists_.back()->data(), lists_.back()->size()};
}

Value Run::map(const Code& code, std::uint32_t at) {
  auto entries = std::make_unique<std::vector<Entry>>();
  bool unknown = false;
  for (std::uint32_t i = 0; i < code.count; i += 2) {
    const Value key = eval_operand(code, i);
    if (key.is_failure()) return key;
    const Value value = eval_operand(code, i + 1);
    if (value.is_failure()) return value;
    unknown |= key.is_unknown() || value.is_unknown();
    if (unknown) continue;
    if (!key.get<std::string_view>() && !key.get<bool>() && !key.get<std::int64_t>() && !key.get<std::uint64_t>()) {
      return failure(Fault::BadKey, at);
    }
    Value ignored;
    if (lookup(MapRef{entries->data(), entries->size()}, key, ignored, budget_)) return failure(Fault::RepeatedKey, at);
    entries->push_back({key, value});
  }
  if (unknown) return Unknown{};
  maps_.push_back(std::move(entries));
  return MapRef{maps_.back()->data(), maps_.back()->size()};
}

// One operand that decides is enough, wherever it stands. Else an unknown stays unknown, for the decision may still
// come; else a failure fails.
Value Run::logical(const Code& code, std::uint32_t at) {
  const bool decisive = code.op == Op::Or;
  bool unknown = false;
  std::optional<Failure> failed;
  for (std::uint32_t i = 0; i < code.count; ++i) {
    const Value value = eval_operand(code, i);
    if (const auto* truth = value.get<bool>()) {
      if (*truth == decisive) return decisive;
    } else if (value.is_unknown()) {
      unknown = true;
    } else if (!failed) {
      const auto* failure_of = value.get<Failure>();
      failed = failure_of ? *failure_of : Failure{Fault::NoSuchOverload, at};
    }
  }
  if (unknown) return Unknown{};
  if (failed) return *failed;
  return !decisive;
}

Value Run::conditional(const Code& code, std::uint32_t at) {
  const Value condition = eval_operand(code, 0);
  if (condition.is_absent()) return condition;
  const auto* truth = condition.get<bool>();
  if (!truth) return failure(Fault::NoSuchOverload, at);
  return eval_operand(code, *truth ? 1 : 2);
}

Value Run::unary(const Code& code, std::uint32_t at) {
  const Value operand = eval_operand(code, 0);
  if (operand.is_absent()) return operand;
  if (code.op == Op::Negate) return negated(operand, at);
  if (code.op == Op::Size) return size(operand, at);
  if (code.op == Op::Not) {
    const auto* truth = operand.get<bool>();
    return truth ? Value(!*truth) : failure(Fault::NoSuchOverload, at);
  }
  const auto* text = operand.get<std::string_view>();
  if (!text) return failure(Fault::NoSuchOverload, at);
  if (!budget_.spend(text->size() / kMatchedPerStep)) return failure(Fault::TooExpensive, at);
  return RE2::PartialMatch(re2::StringPiece(text->data(), text->size()), *program_.patterns_[code.slot]);
}

Value Run::binary(const Code& code, std::uint32_t at) {
  const Value left = eval_operand(code, 0);
  if (left.is_failure()) return left;
  const Value right = eval_operand(code, 1);
  if (right.is_failure()) return right;
  if (left.is_unknown() || right.is_unknown()) return Unknown{};
  switch (code.op) {
    case Op::Equal: return equal(left, right, budget_);
    case Op::NotEqual: return !equal(left, right, budget_);
    case Op::Less:
    case Op::LessEqual:
    case Op::Greater:
    case Op::GreaterEqual: return ordering(code.op, left, right, at);
    case Op::In: return membership(left, right, at);
    case Op::Contains:
    case Op::StartsWith:
    case Op::EndsWith: return text_test(code.op, left, right, at);
    case Op::Add: return add(left, right, at);
    default: return arithmetic(code.op, left, right, at);
  }
}

Value Run::ordering(Op op, const Value& left, const Value& right, std::uint32_t at) {
  const Order found = order(left, right, budget_);
  if (found == Order::None) return failure(Fault::NoSuchOverload, at);
  switch (op) {
    case Op::Less: return found == Order::Less;
    case Op::LessEqual: return found == Order::Less || found == Order::Equal;
    case Op::Greater: return found == Order::Greater;
    default: return found == Order::Greater || found == Order::Equal;
  }
}

Value Run::membership(const Value& item, const Value& range, std::uint32_t at) {
  if (is_map(range)) {
    Value ignored;
    return lookup(range, item, ignored, budget_);
  }
  bool found = false;
  const bool is_range = each(range, [&](const Value& element_of) {
    found = equal(item, element_of, budget_);
    return !found && !budget_.spent();
  });
  return is_range ? Value(found) : failure(Fault::NoSuchOverload, at);
}

Value Run::text_test(Op op, const Value& text, const Value& part, std::uint32_t at) {
  const auto* whole = text.get<std::string_view>();
  const auto* piece = part.get<std::string_view>();
  if (!whole || !piece) return failure(Fault::NoSuchOverload, at);
  if (op == Op::StartsWith) return whole->starts_with(*piece);
  if (op == Op::EndsWith) return whole->ends_with(*piece);
  if (!budget_.spend((whole->size() + piece->size()) / kSearchedPerStep)) return failure(Fault::TooExpensive, at);
  // memmem is linear in both; string_view::find is not, and both may come from the client.
  return piece->empty() || memmem(whole->data(), whole->size(), piece->data(), piece->size()) != nullptr;
}

Value Run::add(const Value& left, const Value& right, std::uint32_t at) {
  const auto* x = left.get<std::string_view>();
  const auto* y = right.get<std::string_view>();
  if (x && y) {
    if (!budget_.spend(8 + (x->size() + y->size()) / kCopiedPerStep)) return failure(Fault::TooExpensive, at);
    auto joined = std::make_unique<std::string>();
    joined->reserve(x->size() + y->size());
    joined->append(*x).append(*y);
    strings_.push_back(std::move(joined));
    return std::string_view(*strings_.back());
  }
  if (is_list(left) && is_list(right)) {
    const auto total = static_cast<std::uint64_t>(elements(left) + elements(right));
    if (!budget_.spend(8 + total)) return failure(Fault::TooExpensive, at);
    return concatenate(left, right);
  }
  return arithmetic(Op::Add, left, right, at);
}

Value Run::concatenate(const Value& left, const Value& right) {
  auto values = std::make_unique<std::vector<Value>>();
  const auto append = [&](const Value& value) {
    values->push_back(value);
    return true;
  };
  each(left, append);
  each(right, append);
  lists_.push_back(std::move(values));
  return ListRef{lists_.back()->data(), lists_.back()->size()};
}

Value Run::size(const Value& of, std::uint32_t at) {
  if (const auto* text = of.get<std::string_view>()) {
    if (!budget_.spend(text->size() / kSearchedPerStep)) return failure(Fault::TooExpensive, at);
    return static_cast<std::int64_t>(code_points(*text));
  }
  const auto count = elements(of);
  return count < 0 ? failure(Fault::NoSuchOverload, at) : Value(count);
}

Value Run::macro(const Code& code, std::uint32_t at) {
  const Value range = eval_operand(code, 0);
  if (range.is_absent()) return range;
  if (!is_list(range) && !is_map(range)) return failure(Fault::NoSuchOverload, at);
  if (code.op == Op::ExistsOne) return exists_one(code, range, at);
  // all() is && over the elements, exists() is ||: the same absorption.
  const bool decisive = code.op == Op::Exists;
  bool decided = false, unknown = false;
  std::optional<Failure> failed;
  each(range, [&](const Value& item) {
    locals_[code.slot] = item;
    const Value value = eval_operand(code, 1);
    if (const auto* truth = value.get<bool>()) {
      decided = *truth == decisive;
    } else if (value.is_unknown()) {
      unknown = true;
    } else if (!failed) {
      const auto* failure_of = value.get<Failure>();
      failed = failure_of ? *failure_of : Failure{Fault::NoSuchOverload, at};
    }
    return !decided && !budget_.spent();
  });
  if (decided) return decisive;
  if (unknown) return Unknown{};
  if (failed) return *failed;
  return !decisive;
}

Value Run::exists_one(const Code& code, const Value& range, std::uint32_t at) {
  std::size_t count = 0;
  bool unknown = false;
  std::optional<Failure> failed;
  each(range, [&](const Value& item) {
    locals_[code.slot] = item;
    const Value value = eval_operand(code, 1);
    if (const auto* truth = value.get<bool>()) {
      count += *truth;
    } else if (value.is_unknown()) {
      unknown = true;
    } else {
      const auto* failure_of = value.get<Failure>();
      failed = failure_of ? *failure_of : Failure{Fault::NoSuchOverload, at};
    }
    return !failed && !budget_.spent();
  });
  if (failed) return *failed;
  if (unknown) return Unknown{};
  return count == 1;
}

}  // namespace sallyport::enforce::cel
