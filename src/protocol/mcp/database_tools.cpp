#include "protocol/mcp/database_tools.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "sql/statement.h"

namespace sallyport::protocol::mcp {
namespace {

// One row, one column of JSON, so that names and comments need no second question. The catalog's functions are PostgreSQL's own.
constexpr std::string_view kRelations = R"(select coalesce(json_agg(json_build_object('schema', n.nspname, 'name', c.relname,
  'kind', case c.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view' when 'm' then 'materialized view' else 'foreign table' end,
  'estimated_rows', case when c.reltuples >= 0 then c.reltuples::bigint end, 'comment', obj_description(c.oid, 'pg_class')) order by n.nspname, c.relname), '[]'::json) as relations
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_')";

constexpr std::string_view kRelation = R"(select json_build_object('schema', n.nspname, 'name', c.relname, 'comment', obj_description(c.oid, 'pg_class'),
  'columns', (select json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'nullable', not a.attnotnull,
      'default', (select pg_get_expr(d.adbin, d.adrelid) from pg_catalog.pg_attrdef d where d.adrelid = a.attrelid and d.adnum = a.attnum),
      'comment', col_description(a.attrelid, a.attnum)) order by a.attnum)
    from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  'constraints', (select coalesce(json_agg(json_build_object('name', k.conname, 'definition', pg_get_constraintdef(k.oid)) order by k.conname), '[]'::json)
    from pg_catalog.pg_constraint k where k.conrelid = c.oid),
  'indexes', (select coalesce(json_agg(pg_get_indexdef(i.indexrelid) order by i.indexrelid), '[]'::json) from pg_catalog.pg_index i where i.indrelid = c.oid)) as relation
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relname = $1 and ($2::text is null or n.nspname = $2) and n.nspname !~ '^pg_toast' order by n.nspname)";

constexpr std::string_view kOutput =
    R"({"type":"object","properties":{"columns":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"type":{"type":"string"}},"required":["name","type"]}},)"
    R"("rows":{"type":"array","items":{"type":"array"}},"row_count":{"type":"integer"},"more":{"type":"boolean"},"command":{"type":"string"},"notices":{"type":"array","items":{"type":"string"}}},)"
    R"("required":["columns","rows","row_count","more"]})";

constexpr std::string_view kParams = R"("params":{"type":"array","description":"Values of $1, $2, … in their order; text, numbers, booleans and null","items":{"type":["string","number","boolean","null"]}})";

std::string annotations(bool writes) {
  return fmt::format(R"({{"readOnlyHint":{},"destructiveHint":{},"idempotentHint":{},"openWorldHint":false}})", !writes, writes, !writes);
}

std::string query_tool(const target::DatabaseTools& offered) {
  const auto about = fmt::format(
      "Runs one SQL statement on the PostgreSQL database {} and returns its rows, at most {}{}. Each call is a session and a transaction of its own: nothing of SET, BEGIN or "
      "temporary tables is left for the next one. Values belong in params, not in the text. bigint and numeric come as text, json as it is.",
      offered.name.empty() ? offered.target : offered.name, offered.rows, offered.write ? "" : "; it may not write");
  return fmt::format(R"({{"name":"query","title":"Query {0}","description":{1},"inputSchema":{{"type":"object","properties":{{"sql":{{"type":"string","minLength":1,"description":"One statement, without COPY"}},{2},)"
                     R"("max_rows":{{"type":"integer","minimum":1,"maximum":{3}}}}},"required":["sql"],"additionalProperties":false}},"outputSchema":{4},"annotations":{5}}})",
                     offered.target, json::quote(about), kParams, offered.rows, kOutput, annotations(offered.write));
}

std::string explain_tool(const target::DatabaseTools& offered) {
  return fmt::format(R"({{"name":"explain","title":"Explain a query on {0}","description":"The plan of one SQL statement as PostgreSQL's EXPLAIN (FORMAT JSON) gives it. With analyze it is run, under the same rules as query.",)"
                     R"("inputSchema":{{"type":"object","properties":{{"sql":{{"type":"string","minLength":1}},{1},"analyze":{{"type":"boolean","default":false}}}},"required":["sql"],"additionalProperties":false}},)"
                     R"("outputSchema":{2},"annotations":{3}}})",
                     offered.target, kParams, kOutput, annotations(offered.write));
}

std::string describe_tool(const target::DatabaseTools& offered) {
  return fmt::format(R"({{"name":"describe","title":"Describe {0}","description":"Tables and views of the database; with name the columns, constraints, indexes and comments of one.",)"
                     R"("inputSchema":{{"type":"object","properties":{{"name":{{"type":"string","minLength":1,"description":"A table or view, with or without its schema: public.orders"}}}},"additionalProperties":false}},)"
                     R"("outputSchema":{1},"annotations":{2}}})",
                     offered.target, kOutput, annotations(false));
}

bool offers(const target::DatabaseTools& offered, std::string_view tool) { return std::ranges::find(offered.tools, tool) != offered.tools.end(); }

std::unexpected<Error> wrong(std::string what) { return fail(ErrorKind::Malformed, std::move(what)); }

Result<void> only(const json::Value& arguments, std::initializer_list<std::string_view> known) {
  for (const auto member : arguments)
    if (std::ranges::find(known, member.key()) == known.end()) return wrong(fmt::format("there is no argument \"{}\" here; there are {}", member.key().substr(0, 64), fmt::join(known, ", ")));
  return {};
}

Result<void> parameters(const json::Value& params, DatabaseCall& out) {
  if (!params.valid()) return {};
  if (!params.is_array()) return wrong("params is a list of values");
  for (const auto one : params) {
    if (one.kind() == json::Kind::Null) out.parameters.emplace_back();
    else if (one.is_string()) out.parameters.emplace_back(one.as_string());
    else if (one.is_object() || one.is_array()) return wrong("params are texts, numbers, booleans and null; write an array or an object as text: '{1,2}', '{\"a\":1}'");
    else out.parameters.emplace_back(one.raw());
  }
  return {};
}

Result<std::string> sql_of(const json::Value& arguments) {
  const auto sql = arguments["sql"];
  if (!sql.is_string() || sql.as_string().find_first_not_of(" \t\r\n") == std::string_view::npos) return wrong("sql is missing: one SQL statement as text");
  return std::string(sql.as_string());
}

/// "schema.name", "name", and both quoted as SQL has them. Unquoted names are in lower case, as the server has them.
Result<std::vector<std::string>> name_parts(std::string_view text) {
  std::vector<std::string> parts;
  while (parts.size() < 3) {
    std::string part;
    if (text.starts_with('"')) {
      for (text.remove_prefix(1);; text.remove_prefix(1)) {
        if (text.empty()) return wrong("name: a quote is not closed");
        if (text.front() == '"' && !text.starts_with("\"\"")) break;
        if (text.front() == '"') text.remove_prefix(1);
        part += text.front();
      }
      text.remove_prefix(1);
    } else {
      const auto end = std::min(text.find('.'), text.size());
      part = ascii_lower(text.substr(0, end));
      text.remove_prefix(end);
    }
    if (part.empty()) break;
    parts.push_back(std::move(part));
    if (text.empty()) return parts;
    if (text.front() != '.') break;
    text.remove_prefix(1);
  }
  return wrong("name is a table or view: orders, public.orders or \"Orders\"");
}

Result<void> describe(const json::Value& arguments, DatabaseCall& out) {
  TRY_VOID(only(arguments, {"name"}));
  const auto name = arguments["name"];
  if (!name.valid()) {
    out.text = kRelations;
    return {};
  }
  if (!name.is_string()) return wrong("name is a text");
  TRY(auto parts, name_parts(name.as_string()));
  if (parts.size() > 2) return wrong("name has at most two parts, schema and table: another database is another target");
  out.text = kRelation;
  out.parameters = {parts.back(), parts.size() == 2 ? std::optional(parts.front()) : std::nullopt};
  return {};
}

/// What JSON has a type for, exactly: numbers that a double keeps. Everything else is the text that the database gave.
std::string value_text(const std::optional<std::string>& value, const std::string& type) {
  if (!value) return "null";
  if (type == "bool") return *value == "t" ? "true" : "false";
  if (type == "int2" || type == "int4" || type == "oid" || type == "float4" || type == "float8" || type == "json" || type == "jsonb")
    if (const auto parsed = json::Document::parse(*value); parsed && (type.starts_with("json") || parsed->root().kind() == json::Kind::Int || parsed->root().kind() == json::Kind::Double))
      return std::string(parsed->text());
  return json::quote(*value);
}

std::string rows_text(const DatabaseAnswer& answer) {
  std::string columns, rows, notices;
  for (const auto& column : answer.columns) columns += fmt::format("{}{{\"name\":{},\"type\":{}}}", columns.empty() ? "" : ",", json::quote(column.name), json::quote(column.type));
  for (const auto& row : answer.rows) {
    std::string values;
    for (std::size_t i = 0; i < row.size(); ++i) values.append(i == 0 ? "" : ",").append(value_text(row[i], answer.columns[i].type));
    rows.append(rows.empty() ? "[" : ",[").append(values).append("]");
  }
  for (const auto& one : answer.notices) notices.append(notices.empty() ? "" : ",").append(json::quote(one));
  auto out = fmt::format(R"({{"columns":[{}],"rows":[{}],"row_count":{},"more":{})", columns, rows, answer.rows.size(), answer.more);
  if (!answer.tag.empty()) out.append(R"(,"command":)").append(json::quote(answer.tag));
  if (!notices.empty()) out.append(R"(,"notices":[)").append(notices).append("]");
  return out + "}";
}

std::string words(std::string_view text, std::string_view meta) {
  return fmt::format(R"({{"resultType":"complete","content":[{{"type":"text","text":{}}}],"isError":true{}}})", json::quote(text), meta);
}

}  // namespace

std::string database_tools(const target::DatabaseTools& offered) {
  std::string out;
  const auto add = [&](std::string_view name, std::string text) {
    if (offers(offered, name)) out.append(out.empty() ? "" : ",").append(text);
  };
  add("query", query_tool(offered));
  add("explain", explain_tool(offered));
  add("describe", describe_tool(offered));
  return "[" + out + "]";
}

Result<DatabaseCall> database_call(const json::Value& params, const target::DatabaseTools& offered) {
  const auto tool = params["name"].as_string();
  const auto arguments = params["arguments"];
  if (!offers(offered, tool)) return wrong(fmt::format("there is no tool \"{}\" here; there are {}", tool.substr(0, 64), fmt::join(offered.tools, ", ")));
  if (arguments.valid() && !arguments.is_object()) return wrong("arguments is an object");
  DatabaseCall out;
  out.target = offered.target;
  out.database = offered.name;
  out.read_only = !offered.write;
  out.max_rows = offered.rows;
  out.max_bytes = offered.bytes;
  if (tool == "describe") {
    TRY_VOID(describe(arguments, out));
    return out;
  }
  TRY(auto sql, sql_of(arguments));
  TRY_VOID(parameters(arguments["params"], out));
  if (tool == "explain") {
    TRY_VOID(only(arguments, {"sql", "params", "analyze"}));
    const auto analyze = arguments["analyze"];
    if (analyze.valid() && analyze.kind() != json::Kind::Bool) return wrong("analyze is true or false");
    out.text = fmt::format("EXPLAIN (FORMAT JSON{}) {}", analyze.as_bool() ? ", ANALYZE, BUFFERS" : "", sql);
    return out;
  }
  TRY_VOID(only(arguments, {"sql", "params", "max_rows"}));
  if (const auto most = arguments["max_rows"]; most.valid()) {
    if (most.kind() != json::Kind::Int || most.as_int() < 1 || static_cast<std::uint64_t>(most.as_int()) > offered.rows) return wrong(fmt::format("max_rows is a number from 1 to {}", offered.rows));
    out.max_rows = static_cast<std::size_t>(most.as_int());
  }
  out.text = std::move(sql);
  return out;
}

std::string database_result(std::string_view tool, const DatabaseAnswer& answer) {
  const auto meta = answer.session.empty() ? std::string() : fmt::format(R"(,"_meta":{{"sallyport/session":{}}})", json::quote(answer.session));
  if (answer.refused) {
    const auto& why = *answer.refused;
    std::string text = fmt::format("{}: {}", why.code, why.message);
    if (!why.detail.empty()) text += "\nDETAIL: " + why.detail;
    if (!why.hint.empty()) text += "\nHINT: " + why.hint;
    return words(text, meta);
  }
  if (tool == "describe" && answer.rows.empty()) return words("there is no such table or view, or this login may not see it; describe without name lists what there is", meta);
  const auto rows = rows_text(answer);
  return fmt::format(R"({{"resultType":"complete","content":[{{"type":"text","text":{}}}],"structuredContent":{}{}}})", json::quote(rows), rows, meta);
}

std::string database_failure(const Error& why) { return words(why.what, ""); }

Result<json::Document> database_record(const json::Value& params) {
  TRY(auto document, json::Document::parse(std::string(params.raw())));
  json::Splice splice;
  const auto arguments = document.root()["arguments"];
  if (const auto sql = arguments["sql"]; sql.is_string()) {
    const auto analysis = sql::analyse(std::string(sql.as_string()));
    splice.replace(sql, json::quote(analysis && !(*analysis)->normalized.empty() ? (*analysis)->normalized : fmt::format("(no SQL that can be read, {} bytes)", sql.as_string().size())));
  }
  for (const auto one : arguments["params"]) splice.replace(one, "\"***\"");
  if (splice.empty()) return document;
  return json::Document::parse(splice.apply(document.text()));
}

}  // namespace sallyport::protocol::mcp
