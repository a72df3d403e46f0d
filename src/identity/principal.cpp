#include "identity/principal.h"

#include <algorithm>

namespace sallyport::identity {

bool Principal::in_group(std::string_view group) const { return std::ranges::find(groups, group) != groups.end(); }

std::string Principal::display() const { return agent.empty() ? subject : "agent " + agent + " on behalf of " + subject; }

}  // namespace sallyport::identity
