#pragma once
// Access for a time: the rules of `access:` (who may ask for which targets, and who grants it), and the grants that are in
// force. An active grant makes the selector `access:RULE` true for that person on those targets; it gives nothing by
// itself. Access is shared by all workers: the approvals' thread puts grants in and takes them out, the Gates ask. A version
// tells when to ask again, so that a command pays for one atomic load. Errors: none; what is not known grants nothing.
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "enforce/selector.h"
#include "identity/same_person.h"

namespace sallyport::enforce {

/// Access at once, looked at afterwards.
struct BreakGlass {
  ApproverNeed review;                                 // `review_by: group:x, n: 1`
  std::int64_t review_within_ns = 86'400'000'000'000;
  bool operator==(const BreakGlass&) const = default;
};

struct AccessRule {
  std::string id;
  std::vector<WhoSelector> who;                        // who may ask
  TargetSelector targets;
  ApprovalSteps steps;                                 // empty with break_glass alone
  std::int64_t longest_ns = 0;
  std::int64_t ahead_ns = 7 * 86'400'000'000'000;      // how far in the future a start may lie
  std::int64_t valid_ns = 86'400'000'000'000;          // how long the request waits
  bool reason = true;
  std::optional<BreakGlass> break_glass;

  bool may_ask(const identity::Principal& who) const;
};
using AccessRules = std::map<std::string, AccessRule>;

/// Reads `access:`; every problem at its place.
AccessRules load_access(const yaml::Node& node, const target::Catalog& catalog, yaml::Diagnostics& diagnostics);
std::vector<std::string> ids_of(const AccessRules& rules);

/// What an access request is for: names, or the targets that have all of these labels.
struct AccessTargets {
  std::vector<std::string> names;                      // sorted
  std::map<std::string, std::string> labels;
  bool matches(const target::Target& target) const;
  std::vector<std::string> words() const;              // "tickets", "env=prod"
  bool operator==(const AccessTargets&) const = default;
};

struct Grant {
  std::string id, rule, person, agent;                 // agent: only that one, on behalf of the person
  bool for_agents = false;                             // the person's agents as well
  AccessTargets targets;
  std::int64_t begins_wall_ns = 0, ends_wall_ns = 0;
};

class Access {
 public:
  /// What the configuration says, swapped whole.
  struct Setup {
    AccessRules rules;
    target::CatalogPtr catalog;
    identity::SamePerson same_person;
  };
  Access() : setup_(std::make_shared<const Setup>()) {}
  explicit Access(Setup setup) : setup_(std::make_shared<const Setup>(std::move(setup))) {}

  void configure(Setup setup);
  std::shared_ptr<const Setup> setup() const;

  void put(Grant grant);
  void remove(const std::string& person, const std::string& id);
  std::size_t size() const;

  /// Grows with every change of grants or rules.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  struct Active {
    std::vector<std::string> rules;                    // sorted, unique
    std::int64_t next_change_wall_ns = INT64_MAX;      // until then it stays so, unless the version changes
  };
  Active grants_for(const std::string& person, const std::string& agent, const target::Target& target, std::int64_t wall_ns) const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Setup> setup_;
  std::unordered_map<std::string, std::vector<Grant>> grants_;  // by person
  std::size_t count_ = 0;
  std::atomic<std::uint64_t> version_ = 1;
};

}  // namespace sallyport::enforce
