#pragma once
// One walk over libpg_query's tree. Private to src/sql: statements in analyse_statement.cpp, queries and expressions in
// analyse_query.cpp. What is not known is a statement of class unknown, never left out.
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/json.h"
#include "sql/statement.h"

namespace sallyport::sql {

class Analyser {
 public:
  explicit Analyser(Analysis& out) : out_(out) {}
  void statement(json::Value node);  // { "SelectStmt": { … } }
  bool too_much() const { return names_ > kMaxNames; }

 private:
  using Outputs = std::vector<std::vector<std::uint32_t>>;

  // Statements.
  void result(const Outputs& outputs);
  void explain(json::Value body);
  void copy(json::Value body);
  void set(json::Value body);
  void transaction(json::Value body);
  void drop(json::Value body);
  void create_table_as(json::Value body);
  void define(std::string_view kind, json::Value body);
  static void copy_options(json::Value options, Analysis& out);
  void verb(std::string name, Class weight);
  void setting(std::string_view name);

  // Queries.
  Outputs query(json::Value node);
  Outputs select(json::Value body);
  Outputs insert(json::Value body);
  Outputs update(json::Value body);
  Outputs remove(json::Value body);
  Outputs merge(json::Value body);
  void with(json::Value clause);
  void from(json::Value list, Alias* around);
  void from_item(json::Value node, Alias* around);
  void join(json::Value body, Alias* around);
  void give_alias(json::Value body, Alias alias, Alias* around);
  void range_function(json::Value body, Alias* around);
  void function_columns(json::Value body, Alias& alias, Item& item);
  static void hold(Alias& alias, const Outputs& outputs);
  Outputs returning(json::Value body);
  void row_alias(const char* name, const std::string& relation);
  std::vector<std::uint32_t> targets(json::Value list);
  std::uint32_t target(json::Value node);
  static bool ends_in_star(json::Value value);
  static int figure_name(json::Value node, std::string& name);
  void assignments(json::Value list);
  void condition(json::Value where);

  // Expressions: everything below is read; names go to the items that are open.
  void walk(json::Value node);
  void walk_named(std::string_view kind, json::Value body);
  void column(json::Value body);
  void call(json::Value body);
  void operators(std::string_view kind, json::Value body);
  void name_cte(const std::string& name);
  void forget_ctes(std::size_t beyond);
  void relation(json::Value body, bool written);
  std::string relation_name(json::Value body, bool written);
  static bool mentions_column(json::Value node);
  static bool has_query(json::Value node);

  void once(std::vector<std::string>& list, std::string text);
  void add_relation(Relation relation);

  Analysis& out_;
  std::vector<std::uint32_t> open_;   // items whose expression is being walked
  const Alias* scope_ = nullptr;      // what an unqualified * stands for
  std::vector<std::string> ctes_;     // names that are no relations
  std::unordered_map<std::string, int> cte_count_;
  std::unordered_set<std::string> seen_;
  std::size_t names_ = 0;             // noted in items, all together
  bool changes_rows_ = false;         // an UPDATE or DELETE was seen
  bool defining_ = false;             // in DDL every relation that is not in a query is changed
};

/// The text of { "String": { "sval": … } } or of a bare { "sval": … }.
std::string_view text_of(json::Value node);
/// The last word of a list of strings, and the one before it.
std::pair<std::string, std::string> qualified_name(json::Value list);

}  // namespace sallyport::sql
