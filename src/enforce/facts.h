#pragma once
// What policy reads of a command: typed values parsed from the protocol, never text to be matched again.
// Each protocol publishes a schema; `when` expressions are type-checked against it at load. Plain data, any thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"

namespace sallyport::enforce {

enum class FactType : std::uint8_t { Bool, Int, Double, String, StringList, Dyn /* JSON */ };

struct FactField {
  std::string_view name;  // full dotted name: "mcp.tool"
  FactType type;
  std::string_view doc;   // one line, for `policy explain` and the documentation
};

struct FactSchema {
  std::string_view protocol;      // first part of every name: "mcp"
  std::vector<FactField> fields;
};

/// The schema of MCP requests: mcp.method, mcp.tool, mcp.resource, mcp.prompt, mcp.args, mcp.direction.
const FactSchema& mcp_schema();
/// The schema of SQL statements: sql.verb, sql.class, sql.tables, sql.has_where, …
const FactSchema& sql_schema();
/// Every schema, for type checks: an expression may read facts of one protocol only.
const std::vector<const FactSchema*>& all_schemas();

/// A value that is not known yet (a tool's arguments while the list of tools is being filtered): comparing it yields
/// unknown, which hides nothing and allows nothing by itself.
struct Unknown {};

using FactValue = std::variant<Unknown, bool, std::int64_t, double, std::string, std::vector<std::string>, json::Value,
                               std::string_view, const std::vector<std::string>*>;  // the last two: owned by the action

/// The facts of one command: values[i] belongs to schema->fields[i]. A field that does not apply holds its type's
/// empty value ("" for mcp.tool of a resources/read), so that a rule about tools is simply false there.
/// An invalid json::Value stands for the empty object.
struct Facts {
  const FactSchema* schema = nullptr;
  std::vector<FactValue> values;
};

}  // namespace sallyport::enforce
