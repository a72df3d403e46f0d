#pragma once
// What one SQL text does, as PostgreSQL's own grammar reads it (libpg_query): effects for policy, and where the values of
// its results come from, for masking. Plain data, immutable once made, shared by sessions; any thread.
// A text that the grammar refuses has no Analysis: it is unknown, and unknown is not allowed.
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sallyport::sql {

/// In the order of weight: a text is of the class of its weightiest effect.
enum class Class : std::uint8_t { Read, Session, Write, Ddl, Dcl, Unknown };
const char* to_string(Class value);  // "read", "session", "write", "ddl", "dcl", "unknown"

/// A table, view or other relation as the text names it.
struct Relation {
  std::string schema, name, alias;  // schema and alias may be ""
  bool written = false;
  friend bool operator==(const Relation&, const Relation&) = default;
};

/// One value that a query makes: an element of a target list, of VALUES or of RETURNING.
struct Item {
  std::string name;                                         // what an outer query calls it; "" when the text does not say
  bool star = false;
  bool plain = false;                                       // nothing but the name of a column
  bool of_value = false;                                    // the star of an expression: (row).*, whose columns nobody names
  std::vector<std::string> names;                           // columns or whole rows it reads, unqualified
  std::vector<std::pair<std::string, std::string>> qualified;  // qualifier, column
};

/// A name for the rows of something in FROM or WITH.
struct Alias {
  std::string name;
  std::vector<std::string> columns;   // when they are renamed
  std::vector<std::uint32_t> items;   // what the rows hold, by index into Analysis::items; one branch of a UNION after the other
  std::vector<std::string> inside;    // relations and aliases that it covers
  std::uint32_t width = 0;            // so many items has the first branch, which names the columns
  bool any_column = false;            // a function's rows: their columns may have any name
  bool renames = false;               // nothing but another name for inside[0]
};

/// A value that is kept: by INSERT … SELECT, UPDATE … SET, CREATE TABLE AS.
struct Store {
  std::string column;                 // "" when the text does not say
  std::uint32_t item = 0;
};

struct Analysis {
  // Facts for policy.
  std::vector<std::string> verbs;     // every effect in the order of the text, each once: "select", "delete", "copy_program", …
  std::string verb;                   // of the weightiest effect: the first of verbs, for most texts
  Class weight = Class::Read;
  Class weight_but_calls = Class::Read;  // as if every function of `calls` were harmless
  std::vector<Relation> relations;
  std::vector<std::pair<std::string, std::string>> columns;  // qualifier or "", name; "*" for all
  std::vector<std::string> functions; // each once, as written: "lower", "public.f"
  std::vector<std::string> fields;    // (value).field: a column of a row, or a function of one argument
  std::vector<std::string> settings;  // changed by SET, RESET or set_config
  bool has_where = false;             // every UPDATE and DELETE has a condition on a column; for SELECT: it has a WHERE
  bool has_limit = false;
  bool explains = false;              // EXPLAIN: its rows are a plan, not data
  std::size_t statements = 0;
  bool control = false;               // nothing but transaction control, harmless settings, SHOW and the like
  bool effect_free = false;           // proven: reads tables, calls only harmless functions, takes no row locks
  bool by_text = false;               // the facts depend on literals: no other text of the same shape shares them

  // Names that stand for something said before.
  std::string executes;               // EXECUTE name
  std::string prepares;               // PREPARE name AS …
  std::string fetches;                // FETCH … FROM cursor
  std::string declares;               // DECLARE cursor CURSOR FOR …
  bool begins = false, ends = false;  // transaction control among its statements
  bool defines = false;               // DDL: what is known of tables and columns may be stale afterwards
  bool unsettles = false;             // and what was known before may be wrong: names moved, views, functions, operators made
  bool copies_in = false, copies_out = false;
  std::vector<std::string> copy_columns;  // COPY t (a, b)
  std::string copy_format = "text";   // text, csv, binary
  char copy_delimiter = '\t', copy_quote = '"', copy_escape = '"';
  std::string copy_null = "\\N";
  bool copy_header = false;

  // Lineage.
  std::deque<Item> items;
  std::vector<Alias> aliases;
  std::vector<std::vector<std::uint32_t>> outputs;  // the columns of results, one list a branch of a UNION
  std::size_t results = 0;            // so many statements of the text give rows, all of them in `outputs`
  std::vector<Store> stores;
  std::vector<std::string> calls;     // every function that is not known to be harmless
  std::vector<std::string> operators; // custom ones are functions too

  std::string normalized;             // the text with its literals as $1, $2, …
  std::string shape;                  // short name for people: "select pgbench_accounts"
};
using AnalysisPtr = std::shared_ptr<const Analysis>;

/// Parses and analyses. Costs 20 µs and more: callers keep the result (sql/shapes.h). Long texts run on a thread with a
/// stack of their size, for the parser recurses. Errors: Malformed with the grammar's words and the position
/// (grammar_error.h has them in parts); Denied for what is too long or too deep to be judged.
Result<AnalysisPtr> analyse(const std::string& text);

inline constexpr std::size_t kMaxText = 16u << 20;
inline constexpr std::size_t kMaxNames = 2'000'000;      // of all items together: nested ones count in each that holds them
inline constexpr std::size_t kMaxPairs = 40'000'000;     // relations times columns: they are judged by pairs

/// Functions that are known: whether a call of that name changes nothing and reads nothing but its arguments.
bool is_harmless_function(std::string_view name);
/// Whether it is a built-in one that changes or keeps what it is given, and nothing else: sequences, large objects, NOTIFY.
bool is_writing_function(std::string_view name);
bool is_locking_function(std::string_view name);
bool is_harmless_setting(std::string_view name);

}  // namespace sallyport::sql
