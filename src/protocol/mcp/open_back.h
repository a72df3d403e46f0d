#pragma once
// Which Back a target gets, by its configuration.
#include "protocol/mcp/back.h"
#include "protocol/protocol.h"

namespace sallyport::protocol::mcp {

/// `resume_key` is what Back::resume_key() of an earlier conversation said, or "". Errors: Unavailable (its credential, its CA).
Result<std::unique_ptr<Back>> open_back(Services& services, const target::Target& target, std::string resume_key);

}  // namespace sallyport::protocol::mcp
