#include "enforce/policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "enforce/policy_rule.h"

namespace sallyport::enforce {
namespace {

std::string ids_of(const std::vector<const Rule*>& rules) {
  std::vector<std::string_view> ids;
  for (const auto* rule : rules) ids.push_back(rule->id);
  if (ids.size() == 1) return fmt::format("rule {}", ids[0]);
  return fmt::format("rules {} and {}", fmt::join(ids.begin(), ids.end() - 1, ", "), ids.back());
}

void name_deciders(Decision& decision, const std::vector<const Rule*>& rules) {
  for (const auto* rule : rules) {
    decision.rules.push_back(rule->id);
    if (decision.message.empty()) decision.message = rule->message;
  }
}

// Rules that say block, and rules that could not be evaluated: both block, each with its own reason.
struct Failed {
  const Rule* rule;
  cel::Failure failure;
};

void block(Decision& decision, std::vector<const Rule*> blocks, const std::vector<Failed>& failed) {
  decision.effect = Effect::Block;
  if (!blocks.empty()) decision.reason = fmt::format("{} {} it", ids_of(blocks), blocks.size() == 1 ? "blocks" : "block");
  for (const auto& [rule, failure] : failed) {
    decision.reason += fmt::format("{}rule {} cannot be evaluated, which blocks it ({})", decision.reason.empty() ? "" : "; ",
                                   rule->id, rule->when->describe(failure));
    blocks.push_back(rule);
  }
  std::ranges::sort(blocks, {}, &Rule::id);
  name_deciders(decision, blocks);
}

void hold(Decision& decision, const std::vector<const Rule*>& approves) {
  decision.effect = Effect::Approve;
  std::vector<std::string> by;
  for (const auto* rule : approves) {
    decision.approvals.emplace_back(rule->id, rule->terms);
    auto terms = words_of(rule->terms.steps);
    if (std::ranges::find(by, terms) == by.end()) by.push_back(std::move(terms));
  }
  decision.reason = fmt::format("{} {} it for approval by {}", ids_of(approves), approves.size() == 1 ? "holds" : "hold",
                                fmt::join(by, " and "));
  name_deciders(decision, approves);
}

}  // namespace

std::string words_of(const ApprovalSteps& steps) {
  std::string out;
  for (const auto& step : steps) {
    if (!out.empty()) out += ", then ";
    for (std::size_t i = 0; i < step.size(); ++i)
      out += fmt::format("{}{} of group {}", i ? " and " : "", step[i].count == 1 ? "one person" : fmt::format("{} people", step[i].count), step[i].group);
  }
  return out;
}

std::vector<std::string> groups_of(const ApprovalSteps& steps) {
  std::vector<std::string> out;
  for (const auto& step : steps)
    for (const auto& need : step)
      if (std::ranges::find(out, need.group) == out.end()) out.push_back(need.group);
  return out;
}

Decision RuleSet::decide(const cel::Inputs& inputs) const {
  Decision decision;
  std::vector<const Rule*> blocks, approves, allows;
  std::vector<Failed> failed;
  each_rule(inputs.target, [&](const Rule& rule) {
    const auto selected = select(rule, inputs);
    if (selected.selection == Selection::No) return;
    // What is masked stays masked in the record, also when the mask's own condition fails.
    if (rule.kind == RuleKind::Mask) decision.masks.push_back(&rule.mask);
    if (selected.selection == Selection::Error) {
      failed.push_back({&rule, selected.failure});
    } else if (selected.selection == Selection::Unknown) {
      failed.push_back({&rule, {cel::Fault::MissingFact, rule.when->root()}});
    } else if (rule.kind == RuleKind::Block) {
      blocks.push_back(&rule);
    } else if (rule.kind == RuleKind::Approve) {
      approves.push_back(&rule);
    } else if (rule.kind == RuleKind::Allow) {
      allows.push_back(&rule);
    }
  });
  if (!allows.empty()) {
    decision.limits = {0, 0};
    for (const auto* rule : allows) {
      decision.limits.rows = std::max(decision.limits.rows, rule->limits.rows);
      decision.limits.record_bytes = std::max(decision.limits.record_bytes, rule->limits.record_bytes);
    }
  }
  if (!blocks.empty() || !failed.empty()) {
    block(decision, std::move(blocks), failed);
  } else if (!approves.empty()) {
    hold(decision, approves);
  } else if (!allows.empty()) {
    decision.effect = Effect::Allow;
    decision.reason = fmt::format("{} {} it", ids_of(allows), allows.size() == 1 ? "allows" : "allow");
    name_deciders(decision, allows);
  } else {
    decision.reason = "no rule allows it";
  }
  return decision;
}

Policy::Policy(std::unique_ptr<State> state) : state_(std::move(state)) {}
Policy::~Policy() = default;

PolicyPtr Policy::load(const yaml::Node* rules, const yaml::Node* tests, std::string_view source,
                       const target::Catalog& catalog, yaml::Diagnostics& diagnostics, const std::vector<std::string>& access) {
  // Errors that others found before do not count: with them the configuration is refused anyway.
  const auto errors_before = diagnostics.errors().size();
  auto state = std::make_unique<State>();
  state->digest = sha256(as_bytes(source));
  if (rules) state->rules = read_rules(*rules, catalog, access, diagnostics);
  for (const auto& [name, target] : catalog.targets) {
    auto& entry = state->targets[name];
    entry.labels = target.labels;
    for (std::uint32_t i = 0; i < state->rules.size(); ++i) {
      if (state->rules[i].target.matches(target)) entry.rules.push_back(i);
    }
  }
  const bool dry = diagnostics.errors().size() != errors_before;
  if (tests) state->tests = run_tests(*tests, *state, catalog, access, dry, diagnostics);
  if (diagnostics.errors().size() != errors_before) return nullptr;
  return PolicyPtr(new Policy(std::move(state)));
}

const Digest& Policy::digest() const { return state_->digest; }
const std::vector<Policy::TestResult>& Policy::test_results() const { return state_->tests; }

Decision Policy::decide(const identity::Principal& who, const target::Target& target, const Facts& facts) const {
  return state_->decide({who, target, facts});
}

bool Policy::names_group(std::string_view group, const target::Target& target) const {
  bool found = false;
  state_->each_rule(target, [&](const Rule& rule) {
    found = found || std::ranges::any_of(rule.who, [&](const WhoSelector& who) { return who.kind == WhoSelector::Kind::Group && who.name == group; });
  });
  return found;
}

bool Policy::may_be_visible(const identity::Principal& who, const target::Target& target, const Facts& facts) const {
  const cel::Inputs inputs{who, target, facts};
  bool refused = false, offered = false;
  state_->each_rule(target, [&](const Rule& rule) {
    if (refused) return;
    const auto selected = select(rule, inputs);
    const bool sure = selected.selection == Selection::Yes;
    // A failure that no unknown can mend would block every such command.
    if (selected.selection == Selection::Error || (sure && rule.kind == RuleKind::Block)) refused = true;
    const bool offers = rule.kind == RuleKind::Allow || rule.kind == RuleKind::Approve;
    if (offers && (sure || selected.selection == Selection::Unknown)) offered = true;
  });
  return offered && !refused;
}

}  // namespace sallyport::enforce
