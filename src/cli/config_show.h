#pragma once
// The loaded configuration written out: defaults filled in, paths absolute, secrets as references. Pure; any thread.
#include <string>
#include <utility>
#include <vector>

#include "cli/config.h"

namespace sallyport::cli {

std::string show_json(const Config& config);
std::string show_yaml(const Config& config);

/// Every secret that is named, with its key: "gateway.tls.key".
std::vector<std::pair<std::string, const SecretRef*>> secrets_of(const Config& config);

}  // namespace sallyport::cli
