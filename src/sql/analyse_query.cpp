// Queries and expressions: which relations, columns and functions they name, and which values their results hold.
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

void add_once(std::vector<std::string>& list, std::string text) {
  if (std::ranges::find(list, text) == list.end()) list.push_back(std::move(text));
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
    relation(into["rel"], true);
  }
  Outputs outputs;
  if (body["larg"].valid()) {
    outputs = select(body["larg"]);
    for (auto& branch : select(body["rarg"])) outputs.push_back(std::move(branch));
  } else {
    from(body["fromClause"], nullptr);
    if (body["targetList"].valid()) outputs.push_back(targets(body["targetList"]));
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
  ctes_.resize(ctes);
  return outputs;
}

void Analyser::with(json::Value clause) {
  // All names first: with RECURSIVE one may use itself, and a name too many only makes a table look like a CTE's alias …
  const bool recursive = clause["recursive"].as_bool();
  for (const auto node : clause["ctes"]) {
    const auto cte = node["CommonTableExpr"];
    const std::string name(cte["ctename"].as_string());
    if (recursive) ctes_.push_back(name);
    const auto outputs = query(cte["ctequery"]);
    if (!recursive) ctes_.push_back(name);
    Alias alias{name, {}, {}, {}};
    for (const auto column : cte["aliascolnames"]) alias.columns.emplace_back(text_of(column));
    for (const auto& branch : outputs) alias.items.insert(alias.items.end(), branch.begin(), branch.end());
    out_.aliases.push_back(std::move(alias));
  }
}

void Analyser::from(json::Value list, std::vector<std::string>* inside) {
  for (const auto node : list) from_item(node, inside);
}

void Analyser::from_item(json::Value node, std::vector<std::string>* inside) {
  if (!node.is_object() || node.size() == 0) return;
  const auto body = *node.begin();
  const auto kind = body.key();
  const auto alias_of = [&](Alias alias) {
    const auto given = body["alias"];
    if (given.valid()) {
      alias.name = given["aliasname"].as_string();
      for (const auto column : given["colnames"]) alias.columns.emplace_back(text_of(column));
    }
    if (inside != nullptr && !alias.name.empty()) inside->push_back(alias.name);
    out_.aliases.push_back(std::move(alias));
  };
  if (kind == "RangeVar") {
    const auto name = relation_name(body, false);
    if (inside != nullptr) inside->push_back(name);
    if (body["alias"].valid()) alias_of({"", {}, {}, {name}});
  } else if (kind == "RangeSubselect") {
    Alias alias;
    for (const auto& branch : query(body["subquery"])) alias.items.insert(alias.items.end(), branch.begin(), branch.end());
    alias_of(std::move(alias));
  } else if (kind == "JoinExpr") {
    Alias alias;
    from_item(body["larg"], &alias.inside);
    from_item(body["rarg"], &alias.inside);
    walk(body["quals"]);
    for (const auto column : body["usingClause"]) out_.columns.emplace_back("", std::string(text_of(column)));
    if (inside != nullptr) inside->insert(inside->end(), alias.inside.begin(), alias.inside.end());
    if (const auto merged = body["join_using_alias"]; merged.valid()) out_.aliases.push_back({std::string(merged["aliasname"].as_string()), {}, {}, alias.inside});
    if (body["alias"].valid()) alias_of(std::move(alias));
  } else if (kind == "RangeFunction" || kind == "RangeTableFunc") {
    range_function(body, inside);
  } else if (kind == "RangeTableSample") {
    from_item(body["relation"], inside);
    walk(body["args"]);
    walk(body["repeatable"]);
  } else {
    verb("unknown", Class::Unknown);
    walk(node);
  }
}

void Analyser::range_function(json::Value body, std::vector<std::string>* inside) {
  // Every column of such rows holds what its arguments hold.
  const auto index = static_cast<std::uint32_t>(out_.items.size());
  out_.items.emplace_back();
  open_.push_back(index);
  for (const auto* part : {"functions", "docexpr", "rowexpr", "namespaces"}) walk(body[part]);
  Alias alias;
  for (const auto column : body["columns"]) {
    alias.columns.emplace_back(column["RangeTableFuncCol"]["colname"].as_string());
    walk(column);
  }
  open_.pop_back();
  for (const auto column : body["coldeflist"]) alias.columns.emplace_back(column["ColumnDef"]["colname"].as_string());
  for (const auto function : body["functions"])
    for (const auto part : function["List"]["items"]) {
      if (const auto called = part["FuncCall"]; called.valid()) {
        const auto name = qualified_name(called["funcname"]).second;
        out_.items[index].name = name;
        alias.name = alias.name.empty() ? name : alias.name;
      }
      for (const auto definition : part["List"]["items"]) alias.columns.emplace_back(definition["ColumnDef"]["colname"].as_string());
    }
  if (const auto given = body["alias"]; given.valid()) {
    alias.name = given["aliasname"].as_string();
    alias.columns.push_back(alias.name);  // a function of one column lends it the alias's name
    for (const auto column : given["colnames"]) alias.columns.emplace_back(text_of(column));
  }
  // Names that built-in functions give the columns of their rows.
  for (const auto* name : {"key", "value", "ordinality", "lexeme", "positions", "weights", "alias", "description", "token", "dictionaries",
                           "dictionary", "lexemes", "tokid", "option_name", "option_value", "word", "ndoc", "nentry", "grantor", "grantee"})
    alias.columns.emplace_back(name);
  alias.items.push_back(index);
  if (inside != nullptr) inside->push_back(alias.name);
  out_.aliases.push_back(std::move(alias));
}

std::vector<std::uint32_t> Analyser::targets(json::Value list) {
  std::vector<std::uint32_t> out;
  for (const auto node : list) out.push_back(target(node));
  return out;
}

std::uint32_t Analyser::target(json::Value node) {
  const auto index = static_cast<std::uint32_t>(out_.items.size());
  out_.items.emplace_back();
  const auto target = node["ResTarget"];
  const auto value = target.valid() ? target["val"] : node;
  auto& item = out_.items[index];
  item.name = target["name"].as_string();
  item.star = ends_in_star(value);
  if (item.name.empty() && !item.star) {
    figure_name(value, item.name);
    if (item.name.empty()) item.name = "?column?";
  }
  open_.push_back(index);
  walk(value);
  walk(target["indirection"]);
  open_.pop_back();
  return index;
}

bool Analyser::ends_in_star(json::Value value) {
  json::Value last;
  for (const auto part : value["ColumnRef"]["fields"]) last = part;
  for (const auto part : value["A_Indirection"]["indirection"]) last = part;
  return last["A_Star"].valid();
}

/// What a result column without AS is called: FigureColnameInternal of PostgreSQL's parse_target.c, with its strengths.
int Analyser::figure_name(json::Value node, std::string& name) {
  if (!node.is_object() || node.size() == 0) return 0;
  const auto body = *node.begin();
  const auto kind = body.key();
  const auto fixed = [&](std::string_view text, int strength) {
    name = text;
    return strength;
  };
  const auto last_word = [&](json::Value list) {
    std::string_view last;
    for (const auto part : list)
      if (const auto text = text_of(part); !text.empty()) last = text;
    return last;
  };
  if (kind == "ColumnRef") return fixed(last_word(body["fields"]), 2);
  if (kind == "A_Indirection") {
    const auto last = last_word(body["indirection"]);
    return last.empty() ? figure_name(body["arg"], name) : fixed(last, 2);
  }
  if (kind == "FuncCall") return fixed(last_word(body["funcname"]), 2);
  if (kind == "A_Expr") return body["kind"].as_string() == "AEXPR_NULLIF" ? fixed("nullif", 2) : 0;
  if (kind == "TypeCast") {
    const int strength = figure_name(body["arg"], name);
    return strength > 1 ? strength : fixed(last_word(body["typeName"]["names"]), 1);
  }
  if (kind == "CollateClause") return figure_name(body["arg"], name);
  if (kind == "CaseExpr") {
    const int strength = figure_name(body["defresult"], name);
    return strength > 1 ? strength : fixed("case", 1);
  }
  if (kind == "SubLink") {
    const auto type = body["subLinkType"].as_string();
    if (type == "EXISTS_SUBLINK") return fixed("exists", 2);
    if (type == "ARRAY_SUBLINK") return fixed("array", 2);
    if (type != "EXPR_SUBLINK") return 0;
    auto query = body["subselect"]["SelectStmt"];
    while (query["larg"].valid()) query = query["larg"];
    for (const auto first : query["targetList"]) {
      if (const auto given = first["ResTarget"]["name"]; given.valid()) return fixed(given.as_string(), 2);
      return figure_name(first["ResTarget"]["val"], name);
    }
    return query["valuesLists"].valid() ? fixed("column1", 2) : 0;
  }
  if (kind == "MinMaxExpr") return fixed(body["op"].as_string() == "IS_GREATEST" ? "greatest" : "least", 2);
  if (kind == "XmlExpr") {
    auto op = std::string(body["op"].as_string());
    std::ranges::transform(op, op.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    return fixed(op.starts_with("is_") ? "xml" + op.substr(op.rfind("xml") == std::string::npos ? 3 : op.rfind("xml") + 3) : op, 2);
  }
  static constexpr std::pair<std::string_view, std::string_view> kFixed[] = {
      {"GroupingFunc", "grouping"}, {"CoalesceExpr", "coalesce"}, {"A_ArrayExpr", "array"}, {"RowExpr", "row"}, {"XmlSerialize", "xmlserialize"}};
  for (const auto& [of, text] : kFixed)
    if (kind == of) return fixed(text, 2);
  return 0;
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
    for (const auto& branch : outputs)
      for (std::size_t i = 0; i < branch.size(); ++i) out_.stores.push_back({i < columns.size() ? columns[i] : "", branch[i]});
  }
  if (const auto conflict = body["onConflictClause"]; conflict.valid()) {
    if (conflict["action"].as_string() == "ONCONFLICT_UPDATE") verb("update", Class::Write);
    assignments(conflict["targetList"]);
    walk(conflict["whereClause"]);
    walk(conflict["infer"]);
  }
  Outputs outputs;
  if (body["returningList"].valid()) outputs.push_back(targets(body["returningList"]));
  ctes_.resize(ctes);
  return outputs;
}

bool Analyser::has_query(json::Value node) {
  if (node.key() == "SelectStmt") return true;
  if (node.is_object() || node.is_array())
    for (const auto child : node)
      if (has_query(child)) return true;
  return false;
}

bool Analyser::mentions_column(json::Value node) {
  if (node.key() == "ColumnRef" || node.key() == "CurrentOfExpr") return true;
  if (node.is_object() || node.is_array())
    for (const auto child : node)
      if (mentions_column(child)) return true;
  return false;
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
  Outputs outputs;
  if (body["returningList"].valid()) outputs.push_back(targets(body["returningList"]));
  ctes_.resize(ctes);
  return outputs;
}

Analyser::Outputs Analyser::remove(json::Value body) {
  const auto ctes = ctes_.size();
  with(body["withClause"]);
  verb("delete", Class::Write);
  relation(body["relation"], true);
  from(body["usingClause"], nullptr);
  condition(body["whereClause"]);
  Outputs outputs;
  if (body["returningList"].valid()) outputs.push_back(targets(body["returningList"]));
  ctes_.resize(ctes);
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
  Outputs outputs;
  if (body["returningList"].valid()) outputs.push_back(targets(body["returningList"]));
  ctes_.resize(ctes);
  return outputs;
}

// ---- expressions ---------------------------------------------------------------------------------------------------

void Analyser::walk(json::Value node) {
  if (node.is_array()) {
    for (const auto child : node) walk(child);
    return;
  }
  if (!node.is_object()) return;
  if (node["relname"].valid() && node["relpersistence"].valid()) return relation(node, true);
  for (const auto child : node) walk_named(child.key(), child);
}

void Analyser::walk_named(std::string_view kind, json::Value body) {
  if (kind == "ColumnRef") return column(body);
  if (kind == "FuncCall") return call(body);
  if (kind == "RangeVar") return relation(body, defining_);
  if (kind == "SelectStmt" || kind == "InsertStmt" || kind == "UpdateStmt" || kind == "DeleteStmt" || kind == "MergeStmt") {
    if (kind == "SelectStmt") select(body);
    else if (kind == "InsertStmt") insert(body);
    else if (kind == "UpdateStmt") update(body);
    else if (kind == "DeleteStmt") remove(body);
    else merge(body);
    return;
  }
  if (kind == "A_Expr") {
    const auto [schema, name] = qualified_name(body["name"]);
    add_once(out_.operators, name);
  }
  if (kind == "A_Indirection") {
    // (row).field: the field's name, and the row's as a whole.
    for (const auto part : body["indirection"])
      if (const auto field = text_of(part); !field.empty())
        for (const auto open : open_) out_.items[open].names.emplace_back(field);
  }
  walk(body);
}

void Analyser::column(json::Value body) {
  std::vector<std::string> words;
  bool star = false;
  for (const auto field : body["fields"]) {
    if (field["A_Star"].valid()) star = true;
    else words.emplace_back(text_of(field));
  }
  const std::string name = star ? "*" : words.empty() ? "" : words.back();
  if (!star && !words.empty()) words.pop_back();
  const std::string qualifier = words.empty() ? "" : words.back();
  out_.columns.emplace_back(qualifier, name);
  for (const auto open : open_) {
    auto& item = out_.items[open];
    if (star) item.qualified.emplace_back(qualifier, "*");
    else if (qualifier.empty()) item.names.push_back(name);
    else item.qualified.emplace_back(qualifier, name);
  }
}

void Analyser::call(json::Value body) {
  const auto [schema, name] = qualified_name(body["funcname"]);
  const bool builtin = schema.empty() || schema == "pg_catalog";
  add_once(out_.functions, builtin ? name : schema + "." + name);
  const bool set_config = builtin && name == "set_config";
  if (set_config) {
    out_.by_text = true;
    json::Value first;
    for (const auto argument : body["args"]) {
      first = argument;
      break;
    }
    const auto constant = first["A_Const"]["sval"]["sval"];
    setting(constant.is_string() ? constant.as_string() : std::string_view("?"));
  } else if (builtin && is_locking_function(name)) {
    verb("advisory_lock", Class::Session);
  } else if (builtin && is_writing_function(name)) {
    verb("function", Class::Write);
    // What it is given is kept where nobody masks it.
    const auto item = static_cast<std::uint32_t>(out_.items.size());
    out_.items.emplace_back();
    out_.stores.push_back({"", item});
    open_.push_back(item);
    walk(body["args"]);
    open_.pop_back();
  } else if (!builtin || !is_harmless_function(name)) {
    add_once(out_.calls, builtin ? name : schema + "." + name);
    for (const auto open : open_) out_.items[open].calls.push_back(name);
  }
  if (builtin && name == "count") {
    // How many there are says nothing of what they are: the names below count as read, not as shown.
    const auto open = std::exchange(open_, {});
    walk(body["args"]);
    walk(body["agg_filter"]);
    open_ = open;
    walk(body["over"]);
    return;
  }
  for (const auto* part : {"args", "agg_order", "agg_filter", "over"}) walk(body[part]);
}

std::string Analyser::relation_name(json::Value body, bool written) {
  Relation relation{std::string(body["schemaname"].as_string()), std::string(body["relname"].as_string()),
                    std::string(body["alias"]["aliasname"].as_string()), written};
  const auto name = relation.name;
  const bool cte = relation.schema.empty() && !written && std::ranges::find(ctes_, name) != ctes_.end();
  if (!cte && std::ranges::find(out_.relations, relation) == out_.relations.end()) out_.relations.push_back(std::move(relation));
  return name;
}

void Analyser::relation(json::Value body, bool written) {
  if (!body.valid()) return;
  const auto name = relation_name(body, written);
  if (const auto alias = body["alias"]; alias.valid()) out_.aliases.push_back({std::string(alias["aliasname"].as_string()), {}, {}, {name}});
}

}  // namespace sallyport::sql
