// Queries: which relations they read and change, and which values their rows hold.
#include <algorithm>

#include "sql/analyser.h"

namespace sallyport::sql {

std::string_view text_of(json::Value node) {
  if (const auto inner = node["String"]; inner.valid()) return inner["sval"].as_string();
  return node["sval"].as_string();
}

std::pair<std::string, std::string> qualified_name(json::Value list) {
  std::string before, last;
  for (const auto part : list) {
    before = std::move(last);
    last = text_of(part);
  }
  return {before, last};
}

void Analyser::once(std::vector<std::string>& list, std::string text) {
  if (!seen_.insert(fmt::format("{} {}", static_cast<const void*>(&list), text)).second) return;
  list.push_back(std::move(text));
}

void Analyser::add_relation(Relation relation) {
  if (seen_.insert(fmt::format("relation {} {} {}\n{}\n{}", relation.written, relation.schema.size(), relation.schema, relation.name, relation.alias)).second)
    out_.relations.push_back(std::move(relation));
}

Analyser::Outputs Analyser::query(json::Value node) {
  if (!node.is_object() || node.size() == 0) return {};
  const auto body = *node.begin();
  const auto kind = body.key();
  if (kind == "SelectStmt") return select(body);
  if (kind == "InsertStmt") return insert(body);
  if (kind == "UpdateStmt") return update(body);
  if (kind == "DeleteStmt") return remove(body);
  if (kind == "MergeStmt") return merge(body);
  verb("unknown", Class::Unknown);
  walk(node);
  return {};
}

Analyser::Outputs Analyser::select(json::Value body) {
  const auto ctes = ctes_.size();
  with(body["withClause"]);
  verb("select", Class::Read);
  if (const auto into = body["intoClause"]; into.valid()) {
    verb("create_table_as", Class::Ddl);
    out_.defines = true;
    relation(into["rel"], true);
  }
  Outputs outputs;
  if (body["larg"].valid()) {
    outputs = select(body["larg"]);
    for (auto& branch : select(body["rarg"])) outputs.push_back(std::move(branch));
  } else {
    Alias around;
    from(body["fromClause"], &around);
    const auto* before = std::exchange(scope_, &around);
    if (body["targetList"].valid()) outputs.push_back(targets(body["targetList"]));
    scope_ = before;
    for (const auto row : body["valuesLists"]) {
      outputs.emplace_back();
      for (const auto value : row["List"]["items"]) {
        outputs.back().push_back(target(value));
        out_.items[outputs.back().back()].name = "column" + std::to_string(outputs.back().size());
      }
    }
    for (const auto* clause : {"distinctClause", "whereClause", "groupClause", "havingClause", "windowClause"}) walk(body[clause]);
  }
  for (const auto* clause : {"sortClause", "limitOffset", "limitCount"}) walk(body[clause]);
  if (body["lockingClause"].valid()) {
    verb("select_for_update", Class::Write);
    // Its names are aliases of what FROM has named.
  }
  if (body["intoClause"].valid())
    for (const auto& branch : outputs)
      for (const auto item : branch) out_.stores.push_back({"", item});
  forget_ctes(ctes);
  return outputs;
}

void Analyser::with(json::Value clause) {
  // All names first: with RECURSIVE one may use itself, and a name too many only makes a table look like a CTE's alias …
  const bool recursive = clause["recursive"].as_bool();
  for (const auto node : clause["ctes"]) {
    const auto cte = node["CommonTableExpr"];
    const std::string name(cte["ctename"].as_string());
    if (recursive) name_cte(name);
    const auto outputs = query(cte["ctequery"]);
    if (!recursive) name_cte(name);
    Alias alias;
    alias.name = name;
    for (const auto column : cte["aliascolnames"]) alias.columns.emplace_back(text_of(column));
    hold(alias, outputs);
    out_.aliases.push_back(std::move(alias));
  }
}

void Analyser::name_cte(const std::string& name) {
  ctes_.push_back(name);
  ++cte_count_[name];
}

void Analyser::forget_ctes(std::size_t beyond) {
  for (; ctes_.size() > beyond; ctes_.pop_back()) --cte_count_[ctes_.back()];
}

void Analyser::hold(Alias& alias, const Outputs& outputs) {
  for (const auto& branch : outputs) alias.items.insert(alias.items.end(), branch.begin(), branch.end());
  alias.width = outputs.empty() ? 0 : static_cast<std::uint32_t>(outputs[0].size());
}

void Analyser::from(json::Value list, Alias* around) {
  for (const auto node : list) from_item(node, around);
}

void Analyser::give_alias(json::Value body, Alias alias, Alias* around) {
  if (const auto given = body["alias"]; given.valid()) {
    alias.name = given["aliasname"].as_string();
    for (const auto column : given["colnames"]) alias.columns.emplace_back(text_of(column));
    alias.renames = alias.renames && alias.columns.empty();
  }
  if (around != nullptr) {
    // Rows without a name are known by what is around them alone.
    if (!alias.name.empty()) around->inside.push_back(alias.name);
    else around->items.insert(around->items.end(), alias.items.begin(), alias.items.end());
  }
  out_.aliases.push_back(std::move(alias));
}

void Analyser::from_item(json::Value node, Alias* around) {
  if (!node.is_object() || node.size() == 0) return;
  const auto body = *node.begin();
  const auto kind = body.key();
  if (kind == "RangeVar") {
    Alias alias;
    alias.inside.push_back(relation_name(body, false));
    alias.renames = true;
    if (around != nullptr) around->inside.push_back(alias.inside[0]);
    if (body["alias"].valid()) give_alias(body, std::move(alias), around);
  } else if (kind == "RangeSubselect") {
    Alias alias;
    hold(alias, query(body["subquery"]));
    give_alias(body, std::move(alias), around);
  } else if (kind == "JoinExpr") {
    join(body, around);
  } else if (kind == "RangeFunction" || kind == "RangeTableFunc") {
    range_function(body, around);
  } else if (kind == "RangeTableSample") {
    from_item(body["relation"], around);
    for (const auto part : body["method"]) once(out_.functions, std::string(text_of(part)));
    walk(body["args"]);
    walk(body["repeatable"]);
  } else {
    verb("unknown", Class::Unknown);
    walk(node);
  }
}

void Analyser::join(json::Value body, Alias* around) {
  Alias alias;
  from_item(body["larg"], &alias);
  from_item(body["rarg"], &alias);
  walk(body["quals"]);
  if (body["usingClause"].valid() || body["isNatural"].as_bool()) once(out_.operators, "=");
  for (const auto column : body["usingClause"]) out_.columns.emplace_back("", std::string(text_of(column)));
  if (around != nullptr) {
    around->inside.insert(around->inside.end(), alias.inside.begin(), alias.inside.end());
    around->items.insert(around->items.end(), alias.items.begin(), alias.items.end());
    names_ += alias.inside.size();
  }
  if (const auto merged = body["join_using_alias"]; merged.valid()) {
    auto columns = alias;
    columns.name = merged["aliasname"].as_string();
    out_.aliases.push_back(std::move(columns));
  }
  if (body["alias"].valid()) give_alias(body, std::move(alias), around);
}

namespace {

/// Functions of FROM whose columns are named the same whatever they are given; any other may return a row of any type.
bool names_its_columns(std::string_view function) {
  static const std::unordered_set<std::string_view> kNames = {
      "json_each", "json_each_text", "jsonb_each", "jsonb_each_text", "json_array_elements", "json_array_elements_text", "jsonb_array_elements",
      "jsonb_array_elements_text", "json_object_keys", "jsonb_object_keys", "jsonb_path_query", "jsonb_path_query_tz", "regexp_matches", "regexp_split_to_table", "string_to_table",
      "generate_series", "generate_subscripts", "ts_debug", "ts_parse", "ts_token_type", "aclexplode"};
  return kNames.contains(function);
}

}  // namespace

/// The names that the columns of a function's rows may have.
void Analyser::function_columns(json::Value body, Alias& alias, Item& item) {
  for (const auto column : body["columns"]) alias.columns.emplace_back(column["RangeTableFuncCol"]["colname"].as_string());
  for (const auto column : body["coldeflist"]) alias.columns.emplace_back(column["ColumnDef"]["colname"].as_string());
  bool defined = body["columns"].valid() || body["coldeflist"].valid();
  std::size_t functions = 0;
  for (const auto function : body["functions"]) {
    ++functions;
    bool first = true;
    for (const auto part : function["List"]["items"]) {
      for (const auto definition : part["List"]["items"]) {
        alias.columns.emplace_back(definition["ColumnDef"]["colname"].as_string());
        defined = true;
      }
      if (!std::exchange(first, false)) continue;
      std::string name;
      figure_name(part, name);
      if (alias.name.empty()) alias.name = name;
      if (item.name.empty()) item.name = name;
      alias.columns.push_back(name);
      defined = defined || names_its_columns(name);
    }
  }
  alias.any_column = !defined || functions > 1;
}

void Analyser::range_function(json::Value body, Alias* around) {
  // Every column of such rows holds what its arguments hold.
  const auto index = static_cast<std::uint32_t>(out_.items.size());
  out_.items.emplace_back();
  open_.push_back(index);
  for (const auto* part : {"functions", "docexpr", "rowexpr", "namespaces", "columns"}) walk(body[part]);
  open_.pop_back();
  Alias alias;
  if (body["rowexpr"].valid()) alias.name = "xmltable";
  function_columns(body, alias, out_.items[index]);
  if (const auto given = body["alias"]; given.valid()) {
    alias.name = given["aliasname"].as_string();
    alias.columns.push_back(alias.name);  // a function of one column lends it the alias's name
    for (const auto column : given["colnames"]) alias.columns.emplace_back(text_of(column));
  }
  // Names that built-in functions give the columns of their rows.
  for (const auto* name : {"key", "value", "ordinality", "lexeme", "positions", "weights", "alias", "description", "token", "dictionaries",
                           "dictionary", "lexemes", "tokid", "option_name", "option_value", "word", "ndoc", "nentry", "grantor", "grantee", "privilege_type", "is_grantable"})
    alias.columns.emplace_back(name);
  names_ += alias.columns.size();
  alias.items.push_back(index);
  alias.width = 1;
  if (around != nullptr) {
    around->inside.push_back(alias.name);
    if (alias.name.empty()) around->items.push_back(index);
  }
  out_.aliases.push_back(std::move(alias));
}

void Analyser::assignments(json::Value list) {
  for (const auto node : list) {
    const auto item = target(node);
    out_.stores.push_back({std::string(node["ResTarget"]["name"].as_string()), item});
  }
}

Analyser::Outputs Analyser::insert(json::Value body) {
  const auto ctes = ctes_.size();
  with(body["withClause"]);
  verb("insert", Class::Write);
  relation(body["relation"], true);
  std::vector<std::string> columns;
  for (const auto node : body["cols"]) columns.emplace_back(node["ResTarget"]["name"].as_string());
  if (body["selectStmt"].valid()) {
    const bool selected = std::ranges::find(out_.verbs, "select") != out_.verbs.end();
    const bool values = body["selectStmt"]["SelectStmt"]["valuesLists"].valid() && !has_query(body["selectStmt"]["SelectStmt"]["valuesLists"]);
    const auto outputs = query(body["selectStmt"]);
    if (values && !selected) std::erase(out_.verbs, "select");  // VALUES reads nothing
    for (const auto& branch : outputs) {
      // Behind a star nobody knows which value is whose.
      const bool stars = std::ranges::any_of(branch, [&](auto item) { return out_.items[item].star; });
      for (std::size_t i = 0; i < branch.size(); ++i) out_.stores.push_back({i < columns.size() && !stars ? columns[i] : "", branch[i]});
    }
  }
  if (const auto conflict = body["onConflictClause"]; conflict.valid()) {
    if (conflict["action"].as_string() == "ONCONFLICT_UPDATE") verb("update", Class::Write);
    row_alias("excluded", std::string(body["relation"]["relname"].as_string()));
    assignments(conflict["targetList"]);
    walk(conflict["whereClause"]);
    walk(conflict["infer"]);
  }
  auto outputs = returning(body);
  forget_ctes(ctes);
  return outputs;
}

void Analyser::condition(json::Value where) {
  // A condition that reads no column (WHERE true) holds for every row or for none.
  const bool real = where.valid() && mentions_column(where);
  out_.has_where = real && (out_.has_where || !std::exchange(changes_rows_, true));
  changes_rows_ = true;
  walk(where);
}

Analyser::Outputs Analyser::update(json::Value body) {
  const auto ctes = ctes_.size();
  with(body["withClause"]);
  verb("update", Class::Write);
  relation(body["relation"], true);
  from(body["fromClause"], nullptr);
  assignments(body["targetList"]);
  condition(body["whereClause"]);
  auto outputs = returning(body);
  forget_ctes(ctes);
  return outputs;
}

Analyser::Outputs Analyser::remove(json::Value body) {
  const auto ctes = ctes_.size();
  with(body["withClause"]);
  verb("delete", Class::Write);
  relation(body["relation"], true);
  from(body["usingClause"], nullptr);
  condition(body["whereClause"]);
  auto outputs = returning(body);
  forget_ctes(ctes);
  return outputs;
}

Analyser::Outputs Analyser::merge(json::Value body) {
  const auto ctes = ctes_.size();
  with(body["withClause"]);
  verb("merge", Class::Write);
  relation(body["relation"], true);
  from_item(body["sourceRelation"], nullptr);
  walk(body["joinCondition"]);
  for (const auto node : body["mergeWhenClauses"]) {
    const auto when = node["MergeWhenClause"];
    const auto command = when["commandType"].as_string();
    if (command == "CMD_INSERT") verb("insert", Class::Write);
    else if (command == "CMD_UPDATE") verb("update", Class::Write);
    else if (command == "CMD_DELETE") verb("delete", Class::Write);
    else if (command != "CMD_NOTHING") verb("unknown", Class::Unknown);
    walk(when["condition"]);
    std::vector<std::string> columns;
    for (const auto column : when["targetList"]) columns.emplace_back(column["ResTarget"]["name"].as_string());
    if (command == "CMD_UPDATE") assignments(when["targetList"]);
    std::size_t i = 0;
    for (const auto value : when["values"]) {
      const auto item = target(value);
      out_.stores.push_back({i < columns.size() ? columns[i] : "", item});
      ++i;
    }
  }
  auto outputs = returning(body);
  forget_ctes(ctes);
  return outputs;
}

Analyser::Outputs Analyser::returning(json::Value body) {
  if (!body["returningList"].valid()) return {};
  // PostgreSQL 18 knows both rows by name.
  const std::string target(body["relation"]["relname"].as_string());
  row_alias("old", target);
  row_alias("new", target);
  const auto* before = std::exchange(scope_, nullptr);
  Outputs outputs{targets(body["returningList"])};
  scope_ = before;
  return outputs;
}

void Analyser::row_alias(const char* name, const std::string& relation) {
  Alias alias;
  alias.name = name;
  alias.inside.push_back(relation);
  out_.aliases.push_back(std::move(alias));
}

std::string Analyser::relation_name(json::Value body, bool written) {
  Relation relation{std::string(body["schemaname"].as_string()), std::string(body["relname"].as_string()),
                    std::string(body["alias"]["aliasname"].as_string()), written};
  const auto name = relation.name;
  const bool cte = relation.schema.empty() && !written && cte_count_[name] > 0;
  // That view's rule makes a setting of what is written.
  if (written && name == "pg_settings") setting("?");
  if (!cte) add_relation(std::move(relation));
  return name;
}

void Analyser::relation(json::Value body, bool written) {
  if (!body.valid()) return;
  const auto name = relation_name(body, written);
  if (const auto given = body["alias"]; given.valid()) {
    Alias alias;
    alias.name = given["aliasname"].as_string();
    alias.inside.push_back(name);
    alias.renames = true;
    out_.aliases.push_back(std::move(alias));
  }
}

}  // namespace sallyport::sql
