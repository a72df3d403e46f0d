#pragma once
// A database as MCP tools (docs/protocols/mcp.md, "Databases as tools"): what each tool is, the statement that a call of it becomes, and
// how its answer reads. Codec: pure, any thread. Errors: Malformed, in words for the model that called.
#include "protocol/database.h"
#include "protocol/mcp/message.h"
#include "target/catalog.h"

namespace sallyport::protocol::mcp {

/// The elements of tools/list, a JSON array.
std::string database_tools(const target::DatabaseTools& offered);

/// Text, parameters and limits of a tools/call.
Result<DatabaseCall> database_call(const json::Value& params, const target::DatabaseTools& offered);

/// The result of the call: columns and rows, as structured content and as text; or what the database refused, with isError.
std::string database_result(std::string_view tool, const DatabaseAnswer& answer);
/// What stands in its place when there is no answer.
std::string database_failure(const Error& why);

/// What is recorded of a call's params: the statement with its literals as $1, $2, … and no parameters. Literals may be what masking
/// would hide, and which columns they are compared with is known in the database's own session only, whose record has the text.
Result<json::Document> database_record(const json::Value& params);

}  // namespace sallyport::protocol::mcp
