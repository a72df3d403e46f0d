#pragma once
// Which voter stands for which group: a voter in several groups fills one place only, and the places are given out so that as
// many as possible are filled (bipartite matching by augmenting paths, Kuhn 1955). Pure, any thread.
#include <string>
#include <vector>

#include "enforce/policy.h"

namespace sallyport::enforce {

struct Filled {
  std::vector<std::int64_t> of_need;   // places of each need that have somebody
  std::int64_t total = 0;
  bool complete = false;               // all places of the step
};

/// `voters`: the groups of each. The order of voters does not change how many places are filled.
Filled match(const ApprovalStep& step, const std::vector<std::vector<std::string>>& voters);

/// Places of a step, and of all steps.
std::int64_t places(const ApprovalStep& step);
std::int64_t places(const ApprovalSteps& steps);

}  // namespace sallyport::enforce
