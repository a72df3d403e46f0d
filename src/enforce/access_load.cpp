// Reading `access:`. Every problem is reported at its place; nothing is guessed.
#include <fmt/format.h>

#include <algorithm>

#include "enforce/access.h"

namespace sallyport::enforce {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000, kDay = 86'400 * kSecond;
constexpr std::size_t kMaxRules = 1'000, kMaxId = 64;

BreakGlass read_break_glass(const yaml::Node& node, yaml::Diagnostics& diagnostics) {
  BreakGlass out;
  yaml::Mapping fields(node, diagnostics, "break_glass");
  if (!fields.valid()) return out;
  if (const auto* by = fields.require("review_by")) out.review.group = read_group(*by, "review_by", diagnostics);
  fields.integer("n", out.review.count, 1, 10);
  fields.duration("review_within", out.review_within_ns, 60 * kSecond, 30 * kDay);
  return out;
}

AccessRule read_rule(const yaml::Node& item, const target::Catalog& catalog, yaml::Diagnostics& diagnostics) {
  AccessRule rule;
  yaml::Mapping fields(item, diagnostics, "access");
  if (!fields.valid()) return rule;
  SelectorReader selectors(catalog, nullptr, diagnostics);
  fields.string("id", rule.id, true);
  const auto* id = fields.get("id");
  const bool plain = std::ranges::all_of(rule.id, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
  if (id && id->kind == yaml::Node::Kind::Scalar && (!plain || rule.id.empty() || rule.id.size() > kMaxId))
    diagnostics.error(id->place, fmt::format("an access rule's id has 1 to {} characters of a-z, 0-9 and -", kMaxId));
  if (const auto* who = fields.require("who")) rule.who = selectors.who(*who);
  if (const auto* target = fields.require("target")) rule.targets = selectors.target(*target);
  if (const auto* glass = fields.get("break_glass")) rule.break_glass = read_break_glass(*glass, diagnostics);
  const auto* steps = rule.break_glass ? fields.get("steps") : fields.require("steps");
  if (steps) rule.steps = read_steps(*steps, diagnostics);
  if (steps && rule.break_glass && !steps->items.empty())
    diagnostics.error(steps->place, "break_glass grants at once: it has no steps, but a review afterwards");
  if (steps && !rule.break_glass && steps->kind == yaml::Node::Kind::Sequence && steps->items.empty())
    diagnostics.error(steps->place, "steps is empty: nobody would have to agree; only break_glass goes without");
  if (fields.require("longest")) fields.duration("longest", rule.longest_ns, kSecond, 30 * kDay);
  fields.duration("ahead", rule.ahead_ns, 0, 90 * kDay);
  fields.duration("valid", rule.valid_ns, kSecond, 30 * kDay);
  fields.boolean("reason", rule.reason);
  if (rule.break_glass && !rule.reason) diagnostics.error(fields.get("reason")->place, "break_glass always wants a reason");
  return rule;
}

}  // namespace

AccessRules load_access(const yaml::Node& node, const target::Catalog& catalog, yaml::Diagnostics& diagnostics) {
  AccessRules out;
  if (node.kind == yaml::Node::Kind::Null) return out;
  if (node.kind != yaml::Node::Kind::Sequence) {
    diagnostics.error(node.place, "access is a list of rules: - { id: …, who: …, target: …, steps: …, longest: … }");
    return out;
  }
  if (node.items.size() > kMaxRules) {
    diagnostics.error(node.place, fmt::format("access has more than {} rules", kMaxRules));
    return out;
  }
  for (const auto& item : node.items) {
    auto rule = read_rule(item, catalog, diagnostics);
    if (rule.id.empty()) continue;
    const auto id = rule.id;
    if (!out.emplace(id, std::move(rule)).second) diagnostics.error(item.place, fmt::format("a second access rule with the id \"{}\"", id));
  }
  return out;
}

}  // namespace sallyport::enforce
