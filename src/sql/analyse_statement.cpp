// Statements: their effects by kind, and what they define or refer to.
#include <algorithm>

#include "sql/analyser.h"

#include "base/text.h"

namespace sallyport::sql {
namespace {

/// "AlterTableStmt" -> "alter_table".
std::string snake(std::string_view kind) {
  if (kind.ends_with("Stmt")) kind.remove_suffix(4);
  std::string out;
  for (const char c : kind) {
    if (c >= 'A' && c <= 'Z') {
      if (!out.empty()) out += '_';
      out += static_cast<char>(c | 0x20);
    } else {
      out += c;
    }
  }
  return out;
}

constexpr std::string_view kDcl[] = {
    "GrantStmt", "GrantRoleStmt", "AlterDefaultPrivilegesStmt", "CreateRoleStmt", "AlterRoleStmt", "AlterRoleSetStmt", "DropRoleStmt",
    "ReassignOwnedStmt", "DropOwnedStmt", "AlterOwnerStmt", "CreatePolicyStmt", "AlterPolicyStmt", "AlterSystemStmt", "SecLabelStmt",
    "CreateUserMappingStmt", "AlterUserMappingStmt", "DropUserMappingStmt", "AlterDatabaseSetStmt"};
constexpr std::string_view kUnknown[] = {"DoStmt", "CallStmt", "LoadStmt", "CheckPointStmt", "PlAssignStmt", "ReturnStmt"};
constexpr std::string_view kDdl[] = {
    "AlterCollationStmt", "AlterDatabaseRefreshCollStmt", "AlterDatabaseStmt", "AlterDomainStmt", "AlterEnumStmt", "AlterEventTrigStmt",
    "AlterExtensionContentsStmt", "AlterExtensionStmt", "AlterFdwStmt", "AlterForeignServerStmt", "AlterFunctionStmt", "AlterObjectDependsStmt",
    "AlterObjectSchemaStmt", "AlterOpFamilyStmt", "AlterOperatorStmt", "AlterPublicationStmt", "AlterSeqStmt", "AlterStatsStmt",
    "AlterSubscriptionStmt", "AlterTSConfigurationStmt", "AlterTSDictionaryStmt", "AlterTableMoveAllStmt", "AlterTableSpaceOptionsStmt",
    "AlterTableStmt", "AlterTypeStmt", "ClusterStmt", "CommentStmt", "CompositeTypeStmt", "ConstraintsSetStmt", "CreateAmStmt", "CreateCastStmt",
    "CreateConversionStmt", "CreateDomainStmt", "CreateEnumStmt", "CreateEventTrigStmt", "CreateExtensionStmt", "CreateFdwStmt",
    "CreateForeignServerStmt", "CreateForeignTableStmt", "CreateFunctionStmt", "CreateOpClassStmt", "CreateOpFamilyStmt", "CreatePLangStmt",
    "CreatePublicationStmt", "CreateRangeStmt", "CreateSchemaStmt", "CreateSeqStmt", "CreateStatsStmt", "CreateStmt", "CreateSubscriptionStmt",
    "CreateTableSpaceStmt", "CreateTransformStmt", "CreateTrigStmt", "CreatedbStmt", "DefineStmt", "DropSubscriptionStmt",
    "DropTableSpaceStmt", "DropdbStmt", "ImportForeignSchemaStmt", "IndexStmt", "RefreshMatViewStmt", "ReindexStmt", "RenameStmt",
    "RuleStmt", "VacuumStmt", "ViewStmt"};

bool is_one_of(std::string_view kind, auto& list) { return std::ranges::find(list, kind) != std::end(list); }

json::Value option(json::Value list, std::string_view name) {
  for (const auto node : list)
    if (node["DefElem"]["defname"].as_string() == name) return node["DefElem"];
  return {};
}

bool is_false(json::Value argument) {
  const auto text = ascii_lower(text_of(argument));
  return text == "false" || text == "off" || (argument["Boolean"].valid() && !argument["Boolean"]["boolval"].as_bool()) ||
         (argument["Integer"].valid() && argument["Integer"]["ival"].as_int() == 0);
}

}  // namespace

void Analyser::verb(std::string name, Class weight) {
  if (out_.verb.empty() || weight > out_.weight) out_.verb = name;
  out_.weight = std::max(out_.weight, weight);
  if (std::ranges::find(out_.verbs, name) == out_.verbs.end()) out_.verbs.push_back(std::move(name));
}

void Analyser::setting(std::string_view name) {
  const auto small = ascii_lower(name);
  once(out_.settings, small);
  const bool role = small == "role" || small == "session_authorization";
  if (role) verb("set_" + small, Class::Dcl);
  else verb("set", Class::Session);
}

/// A text of several statements has several results, which nobody tells apart by their columns' places.
void Analyser::result(const Outputs& outputs) {
  if (outputs.empty()) return;
  ++out_.results;
  out_.outputs.insert(out_.outputs.end(), outputs.begin(), outputs.end());
}

void Analyser::statement(json::Value node) {
  if (!node.is_object() || node.size() == 0) return;
  const auto body = *node.begin();
  const auto kind = body.key();
  if (kind == "SelectStmt") {
    const bool alone = out_.statements == 1;
    result(query(node));
    if (alone) {
      if (!changes_rows_) out_.has_where = body["whereClause"].valid();
      const auto limit = body["limitCount"];
      out_.has_limit = limit.valid() && !limit["A_Const"]["isnull"].as_bool();
    }
  } else if (kind == "InsertStmt" || kind == "UpdateStmt" || kind == "DeleteStmt" || kind == "MergeStmt") {
    result(query(node));
  } else if (kind == "ExplainStmt") {
    explain(body);
  } else if (kind == "CopyStmt") {
    copy(body);
  } else if (kind == "VariableSetStmt") {
    set(body);
  } else if (kind == "VariableShowStmt") {
    verb("show", Class::Read);
  } else if (kind == "TransactionStmt") {
    transaction(body);
  } else if (kind == "PrepareStmt") {
    verb("prepare", Class::Read);
    out_.prepares = body["name"].as_string();
    statement(body["query"]);
  } else if (kind == "ExecuteStmt") {
    verb("execute", Class::Read);
    out_.executes = body["name"].as_string();
    walk(body["params"]);
  } else if (kind == "DeclareCursorStmt") {
    verb("declare", Class::Read);
    out_.declares = body["portalname"].as_string();
    statement(body["query"]);
  } else if (kind == "FetchStmt") {
    verb(body["ismove"].as_bool() ? "move" : "fetch", Class::Read);
    out_.fetches = body["portalname"].as_string();
  } else if (kind == "DeallocateStmt" || kind == "ClosePortalStmt" || kind == "DiscardStmt" || kind == "UnlistenStmt" || kind == "ListenStmt") {
    verb(kind == "ClosePortalStmt" ? "close" : snake(kind), Class::Session);
  } else if (kind == "NotifyStmt") {
    verb("notify", Class::Write);
  } else if (kind == "LockStmt" || kind == "TruncateStmt") {
    defining_ = true;
    verb(snake(kind), Class::Write);
    walk(body);
    defining_ = false;
  } else if (kind == "CreateTableAsStmt") {
    create_table_as(body);
  } else if (kind == "DropStmt") {
    drop(body);
  } else {
    define(kind, body);
  }
}

void Analyser::explain(json::Value body) {
  const auto analyze = option(body["options"], "analyze");
  const bool runs = analyze.valid() && !is_false(analyze["arg"]);
  out_.explains = true;
  // Its rows are a plan, whatever it runs.
  auto outputs = out_.outputs;
  const auto results = out_.results;
  if (runs) {
    verb("explain_analyze", Class::Read);
    statement(body["query"]);
  } else {
    // The statement is planned, not run: its effects do not happen, what it names is read by the planner.
    Analysis inner;
    inner.statements = out_.statements;
    Analyser walker(inner);
    walker.statement(body["query"]);
    verb("explain", inner.weight == Class::Unknown ? Class::Unknown : Class::Read);
    for (auto& relation : inner.relations) {
      relation.written = false;
      add_relation(std::move(relation));
    }
    out_.columns.insert(out_.columns.end(), inner.columns.begin(), inner.columns.end());
    for (auto& name : inner.functions) once(out_.functions, std::move(name));
    for (auto& name : inner.calls) once(out_.calls, std::move(name));
    out_.executes = inner.executes;
    out_.has_where = inner.has_where;
    out_.has_limit = inner.has_limit;
  }
  out_.outputs = std::move(outputs);
  out_.results = results;
}

void Analyser::copy(json::Value body) {
  const bool in = body["is_from"].as_bool();
  const bool program = body["is_program"].as_bool(), file = body["filename"].valid();
  verb(in ? "copy_from" : "copy_to", in ? Class::Write : Class::Read);
  if (program) verb("copy_program", Class::Unknown);
  else if (file) verb("copy_file", Class::Unknown);
  out_.copies_in = in && !file;
  out_.copies_out = !in && !file;
  for (const auto column : body["attlist"]) {
    out_.copy_columns.emplace_back(text_of(column));
    out_.columns.emplace_back("", std::string(text_of(column)));
  }
  if (const auto relation_node = body["relation"]; relation_node.valid()) {
    relation(relation_node, in);
    if (out_.copy_columns.empty()) out_.columns.emplace_back("", "*");
  }
  if (body["query"].valid()) result(query(body["query"]));
  walk(body["whereClause"]);
  copy_options(body["options"], out_);
}

void Analyser::copy_options(json::Value options, Analysis& out) {
  for (const auto node : options) {
    const auto element = node["DefElem"];
    const auto name = element["defname"].as_string();
    const auto text = text_of(element["arg"]);
    if (name == "format") out.copy_format = ascii_lower(text);
    else if (name == "delimiter" && text.size() == 1) out.copy_delimiter = text[0];
    else if (name == "quote" && text.size() == 1) out.copy_quote = text[0];
    else if (name == "escape" && text.size() == 1) out.copy_escape = text[0];
    else if (name == "null") out.copy_null = text;
    else if (name == "header") out.copy_header = !is_false(element["arg"]);
  }
  const bool csv = out.copy_format == "csv";
  if (csv && !option(options, "delimiter").valid()) out.copy_delimiter = ',';
  if (csv && !option(options, "null").valid()) out.copy_null.clear();
  if (csv && !option(options, "escape").valid()) out.copy_escape = out.copy_quote;
}

void Analyser::set(json::Value body) {
  const auto kind = body["kind"].as_string();
  if (kind == "VAR_RESET_ALL") return verb("reset_all", Class::Session);
  if (kind == "VAR_SET_MULTI") {
    // SET TRANSACTION …, SET SESSION CHARACTERISTICS …: isolation, access mode, or the snapshot of another session.
    const auto name = body["name"].as_string();
    return setting(name == "TRANSACTION SNAPSHOT" ? "transaction_snapshot" : "transaction_isolation");
  }
  setting(body["name"].as_string());
  walk(body["args"]);
}

void Analyser::transaction(json::Value body) {
  auto kind = ascii_lower(body["kind"].as_string());
  if (kind.starts_with("trans_stmt_")) kind.erase(0, 11);
  const bool prepared = kind.ends_with("prepare") || kind.ends_with("prepared");
  if (kind == "prepare") kind = "prepare_transaction";
  verb(kind, prepared ? Class::Write : Class::Session);
  out_.begins |= kind == "begin" || kind == "start" || body["chain"].as_bool();
  out_.ends |= kind == "commit" || kind == "rollback" || kind == "prepare_transaction";
}

void Analyser::drop(json::Value body) {
  auto type = ascii_lower(body["removeType"].as_string());
  if (type.starts_with("object_")) type.erase(0, 7);
  verb("drop_" + type, Class::Ddl);
  out_.defines = true;
  static constexpr std::string_view kRelations[] = {"table", "view", "matview", "index", "sequence", "foreign_table"};
  const bool relations = is_one_of(type, kRelations);
  // A trigger, rule or policy is named by its table and its own name.
  const bool of_table = type == "trigger" || type == "rule" || type == "policy";
  for (const auto object : body["objects"]) {
    const auto list = object["List"]["items"];
    if (!relations && !of_table) continue;
    std::vector<std::string> words;
    for (const auto word : list) words.emplace_back(text_of(word));
    if (of_table && !words.empty()) words.pop_back();
    if (words.empty()) continue;
    add_relation({words.size() > 1 ? words[words.size() - 2] : "", words.back(), "", true});
  }
}

void Analyser::create_table_as(json::Value body) {
  const bool view = body["objtype"].as_string() == "OBJECT_MATVIEW";
  verb(view ? "create_materialized_view" : "create_table_as", Class::Ddl);
  out_.defines = true;
  relation(body["into"]["rel"], true);
  if (const auto execute = body["query"]["ExecuteStmt"]; execute.valid()) {
    statement(body["query"]);
    return;
  }
  for (const auto& branch : query(body["query"]))
    for (const auto item : branch) out_.stores.push_back({"", item});
}

void Analyser::define(std::string_view kind, json::Value body) {
  auto name = snake(kind);
  if (kind == "CreateStmt") name = "create_table";
  else if (kind == "IndexStmt") name = "create_index";
  else if (kind == "ViewStmt") name = "create_view";
  else if (kind == "RuleStmt") name = "create_rule";
  else if (kind == "CreateTrigStmt") name = "create_trigger";
  else if (kind == "DefineStmt") name = "create_" + ascii_lower(body["kind"].as_string()).substr(std::min<std::size_t>(7, body["kind"].as_string().size()));
  else if (kind == "RenameStmt" || kind == "AlterTableStmt" || kind == "AlterOwnerStmt" || kind == "AlterObjectSchemaStmt") name = snake(kind);
  else if (kind == "GrantStmt" && !body["is_grant"].as_bool()) name = "revoke";
  else if (kind == "GrantRoleStmt" && !body["is_grant"].as_bool()) name = "revoke_role";
  const Class weight = is_one_of(kind, kDcl)       ? Class::Dcl
                       : is_one_of(kind, kUnknown) ? Class::Unknown
                       : is_one_of(kind, kDdl)     ? Class::Ddl
                                                   : Class::Unknown;
  if (kind == "ConstraintsSetStmt") verb("set_constraints", Class::Session);
  else verb(name, weight);
  out_.defines |= weight != Class::Unknown || kind == "DoStmt" || kind == "CallStmt";
  // A new table is nobody's but for what it inherits; these change no name of what there is.
  static constexpr std::string_view kSettled[] = {"IndexStmt", "CommentStmt", "VacuumStmt", "ReindexStmt", "ClusterStmt", "CreateSeqStmt", "AlterSeqStmt", "CreateSchemaStmt", "GrantStmt", "ConstraintsSetStmt"};
  const bool new_table = kind == "CreateStmt" && !body["inhRelations"].valid() && !body["partbound"].valid() && !body["ofTypename"].valid();
  out_.unsettles |= out_.defines && !new_table && !is_one_of(kind, kSettled);
  // What a rule, a view or a function would do later is not done now, but what is named is named.
  const auto before = defining_;
  defining_ = true;
  walk(body);
  defining_ = before;
}

}  // namespace sallyport::sql
