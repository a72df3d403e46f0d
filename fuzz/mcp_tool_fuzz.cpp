// Any bytes as a tool's definition: what is pinned of it is one form, differences are readable, findings are few.
#include <cstdlib>

#include "base/text.h"
#include "protocol/mcp/tool_findings.h"
#include "protocol/mcp/tool_text.h"

using namespace sallyport;
using namespace sallyport::protocol::mcp;

namespace {
void must_be_readable(std::string_view text) {
  while (!text.empty()) {
    const auto c = take_code_point(text);
    if (c == '\n' || !hidden_kind(c).empty()) std::abort();
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  // Two definitions with a NUL between them.
  const auto middle = text.find('\0');
  const auto first = json::Document::parse(text.substr(0, middle));
  const auto second = middle == std::string::npos ? json::Document::parse("{}") : json::Document::parse(text.substr(middle + 1));
  if (!first || !second || !first->root().is_object() || !second->root().is_object()) return 0;
  const auto a = pinned_definition(first->root()), b = pinned_definition(second->root());
  const auto again = json::Document::parse(a);
  if (!again || pinned_definition(again->root()) != a) std::abort();
  if (!differences(a, a).empty() || differences(a, b).empty() != (a == b)) std::abort();
  for (const auto& difference : differences(a, b)) {
    must_be_readable(difference.place);
    for (const auto& line : difference.lines) must_be_readable(line);
  }
  const auto found = findings(first->root(), std::vector<std::string>{"read_file", std::string(second->root()["name"].as_string())});
  if (found.size() > 32) std::abort();
  for (const auto& one : found) must_be_readable(one.shown), must_be_readable(one.place);
  (void)enforce::renamed(likeness_of(a), likeness_of(b));
  return 0;
}
