#pragma once
// Which Back a target gets, by its configuration.
#include "protocol/mcp/back.h"
#include "protocol/mcp/stdio_pool.h"
#include "protocol/protocol.h"

namespace sallyport::protocol::mcp {

/// `resume_key` is what Back::resume_key() of an earlier conversation said, or "". Errors: Unavailable (its credential, its CA).
Result<std::unique_ptr<Back>> open_back(Services& services, StdioPool& pool, const target::Target& target, Owner owner, std::string resume_key);

}  // namespace sallyport::protocol::mcp
