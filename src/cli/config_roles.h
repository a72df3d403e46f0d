#pragma once
// What the section `roles` allows and hardly means: people whose offices exclude each other. Any thread.
#include <string>
#include <vector>

#include "cli/config.h"

namespace sallyport::cli {

/// One sentence for each local user who is concerned. Groups of other issuers are known when people come.
std::vector<std::string> role_warnings(const Config& config);

}  // namespace sallyport::cli
