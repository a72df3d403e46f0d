#pragma once
// What a modern result must say before a client gets it through a gateway, and what of a client's and a server's capabilities
// is told to the other side. Pure functions on parsed messages (specification 2026-07-28: Caching, Discovery, MRTR).
#include <string>
#include <vector>

#include "protocol/mcp/era.h"

namespace sallyport::protocol::mcp {

/// The result with what the revision demands: resultType; ttlMs and cacheScope, always private, for what policy leaves differs from
/// person to person; of server/discover the versions spoken here and no extension but `extensions`. `sealed_state`: instead of the
/// target's requestState, when not "".
std::string modern_result(const Message& answer, std::string_view method, const std::vector<std::string>& extensions, std::string_view sealed_state);

/// A client's capabilities (raw JSON object) without what it cannot be asked for here: "sampling", "elicitation" and "roots" that are not
/// in `server_requests`, extensions that are not in `extensions`, and tasks.
std::string allowed_capabilities(const json::Value& capabilities, const std::vector<std::string>& server_requests, const std::vector<std::string>& extensions);

/// What of a form asks for a secret (a property's name), or "": MCP forbids it in form mode, and a model would see it.
std::string asked_secret(const json::Value& elicitation);

/// The object (raw JSON) with one member set, added or, for "", removed.
std::string with_member(const json::Value& object, std::string_view key, std::string_view raw);

}  // namespace sallyport::protocol::mcp
