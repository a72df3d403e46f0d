#include "enforce/facts.h"

namespace sallyport::enforce {

const FactSchema& mcp_schema() {
  static const FactSchema kSchema{
      "mcp",
      {
          {"mcp.method", FactType::String, "JSON-RPC method: \"tools/call\", \"resources/read\", \"prompts/get\", …"},
          {"mcp.tool", FactType::String, "name of the tool that is called; \"\" for other methods"},
          {"mcp.resource", FactType::String, "URI of the resource that is read; \"\" for other methods"},
          {"mcp.prompt", FactType::String, "name of the prompt that is got; \"\" for other methods"},
          {"mcp.args", FactType::Dyn, "the arguments of the call, as JSON; {} when there are none"},
          {"mcp.direction", FactType::String, "who asks: \"client\", or \"server\" for sampling, elicitation and roots"},
      }};
  return kSchema;
}

const FactSchema& sql_schema() {
  static const FactSchema kSchema{
      "sql",
      {
          {"sql.verb", FactType::String, "the weightiest effect: \"select\", \"delete\", \"create_table\", \"copy_program\", …"},
          {"sql.verbs", FactType::StringList, "every effect, also in WITH, EXPLAIN ANALYZE and PREPARE"},
          {"sql.class", FactType::String, "\"read\", \"session\", \"write\", \"ddl\", \"dcl\" or \"unknown\": of the weightiest effect"},
          {"sql.tables", FactType::StringList, "tables and views it names, as schema.name"},
          {"sql.tables_read", FactType::StringList, "those of them that are read"},
          {"sql.tables_written", FactType::StringList, "those of them that are changed"},
          {"sql.columns", FactType::StringList, "columns it names, as schema.table.column"},
          {"sql.functions", FactType::StringList, "functions it calls"},
          {"sql.settings", FactType::StringList, "settings it changes"},
          {"sql.has_where", FactType::Bool, "every UPDATE and DELETE in it has a condition on a column; of a SELECT: it has a WHERE"},
          {"sql.has_limit", FactType::Bool, "it is a SELECT with a LIMIT"},
          {"sql.statements", FactType::Int, "how many statements the text holds"},
          {"sql.in_transaction", FactType::Bool, "a transaction block is open"},
          {"sql.parameters", FactType::StringList, "parameters of a prepared statement, as text"},
          {"sql.database", FactType::String, "the database"},
      }};
  return kSchema;
}

const std::vector<const FactSchema*>& all_schemas() {
  static const std::vector<const FactSchema*> kSchemas{&mcp_schema(), &sql_schema()};
  return kSchemas;
}

}  // namespace sallyport::enforce
