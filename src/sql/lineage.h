#pragma once
// Where masked columns go: through aliases, expressions, subqueries, WITH, UNION, whole rows and stars. Names decide, and
// where a name could mean a masked column it does: what is shown is known to be clean, not the other way round.
// Pure; a few microseconds; the caller keeps the result with the shape. Any thread.
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "sql/schema.h"
#include "sql/statement.h"

namespace sallyport::sql {

/// The masked columns of one database under one set of rules: table oid -> column number -> index of the rule.
/// Views and child tables are in it.
struct MaskedColumns {
  std::unordered_map<std::uint32_t, std::map<std::int16_t, std::uint32_t>> tables;
  std::set<std::pair<std::uint32_t, std::int16_t>> derived;  // of views: made from a masked column, not the column itself
  /// -1 when it is not masked.
  int rule(std::uint32_t table, std::int16_t column) const {
    const auto at = tables.find(table);
    if (at == tables.end()) return -1;
    const auto found = at->second.find(column);
    return found == at->second.end() ? -1 : static_cast<int>(found->second);
  }
};

/// "schema.table.column", "table.column" or with * for a part.
struct ColumnPattern {
  std::string schema, table, column;
  bool matches(const Table& in, const Column& of) const;
  /// "" when the text is one, else what is wrong.
  static std::string parse(std::string_view text, ColumnPattern& out);
};

/// Every column that a pattern names or whose type is in `types` (of pattern lists i comes rule i), with children and views.
std::shared_ptr<const MaskedColumns> masked_columns(const Schema& schema, const std::vector<std::vector<ColumnPattern>>& patterns,
                                                    const std::vector<std::vector<std::string>>& types);

struct Flow {
  bool touches = false;                // a masked column may be read, be it in a condition
  bool unfollowed = false;             // something is called that may show anything
  std::vector<std::string> why;        // what cannot be followed, or is stored out of reach
  bool stores = false;                 // a masked value would be kept where nobody masks it
  bool positional = true;              // columns[i] is the result's column i
  std::vector<int> columns;            // rule of the masked value, -1 for clean
  std::vector<std::uint32_t> types;    // the type of a masked column that is shown as it is, 0 for anything else
  std::map<std::string, int> names;    // not positional: output names that hold masked values
  int anonymous = -1;                  // not positional: a value without a name is masked
  int any = -1;                        // the rule to use where none is known better

  /// The rule for a column of the result whose origin the server did not say.
  int of(std::size_t position, const std::string& name) const {
    if (positional) return position < columns.size() ? columns[position] : any;
    const auto at = names.find(name);
    return at != names.end() ? at->second : anonymous;
  }
};

Flow follow(const Analysis& analysis, const Schema& schema, const MaskedColumns& masked);

/// The database's own functions that the text calls in column notation: row.f is f(row) where row has no column f.
std::vector<std::string> hidden_calls(const Analysis& analysis, const Schema& schema);

/// A relation that the text names and the catalog does not have; "" when it knows all. Of DDL nothing is asked.
std::string unknown_relation(const Analysis& analysis, const Schema& schema);

/// Relations as policy names them: "schema.table", every schema that has the name when the text names none; the bare name
/// where the catalog has no such table.
std::vector<std::string> table_names(const Analysis& analysis, const Schema* schema, bool read, bool written);
/// "schema.table.column" for every table of the text that has such a column; the bare name otherwise.
std::vector<std::string> column_names(const Analysis& analysis, const Schema* schema);

}  // namespace sallyport::sql
