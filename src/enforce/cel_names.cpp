// Names in expressions: facts by their dotted names, variables of macros, and what was probably meant.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ranges>

#include "base/yaml.h"
#include "enforce/cel_checker.h"

namespace sallyport::enforce::cel {
namespace {

constexpr CommonFact kCommonFacts[] = {
    {"user.subject", "string", "who asks: the stable name at the issuer"},
    {"user.email", "string", "e-mail address; \"\" when the identity provider gives none"},
    {"user.groups", "list(string)", "groups of the person, also when an agent acts on their behalf"},
    {"user.agent", "string", "the agent that acts on the person's behalf; \"\" for the person themself"},
    {"user.issuer", "string", "who vouches: the OIDC issuer's URL, or \"local\""},
    {"target.name", "string", "name of the target in the configuration"},
    {"target.labels", "map(string, string)", "labels of the target"},
};
static_assert(std::size(kCommonFacts) <= kFirstProtocolSlot);

Type common_type(std::string_view name) {
  const Type string{Type::Kind::String, {}};
  if (name == "user.groups") return Type::list(string);
  if (name == "target.labels") return Type::map(string, string);
  return string;
}

}  // namespace

std::span<const CommonFact> common_facts() { return kCommonFacts; }

// "mcp.args.path" for a chain of selections that starts at a name; "" for any other node.
std::string Checker::dotted(const Node& node, const Node** root) const {
  std::vector<std::string_view> parts;
  const Node* at = &node;
  while (at->op == Op::Select) {
    parts.push_back(at->text);
    at = &tree_.nodes[at->args[0]];
  }
  if (at->op != Op::Name) return {};
  parts.push_back(at->text);
  *root = at;
  return fmt::format("{}", fmt::join(parts | std::views::reverse, "."));
}

bool Checker::is_local(const Node& name) const {
  return !name.rooted && std::ranges::any_of(locals_, [&](const Local& local) { return local.name == name.text; });
}

bool Checker::find_fact(std::string_view full_name, Type& type, std::uint32_t& slot, const FactSchema** schema) const {
  *schema = nullptr;
  for (slot = 0; slot < std::size(kCommonFacts); ++slot) {
    if (kCommonFacts[slot].name != full_name) continue;
    type = common_type(full_name);
    return true;
  }
  for (const auto* candidate : schemas_) {
    for (std::size_t i = 0; i < candidate->fields.size(); ++i) {
      if (candidate->fields[i].name != full_name) continue;
      type = type_of(candidate->fields[i].type);
      slot = kFirstProtocolSlot + static_cast<std::uint32_t>(i);
      *schema = candidate;
      return true;
    }
  }
  return false;
}

bool Checker::prefix_is_fact(std::string_view dotted) const {
  Type type;
  std::uint32_t slot;
  const FactSchema* schema;
  for (auto end = dotted.size(); end != std::string_view::npos; end = end ? dotted.rfind('.', end - 1) : end) {
    if (find_fact(dotted.substr(0, end), type, slot, &schema)) return true;
    if (end == 0) break;
  }
  return false;
}

std::vector<std::string> Checker::fact_names() const {
  std::vector<std::string> names;
  for (const auto& fact : kCommonFacts) names.emplace_back(fact.name);
  for (const auto* schema : schemas_) {
    for (const auto& field : schema->fields) names.emplace_back(field.name);
  }
  return names;
}

Checker::Typed Checker::fact(const Node& node, Type type, std::uint32_t slot, const FactSchema* schema) {
  if (schema) {
    if (out_.schema_ && out_.schema_ != schema) {
      return problem(node.begin, fmt::format("a rule reads facts of one protocol only, here of both {} and {}; write two rules",
                                             out_.schema_->protocol, schema->protocol));
    }
    out_.schema_ = schema;
  }
  return {std::move(type), emit(node, Op::Fact, {}, slot)};
}

Checker::Typed Checker::name(const Node& node) {
  if (!node.rooted) {
    // The innermost variable hides outer ones and facts.
    for (std::size_t i = locals_.size(); i-- > 0;) {
      if (locals_[i].name == node.text) return {locals_[i].type, emit(node, Op::Local, {}, static_cast<std::uint32_t>(i))};
    }
  }
  Type type;
  std::uint32_t slot;
  const FactSchema* schema;
  if (find_fact(node.text, type, slot, &schema)) return fact(node, std::move(type), slot, schema);
  return unknown_name(node, node.text);
}

Checker::Typed Checker::unknown_name(const Node& node, std::string_view dotted) {
  const auto names = fact_names();
  const auto first_dot = dotted.find('.');
  const auto second_dot = first_dot == std::string_view::npos ? first_dot : dotted.find('.', first_dot + 1);
  const std::string meant(dotted.substr(0, second_dot));
  std::vector<std::string> siblings;
  for (const auto& name : names) {
    if (name.starts_with(std::string(dotted.substr(0, first_dot)) + ".")) siblings.push_back(name);
  }
  if (first_dot == std::string_view::npos && !siblings.empty()) {
    return problem(node.begin, fmt::format("\"{}\" is no value by itself; it has {}", dotted, fmt::join(siblings, ", ")));
  }
  // "tool" for "mcp.tool": the last part alone is a common slip.
  for (const auto& name : names) {
    if (name.ends_with("." + meant)) return problem(node.begin, fmt::format("unknown name \"{}\" (did you mean \"{}\"?)", meant, name));
  }
  if (const auto near = yaml::nearest(meant, names); !near.empty()) {
    return problem(node.begin, fmt::format("unknown name \"{}\" (did you mean \"{}\"?)", meant, near));
  }
  if (!siblings.empty()) {
    return problem(node.begin, fmt::format("unknown name \"{}\"; there is {}", meant, fmt::join(siblings, ", ")));
  }
  return problem(node.begin, fmt::format("unknown name \"{}\"; text is written in quotes, facts are {}", meant, fmt::join(names, ", ")));
}

}  // namespace sallyport::enforce::cel
