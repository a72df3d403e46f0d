#pragma once
// The recorded payloads of PostgreSQL sessions (docs/formats/recording-postgres.md) for people: a statement as SQL, its
// results as tables. Pure; what the record holds is hostile and is only ever printed as text.
#include <string>
#include <string_view>

namespace sallyport::cli {

/// {"sql": …, "parameters": […]} as a person writes it; the text itself when it is something else.
std::string statement_text(std::string_view payload);

/// Backend messages as tables, at most `rows` rows each (0: all).
std::string result_tables(std::string_view messages, std::size_t rows);

}  // namespace sallyport::cli
