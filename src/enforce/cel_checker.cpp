#include "enforce/cel_checker.h"

#include <fmt/format.h>

#include <algorithm>

namespace sallyport::enforce::cel {
namespace {

const Type kBool{Type::Kind::Bool, {}};
const Type kInt{Type::Kind::Int, {}};

bool orderable(const Type& type) {
  return type.kind != Type::Kind::Null && type.kind != Type::Kind::List && type.kind != Type::Kind::Map;
}

std::string_view sign_of(Op op) {
  switch (op) {
    case Op::Equal: return "==";
    case Op::NotEqual: return "!=";
    case Op::Less: return "<";
    case Op::LessEqual: return "<=";
    case Op::Greater: return ">";
    case Op::GreaterEqual: return ">=";
    case Op::Add: return "+";
    case Op::Subtract: return "-";
    case Op::Multiply: return "*";
    case Op::Divide: return "/";
    case Op::Modulo: return "%";
    case Op::And: return "&&";
    case Op::Or: return "||";
    case Op::Not: return "!";
    default: return "?";
  }
}

}  // namespace

void Checker::run(bool any_type) {
  const auto result = visit(tree_.root);
  out_.root_ = result.code;
  if (!any_type && problems_.empty() && !result.type.may_be(Type::Kind::Bool)) {
    problem(tree_.nodes[tree_.root].begin, fmt::format("the condition is of type {}; it must be true or false", to_text(result.type)));
  }
}

Checker::Typed Checker::problem(std::uint32_t at, std::string message) {
  problems_.push_back({at, std::move(message)});
  // Of any type, so that one mistake is reported once. The program is never run.
  out_.constants_.push_back(Null{});
  out_.codes_.push_back({Op::Fact, UINT32_MAX, 0, 0, at, at});
  return {Type{}, static_cast<std::uint32_t>(out_.codes_.size() - 1)};
}

std::uint32_t Checker::emit(const Node& node, Op op, const std::vector<std::uint32_t>& operands, std::uint32_t slot) {
  out_.codes_.push_back({op, slot, static_cast<std::uint32_t>(out_.operands_.size()),
                         static_cast<std::uint32_t>(operands.size()), node.begin, node.end});
  out_.operands_.insert(out_.operands_.end(), operands.begin(), operands.end());
  return static_cast<std::uint32_t>(out_.codes_.size() - 1);
}

std::uint32_t Checker::constant(const Node& node, Value value) {
  out_.constants_.push_back(value);
  return emit(node, Op::Constant, {}, static_cast<std::uint32_t>(out_.constants_.size() - 1));
}

std::uint32_t Checker::text(const std::string& text) {
  out_.names_.push_back(text);
  return static_cast<std::uint32_t>(out_.names_.size() - 1);
}

bool Checker::all_constant(const std::vector<std::uint32_t>& codes) const {
  return std::ranges::all_of(codes, [&](std::uint32_t code) { return out_.codes_[code].op == Op::Constant; });
}

Checker::Typed Checker::visit(std::uint32_t index_of_node) {
  const Node& node = tree_.nodes[index_of_node];
  switch (node.op) {
    case Op::Constant: return literal(node);
    case Op::Name: return name(node);
    case Op::Select: return select(node);
    case Op::Has: return has(node);
    case Op::Index: return index(node);
    case Op::List: return list(node);
    case Op::Map: return map(node);
    case Op::Not: case Op::And: case Op::Or: return logical(node);
    case Op::Conditional: return conditional(node);
    case Op::Equal: case Op::NotEqual: return equality(node);
    case Op::Less: case Op::LessEqual: case Op::Greater: case Op::GreaterEqual: return ordering(node);
    case Op::In: return membership(node);
    case Op::Add: case Op::Subtract: case Op::Multiply: case Op::Divide: case Op::Modulo: return arithmetic(node);
    case Op::Negate: return negate(node);
    case Op::All: case Op::Exists: case Op::ExistsOne: return macro(node);
    default: return call(node);
  }
}

Checker::Typed Checker::literal(const Node& node) {
  const auto& value = node.literal;
  if (const auto* x = std::get_if<bool>(&value)) return {kBool, constant(node, *x)};
  if (const auto* x = std::get_if<std::int64_t>(&value)) return {kInt, constant(node, *x)};
  if (const auto* x = std::get_if<std::uint64_t>(&value)) return {{Type::Kind::Uint, {}}, constant(node, *x)};
  if (const auto* x = std::get_if<double>(&value)) return {{Type::Kind::Double, {}}, constant(node, *x)};
  if (const auto* x = std::get_if<std::string>(&value)) {
    return {{Type::Kind::String, {}}, constant(node, std::string_view(out_.texts_.emplace_back(*x)))};
  }
  return {{Type::Kind::Null, {}}, constant(node, Null{})};
}

Checker::Typed Checker::select(const Node& node) {
  const Node* root = nullptr;
  const auto full_name = dotted(node, &root);
  if (root && !is_local(*root)) {
    Type type;
    std::uint32_t slot;
    const FactSchema* schema;
    if (find_fact(full_name, type, slot, &schema)) return fact(node, std::move(type), slot, schema);
    if (!prefix_is_fact(full_name)) return unknown_name(*root, full_name);
  }
  const auto object = visit(node.args[0]);
  if (object.type.is(Type::Kind::Map)) {
    return {object.type.of[1], emit(node, Op::Select, {object.code}, text(node.text))};
  }
  if (!object.type.is_dyn()) {
    return problem(node.name_at, fmt::format("a {} has no field \"{}\"", to_text(object.type), node.text));
  }
  return {Type{}, emit(node, Op::Select, {object.code}, text(node.text))};
}

Checker::Typed Checker::has(const Node& node) {
  // has(mcp.tool) would ask whether a fact exists; facts always do.
  const Node& operand = tree_.nodes[node.args[0]];
  const Node* root = nullptr;
  const auto full_name = dotted(operand, &root) + "." + node.text;
  if (root && !is_local(*root)) {
    Type type;
    std::uint32_t slot;
    const FactSchema* schema;
    if (find_fact(full_name, type, slot, &schema)) {
      return problem(node.begin, fmt::format("has() asks for a key of a map; {} is always there, compare its value", full_name));
    }
    if (!prefix_is_fact(full_name)) return unknown_name(*root, full_name);
  }
  const auto object = visit(node.args[0]);
  if (!object.type.may_be(Type::Kind::Map)) {
    return problem(node.name_at, fmt::format("a {} has no field \"{}\"", to_text(object.type), node.text));
  }
  return {kBool, emit(node, Op::Has, {object.code}, text(node.text))};
}

Checker::Typed Checker::index(const Node& node) {
  const auto object = visit(node.args[0]);
  const auto key = visit(node.args[1]);
  const auto at = tree_.nodes[node.args[1]].begin;
  Type result;
  if (object.type.is(Type::Kind::List)) {
    if (!key.type.may_be(Type::Kind::Int)) return problem(at, fmt::format("a list is indexed by int, not by {}", to_text(key.type)));
    result = object.type.of[0];
  } else if (object.type.is(Type::Kind::Map)) {
    if (!compatible(object.type.of[0], key.type)) {
      return problem(at, fmt::format("the keys of this map are of type {}, not {}", to_text(object.type.of[0]), to_text(key.type)));
    }
    result = object.type.of[1];
  } else if (!object.type.is_dyn()) {
    return problem(at, fmt::format("a {} has no elements", to_text(object.type)));
  }
  return {result, emit(node, Op::Index, {object.code, key.code})};
}

Checker::Typed Checker::list(const Node& node) {
  std::vector<std::uint32_t> codes;
  std::optional<Type> element;
  for (const auto arg : node.args) {
    const auto item = visit(arg);
    element = element ? join(*element, item.type) : item.type;
    codes.push_back(item.code);
  }
  const auto type = Type::list(element.value_or(Type{}));
  if (!all_constant(codes)) return {type, emit(node, Op::List, codes)};
  auto& values = out_.lists_.emplace_back();
  for (const auto code : codes) values.push_back(constant_of(code));
  return {type, constant(node, ListRef{values.data(), values.size()})};
}

Checker::Typed Checker::map(const Node& node) {
  std::vector<std::uint32_t> codes;
  std::optional<Type> key_type, value_type;
  for (std::size_t i = 0; i < node.args.size(); i += 2) {
    const auto key = visit(node.args[i]);
    const auto value = visit(node.args[i + 1]);
    if (key.type.is(Type::Kind::Double) || !orderable(key.type)) {
      return problem(tree_.nodes[node.args[i]].begin, fmt::format("a map's key is a string, int, uint or bool, not {}", to_text(key.type)));
    }
    key_type = key_type ? join(*key_type, key.type) : key.type;
    value_type = value_type ? join(*value_type, value.type) : value.type;
    codes.insert(codes.end(), {key.code, value.code});
  }
  const auto type = Type::map(key_type.value_or(Type{}), value_type.value_or(Type{}));
  if (!all_constant(codes)) return {type, emit(node, Op::Map, codes)};
  auto& entries = out_.maps_.emplace_back();
  Budget budget{kStepBudget};
  for (std::size_t i = 0; i < codes.size(); i += 2) {
    const Value& key = constant_of(codes[i]);
    if (!key.get<std::string_view>() && !key.get<bool>() && !key.get<std::int64_t>() && !key.get<std::uint64_t>()) {
      return problem(out_.codes_[codes[i]].begin, fmt::format("a map's key is a string, int, uint or bool, not {}", to_text(key)));
    }
    Value ignored;
    if (lookup(MapRef{entries.data(), entries.size()}, key, ignored, budget)) {
      return problem(out_.codes_[codes[i]].begin, fmt::format("the key {} comes twice", to_text(key)));
    }
    entries.push_back({key, constant_of(codes[i + 1])});
  }
  return {type, constant(node, MapRef{entries.data(), entries.size()})};
}

Checker::Typed Checker::logical(const Node& node) {
  std::vector<std::uint32_t> codes;
  for (const auto arg : node.args) {
    const auto operand = visit(arg);
    if (!operand.type.may_be(Type::Kind::Bool)) {
      problem(tree_.nodes[arg].begin, fmt::format("\"{}\" wants true or false here, not a {}", sign_of(node.op), to_text(operand.type)));
    }
    codes.push_back(operand.code);
  }
  return {kBool, emit(node, node.op, codes)};
}

Checker::Typed Checker::conditional(const Node& node) {
  const auto condition = visit(node.args[0]);
  const auto yes = visit(node.args[1]);
  const auto no = visit(node.args[2]);
  if (!condition.type.may_be(Type::Kind::Bool)) {
    problem(tree_.nodes[node.args[0]].begin, fmt::format("\"?\" wants true or false before it, not a {}", to_text(condition.type)));
  }
  if (!compatible(yes.type, no.type)) {
    problem(tree_.nodes[node.args[2]].begin, fmt::format("the branches of \"?:\" differ in type: {} and {}", to_text(yes.type), to_text(no.type)));
  }
  return {join(yes.type, no.type), emit(node, Op::Conditional, {condition.code, yes.code, no.code})};
}

Checker::Typed Checker::equality(const Node& node) {
  const auto left = visit(node.args[0]);
  const auto right = visit(node.args[1]);
  if (!compatible(left.type, right.type)) {
    problem(node.begin, fmt::format("\"{}\" compares {} with {}, which are never equal", sign_of(node.op), to_text(left.type), to_text(right.type)));
  }
  return {kBool, emit(node, node.op, {left.code, right.code})};
}

Checker::Typed Checker::ordering(const Node& node) {
  const auto left = visit(node.args[0]);
  const auto right = visit(node.args[1]);
  if (!compatible(left.type, right.type) || !orderable(left.type) || !orderable(right.type)) {
    problem(node.begin, fmt::format("\"{}\" has no order for {} and {}", sign_of(node.op), to_text(left.type), to_text(right.type)));
  }
  return {kBool, emit(node, node.op, {left.code, right.code})};
}

Checker::Typed Checker::membership(const Node& node) {
  const auto item = visit(node.args[0]);
  const auto range = visit(node.args[1]);
  if (range.type.is(Type::Kind::List) || range.type.is(Type::Kind::Map)) {
    if (!compatible(item.type, range.type.of[0])) {
      problem(node.begin, fmt::format("\"in\" looks for a {} in a {}, which never holds one", to_text(item.type), to_text(range.type)));
    }
  } else if (!range.type.is_dyn()) {
    problem(tree_.nodes[node.args[1]].begin, fmt::format("\"in\" wants a list or a map after it, not a {}", to_text(range.type)));
  }
  return {kBool, emit(node, Op::In, {item.code, range.code})};
}

Checker::Typed Checker::arithmetic(const Node& node) {
  using Kind = Type::Kind;
  const auto left = visit(node.args[0]);
  const auto right = visit(node.args[1]);
  const auto allowed = [&](const Type& type) {
    if (type.is_dyn() || type.is(Kind::Int) || type.is(Kind::Uint)) return true;
    if (type.is(Kind::Double)) return node.op != Op::Modulo;
    return node.op == Op::Add && (type.is(Kind::String) || type.is(Kind::List));
  };
  if (!compatible(left.type, right.type) || !allowed(left.type) || !allowed(right.type)) {
    problem(node.begin, fmt::format("\"{}\" cannot be applied to {} and {}", sign_of(node.op), to_text(left.type), to_text(right.type)));
  }
  Type result = left.type.is_dyn() ? right.type : right.type.is_dyn() ? left.type : join(left.type, right.type);
  return {std::move(result), emit(node, node.op, {left.code, right.code})};
}

Checker::Typed Checker::negate(const Node& node) {
  const auto operand = visit(node.args[0]);
  if (!operand.type.may_be(Type::Kind::Int) && !operand.type.is(Type::Kind::Double)) {
    problem(node.begin, fmt::format("\"-\" wants an int or a double, not a {}", to_text(operand.type)));
  }
  return {operand.type, emit(node, Op::Negate, {operand.code})};
}

Checker::Typed Checker::macro(const Node& node) {
  const auto range = visit(node.args[0]);
  Type element;
  if (range.type.is(Type::Kind::List) || range.type.is(Type::Kind::Map)) {
    element = range.type.of[0];
  } else if (!range.type.is_dyn()) {
    problem(tree_.nodes[node.args[0]].begin, fmt::format("a list or a map was expected here, not a {}", to_text(range.type)));
  }
  if (locals_.size() >= kMaxMacroDepth) {
    return problem(node.name_at, fmt::format("all() and exists() stand inside each other more than {} deep", kMaxMacroDepth));
  }
  locals_.push_back({node.text, std::move(element)});
  const auto predicate = visit(node.args[1]);
  locals_.pop_back();
  if (!predicate.type.may_be(Type::Kind::Bool)) {
    problem(tree_.nodes[node.args[1]].begin, fmt::format("the condition is of type {}; it must be true or false", to_text(predicate.type)));
  }
  return {kBool, emit(node, node.op, {range.code, predicate.code}, static_cast<std::uint32_t>(locals_.size()))};
}

}  // namespace sallyport::enforce::cel
