#pragma once
// The shared vocabulary of all protocols: what a client wants to do, in a closed variant. A protocol's codec fills it
// from parsed data; the Gate turns it into facts for policy, a canonical text for approvals and names for evidence.
// Values point into the message's json::Document, which the session keeps alive while the Gate is asked.
#include <functional>
#include <string>
#include <variant>

#include "base/json.h"
#include "enforce/facts.h"
#include "sql/lineage.h"
#include "sql/statement.h"

namespace sallyport::enforce {

/// Why something that policy lets pass may not happen as things stand, "" when it may: asked each time it is judged, also after a hold.
using Problem = std::function<std::string()>;

/// MCP tools/call.
struct ToolCall {
  std::string tool;
  json::Value arguments;    // invalid when absent
  std::string definition;   // digest of the tool's pinned definition: an approval is for that one; "" when tools are not pinned
  Problem problem;          // null when there can be none
};

/// Every other MCP request or notification, in either direction.
struct McpRequest {
  std::string method;
  std::string resource;      // uri of resources/read, subscribe, unsubscribe
  std::string prompt;        // name of prompts/get
  json::Value params;        // invalid when absent
  bool from_server = false;  // sampling, elicitation, roots
  bool housekeeping = false; // initialize, ping, lists, notifications: allowed where anything on the target may be
  bool carries = false;      // what comes of it may be of any call (streams, tasks): whatever could be masked there is masked
  Problem problem;           // of prompts/get, as above
};

/// What a SQL text does, resolved against the catalog of its database; made once a shape, shared, immutable.
struct SqlEffects {
  sql::AnalysisPtr analysis;
  sql::SchemaPtr schema;       // may be null: the catalog could not be read
  std::string verb, weight, object;
  std::vector<std::string> tables, tables_read, tables_written, columns, functions;
  static std::shared_ptr<const SqlEffects> of(sql::AnalysisPtr analysis, sql::SchemaPtr schema);
};
using SqlEffectsPtr = std::shared_ptr<const SqlEffects>;

/// One SQL text that is to run, or a prepared one with its parameters. The views live until the verdict.
struct Statement {
  SqlEffectsPtr effects;
  std::string_view text;
  const std::vector<std::string>* parameters = nullptr;  // as text, for people and policy
  bool parameters_unknown = false;  // too long to be held: a rule that reads them cannot allow it
  bool in_transaction = false;
  std::string_view database;
  std::string_view problem;    // why it cannot be judged: then it is blocked
  std::string_view unsure;     // why masked columns cannot be followed in it: then it is blocked where there are any
  std::string_view how;        // "", "prepare": only parsed, "continue": more rows of a portal, "cancel"
};

/// What no codec could name. Never allowed.
struct Raw {
  std::string protocol;
  std::string what;
};

using Action = std::variant<ToolCall, McpRequest, Statement, Raw>;

Facts facts_of(const Action& action);
/// The verb and the object as evidence names them: "tools/call", "search_tickets".
std::string verb_of(const Action& action);
std::string object_of(const Action& action);
/// One text for equal commands (sorted keys, canonical numbers): what an approval's digest covers.
std::string canonical_of(const Action& action);

}  // namespace sallyport::enforce
