#include "enforce/approval_matching.h"

#include <algorithm>

namespace sallyport::enforce {
namespace {

struct Matcher {
  const ApprovalStep& step;
  const std::vector<std::vector<std::string>>& voters;
  std::vector<std::vector<std::size_t>> seated;   // of each need: the voters that fill its places

  bool fits(std::size_t voter, std::size_t need) const { return std::ranges::find(voters[voter], step[need].group) != voters[voter].end(); }

  /// Finds a place for the voter, moving others to another of their groups when that makes one free.
  bool seat(std::size_t voter, std::vector<bool>& tried) {
    for (std::size_t need = 0; need < step.size(); ++need) {
      if (tried[need] || !fits(voter, need)) continue;
      tried[need] = true;
      auto& there = seated[need];
      if (static_cast<std::int64_t>(there.size()) < step[need].count) {
        there.push_back(voter);
        return true;
      }
      for (auto& other : there) {
        if (!seat(other, tried)) continue;
        other = voter;
        return true;
      }
    }
    return false;
  }
};

}  // namespace

Filled match(const ApprovalStep& step, const std::vector<std::vector<std::string>>& voters) {
  Matcher matcher{step, voters, std::vector<std::vector<std::size_t>>(step.size())};
  for (std::size_t voter = 0; voter < voters.size(); ++voter) {
    std::vector<bool> tried(step.size());
    matcher.seat(voter, tried);
  }
  Filled out;
  for (const auto& there : matcher.seated) {
    out.of_need.push_back(static_cast<std::int64_t>(there.size()));
    out.total += out.of_need.back();
  }
  out.complete = !step.empty() && out.total == places(step);
  return out;
}

std::int64_t places(const ApprovalStep& step) {
  std::int64_t out = 0;
  for (const auto& need : step) out += need.count;
  return out;
}

std::int64_t places(const ApprovalSteps& steps) {
  std::int64_t out = 0;
  for (const auto& step : steps) out += places(step);
  return out;
}

}  // namespace sallyport::enforce
