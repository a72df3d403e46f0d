#pragma once
// The shared vocabulary of all protocols: what a client wants to do, in a closed variant. A protocol's codec fills it
// from parsed data; the Gate turns it into facts for policy, a canonical text for approvals and names for evidence.
// Values point into the message's json::Document, which the session keeps alive while the Gate is asked.
#include <string>
#include <variant>

#include "base/json.h"
#include "enforce/facts.h"

namespace sallyport::enforce {

/// MCP tools/call.
struct ToolCall {
  std::string tool;
  json::Value arguments;  // invalid when absent
};

/// Every other MCP request or notification, in either direction.
struct McpRequest {
  std::string method;
  std::string resource;      // uri of resources/read, subscribe, unsubscribe
  std::string prompt;        // name of prompts/get
  json::Value params;        // invalid when absent
  bool from_server = false;  // sampling, elicitation, roots
  bool housekeeping = false; // initialize, ping, lists, notifications: allowed where anything on the target may be
};

/// What no codec could name. Never allowed.
struct Raw {
  std::string protocol;
  std::string what;
};

using Action = std::variant<ToolCall, McpRequest, Raw>;

Facts facts_of(const Action& action);
/// The verb and the object as evidence names them: "tools/call", "search_tickets".
std::string verb_of(const Action& action);
std::string object_of(const Action& action);
/// One text for equal commands (sorted keys, canonical numbers): what an approval's digest covers.
std::string canonical_of(const Action& action);

}  // namespace sallyport::enforce
