// Functions of expressions, at load: which there are, what they take, and patterns compiled once.
#include <fmt/format.h>
#include <re2/re2.h>

#include "base/yaml.h"
#include "enforce/cel_checker.h"

namespace sallyport::enforce::cel {
namespace {

const Type kBool{Type::Kind::Bool, {}};
constexpr std::int64_t kPatternMemory = 1 << 20;  // of one pattern's program and its caches

std::string usage(std::string_view function) {
  if (function == "size") return "size() takes one string, list or map: size(x) or x.size()";
  if (function == "matches") return "matches() takes one pattern: text.matches(\"^a\")";
  if (function == "dyn") return "dyn() takes one value: dyn(x)";
  return fmt::format("{}() is called on a string and takes one string: text.{}(\"a\")", function, function);
}

}  // namespace

Checker::Typed Checker::call(const Node& node) {
  const auto& function = node.text;
  if (function == "size") return size(node);
  if (function == "matches") return matches(node);
  if (function == "contains") return text_test(node, Op::Contains);
  if (function == "startsWith") return text_test(node, Op::StartsWith);
  if (function == "endsWith") return text_test(node, Op::EndsWith);
  if (function == "dyn") {
    if (node.method || node.args.size() != 1) return problem(node.name_at, usage(function));
    return {Type{}, visit(node.args[0]).code};
  }
  static const std::vector<std::string> kKnown{"size", "contains", "startsWith", "endsWith",   "matches",
                                               "dyn",  "has",      "all",        "exists", "exists_one"};
  const auto near = yaml::nearest(function, kKnown);
  if (!near.empty() && near != function) {
    return problem(node.name_at, fmt::format("unknown function \"{}\" (did you mean \"{}\"?)", function, near));
  }
  if (near == function) return problem(node.name_at, fmt::format("{}() is called on a list or a map: list.{}(x, x == \"a\")", function, function));
  return problem(node.name_at, fmt::format("unknown function \"{}\"; there are size, contains, startsWith, endsWith, matches, dyn, "
                                           "has, all, exists and exists_one", function));
}

Checker::Typed Checker::size(const Node& node) {
  if (node.args.size() != 1) return problem(node.name_at, usage(node.text));
  const auto of = visit(node.args[0]);
  if (!of.type.is_dyn() && !of.type.is(Type::Kind::String) && !of.type.is(Type::Kind::List) && !of.type.is(Type::Kind::Map)) {
    return problem(node.name_at, fmt::format("a {} has no size", to_text(of.type)));
  }
  return {{Type::Kind::Int, {}}, emit(node, Op::Size, {of.code})};
}

Checker::Typed Checker::text_test(const Node& node, Op op) {
  if (!node.method || node.args.size() != 2) return problem(node.name_at, usage(node.text));
  const auto text = visit(node.args[0]);
  const auto part = visit(node.args[1]);
  for (const auto* operand : {&text, &part}) {
    if (operand->type.may_be(Type::Kind::String)) continue;
    return problem(tree_.nodes[node.args[operand == &part]].begin,
                   fmt::format("{}() wants a string here, not a {}", node.text, to_text(operand->type)));
  }
  return {kBool, emit(node, op, {text.code, part.code})};
}

Checker::Typed Checker::matches(const Node& node) {
  if (node.args.size() != 2) return problem(node.name_at, usage(node.text));
  const auto text = visit(node.args[0]);
  if (!text.type.may_be(Type::Kind::String)) {
    return problem(tree_.nodes[node.args[0]].begin, fmt::format("matches() wants a string here, not a {}", to_text(text.type)));
  }
  const Node& argument = tree_.nodes[node.args[1]];
  const auto* pattern = argument.op == Op::Constant ? std::get_if<std::string>(&argument.literal) : nullptr;
  if (!pattern) return problem(argument.begin, "the pattern of matches() is written out as a string, so that it is checked at load");
  if (pattern->size() > kMaxPattern) return problem(argument.begin, fmt::format("the pattern has more than {} bytes", kMaxPattern));
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternMemory);
  auto compiled = std::make_unique<RE2>(*pattern, options);
  if (!compiled->ok()) return problem(argument.begin, fmt::format("the pattern is no RE2 pattern: {}", compiled->error()));
  out_.patterns_.push_back(std::move(compiled));
  return {kBool, emit(node, Op::Matches, {text.code}, static_cast<std::uint32_t>(out_.patterns_.size() - 1))};
}

}  // namespace sallyport::enforce::cel
