#pragma once
// What a target says of a tool (or prompt, or resource template), as it is pinned and as people compare it. Codec: pure, no socket.
// The definition is every member but `_meta`, of which what MCP Apps put there counts, in canonical form (base/json.h): two texts that
// mean the same are one definition. Differences are shown with everything that a terminal or an eye would not show written out.
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "enforce/tool_pin.h"

namespace sallyport::protocol::mcp {

/// Its SHA-256 is what is pinned.
std::string pinned_definition(const json::Value& element);

/// One member of a definition that differs.
struct Difference {
  std::string place;                // JSON Pointer
  std::vector<std::string> lines;   // "- before", "+ after", "  same", each with what is invisible written out
};
/// Field by field, texts line by line. An empty definition stands for "was not there".
std::vector<Difference> differences(const std::string& before, const std::string& after);

/// By what a definition is known again under another name: its body, and three words in a row of what it says.
enforce::Likeness likeness_of(const std::string& definition);

/// Control, invisible and direction-changing characters as \u{200B}; `letters`: everything that is not ASCII as well, as in names.
std::string written_out(std::string_view text, bool letters = false);

/// Why a character does not show what it is; "" for one that does.
std::string_view hidden_kind(char32_t c);

}  // namespace sallyport::protocol::mcp
