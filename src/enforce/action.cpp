#include "enforce/action.h"

namespace sallyport::enforce {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

// In the order of mcp_schema().
Facts mcp_facts(std::string method, std::string tool, std::string resource, std::string prompt, json::Value args, bool from_server) {
  Facts facts;
  facts.schema = &mcp_schema();
  facts.values.reserve(facts.schema->fields.size());
  facts.values.emplace_back(std::move(method));
  facts.values.emplace_back(std::move(tool));
  facts.values.emplace_back(std::move(resource));
  facts.values.emplace_back(std::move(prompt));
  facts.values.emplace_back(args);
  facts.values.emplace_back(std::string_view(from_server ? "server" : "client"));
  return facts;
}

const std::vector<std::string> kNone;

// In the order of sql_schema(); the values are views into the statement.
Facts sql_facts(const Statement& statement) {
  const auto& effects = *statement.effects;
  const auto& analysis = *effects.analysis;
  Facts facts;
  facts.schema = &sql_schema();
  facts.values = {std::string_view(effects.verb), &analysis.verbs, std::string_view(effects.weight), &effects.tables, &effects.tables_read,
                  &effects.tables_written, &effects.columns, &effects.functions, &analysis.settings, analysis.has_where, analysis.has_limit,
                  static_cast<std::int64_t>(analysis.statements), statement.in_transaction,
                  statement.parameters != nullptr ? statement.parameters : &kNone, statement.database};
  if (statement.parameters_unknown) facts.values[13] = Unknown{};
  return facts;
}

}  // namespace

std::shared_ptr<const SqlEffects> SqlEffects::of(sql::AnalysisPtr analysis, sql::SchemaPtr schema) {
  auto out = std::make_shared<SqlEffects>();
  auto weight = analysis->weight;
  out->verb = analysis->verb;
  out->functions = analysis->functions;
  out->tables = sql::table_names(*analysis, schema.get(), true, true);
  out->tables_read = sql::table_names(*analysis, schema.get(), true, false);
  out->tables_written = sql::table_names(*analysis, schema.get(), false, true);
  out->columns = sql::column_names(*analysis, schema.get());
  if (schema) {
    if (std::ranges::all_of(analysis->calls, [&](const auto& call) { return schema->is_known(call); })) weight = analysis->weight_but_calls;
    for (auto& name : sql::hidden_calls(*analysis, *schema)) {
      weight = sql::Class::Unknown;
      out->functions.push_back(std::move(name));
    }
    // A function of one's own may stand before the built-in one of its name.
    for (const auto& name : analysis->functions)
      if (schema->own_functions.contains(name.substr(name.rfind('.') + 1))) weight = sql::Class::Unknown;
  }
  out->weight = to_string(weight);
  for (const auto& table : out->tables) {
    if (out->object.size() > 900) break;
    out->object += (out->object.empty() ? "" : ", ") + table;
  }
  out->analysis = std::move(analysis);
  out->schema = std::move(schema);
  return out;
}

Facts facts_of(const Action& action) {
  return std::visit(
      Overloaded{
          [](const ToolCall& call) { return mcp_facts("tools/call", call.tool, "", "", call.arguments, false); },
          [](const McpRequest& request) {
            return mcp_facts(request.method, "", request.resource, request.prompt,
                             request.prompt.empty() ? json::Value() : request.params["arguments"], request.from_server);
          },
          [](const Statement& statement) { return sql_facts(statement); },
          [](const Raw&) { return Facts{}; },
      },
      action);
}

std::string verb_of(const Action& action) {
  return std::visit(Overloaded{[](const ToolCall&) { return std::string("tools/call"); },
                               [](const McpRequest& request) { return request.method; },
                               [](const Statement& statement) { return statement.effects->verb; },
                               [](const Raw& raw) { return raw.what; }},
                    action);
}

std::string object_of(const Action& action) {
  return std::visit(Overloaded{[](const ToolCall& call) { return call.tool; },
                               [](const McpRequest& request) {
                                 return !request.resource.empty() ? request.resource : request.prompt;
                               },
                               [](const Statement& statement) { return statement.effects->object; },
                               [](const Raw&) { return std::string(); }},
                    action);
}

std::string canonical_of(const Action& action) {
  const auto text = [](const json::Value& value) { return value.valid() ? json::canonical(value) : std::string("{}"); };
  return std::visit(
      Overloaded{[&](const ToolCall& call) { return "tools/call\n" + json::quote(call.tool) + "\n" + text(call.arguments) + (call.definition.empty() ? "" : "\n" + call.definition); },
                 [&](const McpRequest& request) {
                   return json::quote(request.method) + (request.from_server ? "\nserver\n" : "\nclient\n") + text(request.params);
                 },
                 [](const Statement& statement) {
                   std::string out = "sql\n" + json::quote(statement.database) + "\n" + json::quote(statement.text);
                   if (statement.parameters != nullptr)
                     for (const auto& one : *statement.parameters) out += "\n" + json::quote(one);
                   return out;
                 },
                 [](const Raw& raw) { return "raw\n" + json::quote(raw.what); }},
      action);
}

}  // namespace sallyport::enforce
