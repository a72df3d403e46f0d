#pragma once
// Which Back a target gets, and what it may be asked, by its configuration.
#include "protocol/mcp/back.h"
#include "protocol/mcp/stdio_pool.h"
#include "protocol/protocol.h"

namespace sallyport::protocol::mcp {

/// `session` is who asks; `resume_key` is what Back::resume_key() of an earlier conversation said, or "". Errors: Unavailable (its credential, its CA).
Result<std::unique_ptr<Back>> open_back(Services& services, StdioPool& pool, const target::Target& target, std::shared_ptr<const enforce::Session> session,
                                        Owner owner, std::string resume_key);

/// The methods beyond the protocol's own that this target may be asked: those configured, and those of the extensions it may use.
std::vector<std::string> methods_of(const target::McpTarget& target);

}  // namespace sallyport::protocol::mcp
