#pragma once
// What a database's catalog says, as far as judging and masking need it: relations with their columns, views, children,
// and what is not built in. A snapshot: plain data, immutable, shared by the sessions of one target; any thread.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace sallyport::sql {

struct Column {
  std::string name;
  std::int16_t number = 0;
  std::uint32_t type = 0;  // oid
  bool generated = false;  // left out by COPY without a column list
};

struct Table {
  std::uint32_t oid = 0;
  std::string schema, name;
  char kind = 'r';                      // pg_class.relkind
  std::vector<Column> columns;
  std::vector<std::uint32_t> parents;   // by inheritance or partitioning
  std::string definition;               // of a view: its query

  std::string full_name() const { return schema + "." + name; }
};

struct Type {
  std::string name;
  char category = 'X';                  // pg_type.typcategory: S for strings
  char kind = 'b';                      // pg_type.typtype
  std::uint32_t element = 0, base = 0;
};

struct Schema {
  std::vector<Table> tables;
  std::unordered_map<std::uint32_t, std::size_t> by_oid;
  std::unordered_multimap<std::string, std::size_t> by_name;
  std::unordered_map<std::uint32_t, Type> types;
  std::unordered_map<std::uint32_t, std::string> functions;      // oid -> name, of all: for FunctionCall
  std::unordered_set<std::string> own_functions;                 // names that are not built in (or of a known extension)
  std::unordered_set<std::string> known_functions;               // not built in, and known to change and show nothing but their arguments
  std::unordered_set<std::string> own_operators;

  /// Whether every function of that name, as a text calls it ("f", "schema.f"), is known to be harmless.
  bool is_known(std::string_view call) const {
    const std::string bare(call.substr(call.rfind('.') + 1));
    return known_functions.contains(bare) && !own_functions.contains(bare);
  }

  const Table* find(std::uint32_t oid) const {
    const auto at = by_oid.find(oid);
    return at == by_oid.end() ? nullptr : &tables[at->second];
  }
  /// Calls visit(table) for each table the name may mean: all schemas when none is named.
  template <class Visit>
  void each(const std::string& schema, const std::string& name, const Visit& visit) const {
    const auto [from, to] = by_name.equal_range(name);
    for (auto at = from; at != to; ++at)
      if (const auto& table = tables[at->second]; schema.empty() || table.schema == schema || (schema == "pg_temp" && table.schema.starts_with("pg_temp_"))) visit(table);
  }
};
using SchemaPtr = std::shared_ptr<const Schema>;

}  // namespace sallyport::sql
