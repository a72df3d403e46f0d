#pragma once
// One rule, as loaded: its selectors, its compiled condition and what it demands. Immutable inside a Policy, read by
// all workers on the data path; made by policy_load. A rule that cannot be evaluated is an Error selection, and that
// blocks.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "enforce/cel_program.h"
#include "enforce/policy.h"
#include "enforce/selector.h"

namespace sallyport::enforce {

enum class RuleKind : std::uint8_t { Block, Approve, Allow, Mask };
std::string_view to_string(RuleKind kind);
std::string_view to_string(Effect effect);

struct Rule {
  std::string id;
  RuleKind kind = RuleKind::Block;
  std::vector<WhoSelector> who;  // any of them; empty = anyone
  TargetSelector target;
  std::optional<cel::Program> when;  // absent = always
  std::string message;
  ApprovalTerms terms;  // of Approve
  ResultLimits limits;  // of Allow
  MaskRule mask;        // of Mask
  yaml::Place place;

  bool matches(const identity::Principal& principal) const;
};

/// Whether a rule whose target matches takes part in a decision.
enum class Selection : std::uint8_t { No, Yes, Unknown, Error };
struct Selected {
  Selection selection = Selection::No;
  bool who = false;  // it was `when` that decided
  cel::Failure failure{};
};
Selected select(const Rule& rule, const cel::Inputs& inputs);

/// What a Policy holds.
struct RuleSet {
  Digest digest{};
  std::vector<Rule> rules;  // by id
  /// The rules whose target selector matches, by position, found once a load.
  struct ForTarget {
    std::map<std::string, std::string> labels;
    std::vector<std::uint32_t> rules;
  };
  std::unordered_map<std::string, ForTarget> targets;
  std::vector<Policy::TestResult> tests;

  /// Calls visit(rule) for each rule whose target selector matches, in the order of ids.
  template <class Visit>
  void each_rule(const target::Target& target, const Visit& visit) const {
    const auto found = targets.find(target.name);
    if (found != targets.end() && found->second.labels == target.labels) {
      for (const auto i : found->second.rules) visit(rules[i]);
      return;
    }
    // A target of another version of the catalog: its own labels decide.
    for (const auto& rule : rules) {
      if (rule.target.matches(target)) visit(rule);
    }
  }
  Decision decide(const cel::Inputs& inputs) const;
};
struct Policy::State : RuleSet {};

/// Reads the rules of `policy:`; sorted by id. Problems go to `diagnostics`.
std::vector<Rule> read_rules(const yaml::Node& rules, const target::Catalog& catalog, const std::vector<std::string>& access,
                             yaml::Diagnostics& diagnostics);

/// Reads `tests:` and runs them against the rules unless `dry` (the rules have errors: a verdict would mean nothing).
/// A test that fails is an error at its place.
std::vector<Policy::TestResult> run_tests(const yaml::Node& tests, const RuleSet& set,
                                          const target::Catalog& catalog, const std::vector<std::string>& access, bool dry,
                                          yaml::Diagnostics& diagnostics);

/// Where byte `offset` of a scalar's text stands in the file; nullopt when quoting or folding hides it.
std::optional<yaml::Place> place_within(const yaml::Node& scalar, std::size_t offset, std::string_view file);

}  // namespace sallyport::enforce
