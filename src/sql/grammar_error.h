#pragma once
// What PostgreSQL would say of a text that its grammar refuses: the text does not reach the server, and the client is to hear
// the same. Any thread; parses the text again, for errors are rare.
#include <optional>
#include <string>

namespace sallyport::sql {

struct GrammarError {
  std::string sqlstate, message, hint;
  int position = 0;                 // in characters from 1; 0: the server tells none
  std::string file, routine;        // of the server's source
};

/// nullopt when the grammar takes the text, or it is longer than analyse() takes.
std::optional<GrammarError> grammar_error(const std::string& text);

}  // namespace sallyport::sql
