#include "enforce/access.h"

#include <algorithm>

namespace sallyport::enforce {

bool AccessRule::may_ask(const identity::Principal& principal) const {
  return std::ranges::any_of(who, [&](const WhoSelector& one) { return one.matches(principal); });
}

bool AccessTargets::matches(const target::Target& target) const {
  if (names.empty() && labels.empty()) return false;
  if (!names.empty() && std::ranges::find(names, target.name) == names.end()) return false;
  return std::ranges::all_of(labels, [&](const auto& label) {
    const auto at = target.labels.find(label.first);
    return at != target.labels.end() && at->second == label.second;
  });
}

std::vector<std::string> AccessTargets::words() const {
  auto out = names;
  for (const auto& [label, value] : labels) out.push_back(label + "=" + value);
  return out;
}

std::vector<std::string> ids_of(const AccessRules& rules) {
  std::vector<std::string> out;
  for (const auto& [id, rule] : rules) out.push_back(id);
  return out;
}

void Access::configure(Setup setup) {
  const std::lock_guard lock(mutex_);
  setup_ = std::make_shared<const Setup>(std::move(setup));
  version_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const Access::Setup> Access::setup() const {
  const std::lock_guard lock(mutex_);
  return setup_;
}

void Access::put(Grant grant) {
  const std::lock_guard lock(mutex_);
  grants_[grant.person].push_back(std::move(grant));
  ++count_;
  version_.fetch_add(1, std::memory_order_release);
}

void Access::remove(const std::string& person, const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto at = grants_.find(person);
  if (at == grants_.end()) return;
  count_ -= std::erase_if(at->second, [&](const Grant& grant) { return grant.id == id; });
  if (at->second.empty()) grants_.erase(at);
  version_.fetch_add(1, std::memory_order_release);
}

std::size_t Access::size() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

Access::Active Access::grants_for(const std::string& person, const std::string& agent, const target::Target& target, std::int64_t wall_ns) const {
  Active out;
  const std::lock_guard lock(mutex_);
  const auto at = grants_.find(person);
  if (at == grants_.end()) return out;
  for (const auto& grant : at->second) {
    if (grant.agent.empty() ? !agent.empty() && !grant.for_agents : grant.agent != agent) continue;
    if (wall_ns >= grant.ends_wall_ns || !grant.targets.matches(target)) continue;
    // What the rule says today counts: a rule that is gone, or is no longer for this target, grants nothing.
    const auto rule = setup_->rules.find(grant.rule);
    if (rule == setup_->rules.end() || !rule->second.targets.matches(target)) continue;
    const bool active = wall_ns >= grant.begins_wall_ns;
    out.next_change_wall_ns = std::min(out.next_change_wall_ns, active ? grant.ends_wall_ns : grant.begins_wall_ns);
    if (active) out.rules.push_back(grant.rule);
  }
  std::ranges::sort(out.rules);
  const auto repeated = std::ranges::unique(out.rules);
  out.rules.erase(repeated.begin(), repeated.end());
  return out;
}

}  // namespace sallyport::enforce
