#include "sql/grammar_error.h"

#include <pg_query.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "sql/statement.h"

namespace sallyport::sql {
namespace {

// libpg_query keeps neither SQLSTATE nor HINT. These are of PostgreSQL's scan.l, parser.c and gram.y; all else is a plain
// syntax error, 42601.
struct Known {
  std::string_view routine, message, sqlstate, hint;  // message: how it begins or ends; "" for any
};
constexpr Known kKnown[] = {
    {"core_yylex", "invalid Unicode escape", "22025", R"(Unicode escapes must be \uXXXX or \UXXXXXXXX.)"},
    {"str_udeescape", "invalid Unicode escape", "42601", R"(Unicode escapes must be \XXXX or \+XXXXXX.)"},
    {"", "subquery in FROM must have an alias", "42601", "For example, FROM (SELECT ...) [AS] foo."},
    {"", "VALUES in FROM must have an alias", "42601", "For example, FROM (VALUES ...) [AS] foo."},
    {"", "LIMIT #,# syntax is not supported", "42601", "Use separate LIMIT and OFFSET clauses."},
    {"", "UNENCRYPTED PASSWORD is no longer supported", "0A000", "Remove UNENCRYPTED to store the password in encrypted form instead."},
    {"processCASbits", "", "0A000", ""},
    {"", "is not yet implemented", "0A000", ""},
    {"", "not yet implemented", "0A000", ""},
    {"", "aggregates cannot have output arguments", "0A000", ""},
    {"", "precision for type float must be at least 1 bit", "22023", ""},
    {"", "precision for type float must be less than 54 bits", "22023", ""},
    {"", "current database cannot be changed", "0A000", ""},
    {"", "WITH CHECK OPTION not supported on recursive views", "0A000", ""},
    {"", "unsafe use of \\' in a string literal", "22P06", "Use '' to write quotes in strings. \\' is insecure in client-only encodings."},
};

}  // namespace

std::optional<GrammarError> grammar_error(const std::string& text) {
  // Longer ones need a stack of their own to be parsed (analyse.cpp), and nobody reads a position in them.
  if (text.size() > (8u << 10) || text.find('\0') != std::string::npos) return std::nullopt;
  auto parsed = pg_query_parse(text.c_str());
  const std::unique_ptr<PgQueryParseResult, void (*)(PgQueryParseResult*)> free_parsed(&parsed, [](PgQueryParseResult* p) { pg_query_free_parse_result(*p); });
  const auto* error = parsed.error;
  if (error == nullptr) return std::nullopt;
  const auto text_or = [](const char* value) { return std::string(value == nullptr ? "" : value); };
  GrammarError out{"42601", text_or(error->message), "", error->cursorpos, text_or(error->filename), text_or(error->funcname)};
  if (const auto at = out.file.rfind("_parser_"); at != std::string::npos) out.file.erase(0, at + 8);
  for (const auto& known : kKnown)
    if ((known.routine.empty() || known.routine == out.routine) && (out.message.starts_with(known.message) || out.message.ends_with(known.message))) {
      out.sqlstate = known.sqlstate;
      out.hint = known.hint;
      break;
    }
  return out;
}

}  // namespace sallyport::sql
