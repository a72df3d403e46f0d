// Expressions: which columns and functions they name, and what a value is called.
#include <algorithm>

#include "sql/analyser.h"

namespace sallyport::sql {

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
  item.plain = value["ColumnRef"].valid() && !item.star && !target["indirection"].valid();
  item.of_value = item.star && value["A_Indirection"].valid();
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
  operators(kind, body);
  if (kind == "A_Indirection") {
    // (row).field: the field's name, and the row's as a whole.
    for (const auto part : body["indirection"]) {
      const auto field = text_of(part);
      if (field.empty()) continue;
      once(out_.fields, std::string(field));
      names_ += open_.size();
      if (too_much()) return;
      for (const auto open : open_) out_.items[open].names.emplace_back(field);
    }
  }
  walk(body);
}

/// Operators are functions, and some kinds of expression call one that the text does not spell out.
void Analyser::operators(std::string_view kind, json::Value body) {
  if (kind == "A_Expr") {
    once(out_.operators, qualified_name(body["name"]).second);
    if (body["kind"].as_string().find("BETWEEN") != std::string_view::npos)
      for (const auto* name : {"<", ">", "<=", ">="}) once(out_.operators, name);
  } else if (kind == "SubLink" && body["testexpr"].valid()) {
    once(out_.operators, body["operName"].valid() ? qualified_name(body["operName"]).second : "=");
  } else if (kind == "CaseExpr" && body["arg"].valid()) {
    once(out_.operators, "=");
  } else if (kind == "SortBy" && body["useOp"].valid()) {
    once(out_.operators, qualified_name(body["useOp"]).second);
  }
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
  if (seen_.insert("column " + qualifier + '\n' + name).second) out_.columns.emplace_back(qualifier, name);
  // A star alone is the rows of this query's own FROM.
  const bool of_scope = star && qualifier.empty() && scope_ != nullptr && scope_->items.empty() && !scope_->inside.empty();
  names_ += open_.size() * (of_scope ? scope_->inside.size() : 1);
  if (too_much()) return;
  for (const auto open : open_) {
    auto& item = out_.items[open];
    if (of_scope)
      for (const auto& row : scope_->inside) item.qualified.emplace_back(row, "*");
    else if (star) item.qualified.emplace_back(qualifier, "*");
    else if (qualifier.empty()) item.names.push_back(name);
    else item.qualified.emplace_back(qualifier, name);
  }
}

void Analyser::call(json::Value body) {
  const auto [schema, name] = qualified_name(body["funcname"]);
  const bool builtin = schema.empty() || schema == "pg_catalog";
  once(out_.functions, builtin ? name : schema + "." + name);
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
    once(out_.calls, builtin ? name : schema + "." + name);
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

}  // namespace sallyport::sql
