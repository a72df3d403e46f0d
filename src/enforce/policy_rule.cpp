#include "enforce/policy_rule.h"

#include <fmt/format.h>

#include <algorithm>

namespace sallyport::enforce {

std::string_view to_string(RuleKind kind) {
  switch (kind) {
    case RuleKind::Block: return "block";
    case RuleKind::Approve: return "approve";
    case RuleKind::Allow: return "allow";
    case RuleKind::Mask: return "mask";
  }
  return "block";
}

std::string_view to_string(Effect effect) {
  switch (effect) {
    case Effect::Block: return "block";
    case Effect::Approve: return "approve";
    case Effect::Allow: return "allow";
  }
  return "block";
}

bool Rule::matches(const identity::Principal& principal) const {
  return who.empty() || std::ranges::any_of(who, [&](const auto& alternative) { return alternative.matches(principal); });
}

Selected select(const Rule& rule, const cel::Inputs& inputs) {
  if (!rule.matches(inputs.who)) return {};
  if (!rule.when) return {Selection::Yes, true};
  // A condition on another protocol's facts is about other commands.
  if (rule.when->schema() && rule.when->schema() != inputs.facts.schema) return {Selection::No, true};
  const auto evaluation = rule.when->evaluate(inputs);
  switch (evaluation.verdict) {
    case cel::Verdict::True: return {Selection::Yes, true};
    case cel::Verdict::False: return {Selection::No, true};
    case cel::Verdict::Unknown: return {Selection::Unknown, true};
    case cel::Verdict::Error: break;
  }
  return {Selection::Error, true, evaluation.failure};
}

namespace {

// What `who` and `target` want, as they are written.
std::string wanted(const Rule& rule) {
  std::string out;
  for (const auto& who : rule.who) {
    if (!out.empty()) out += ", ";
    out += text_of(who);
  }
  return out;
}

std::string why(const Rule& rule, const cel::Inputs& inputs) {
  if (!rule.target.matches(inputs.target)) return "no: another target";
  const auto selected = select(rule, inputs);
  if (!selected.who) return fmt::format("no: who wants {}", wanted(rule));
  if (!rule.when) return "yes";
  const auto& when = *rule.when;
  switch (selected.selection) {
    case Selection::Yes: return fmt::format("yes: when is true: {}", when.source());
    case Selection::Unknown: return fmt::format("perhaps: when is unknown: {}", when.source());
    case Selection::Error: return fmt::format("error, which blocks: {}", when.describe(selected.failure));
    case Selection::No: break;
  }
  if (when.schema() && when.schema() != inputs.facts.schema) return fmt::format("no: for {} only", when.schema()->protocol);
  return fmt::format("no: when is false: {}", when.source());
}

}  // namespace

std::string Policy::explain(const identity::Principal& who, const target::Target& target, const Facts& facts) const {
  const cel::Inputs inputs{who, target, facts};
  std::size_t width = 0;
  for (const auto& rule : state_->rules) width = std::max(width, rule.id.size());
  std::string out;
  for (const auto& rule : state_->rules) {
    out += fmt::format("{:<7}  {:<{}}  {}\n", to_string(rule.kind), rule.id, width, why(rule, inputs));
  }
  const auto decision = decide(who, target, facts);
  out += fmt::format("decision: {}: {}\n", to_string(decision.effect), decision.reason);
  if (!decision.message.empty()) out += fmt::format("message: {}\n", decision.message);
  return out;
}

}  // namespace sallyport::enforce
