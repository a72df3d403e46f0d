// The shape lexer and the analyser: a text the lexer takes for plain and the parser accepts has its facts whatever its
// literals are; nothing else than an error comes of the rest.
#include <cstdint>

#include "sql/lineage.h"
#include "sql/shapes.h"

using namespace sallyport::sql;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 2000) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::string shape, again;
  const bool plain = shape_of(text, shape);
  const auto analysis = analyse(text);
  if (analysis) {
    static const Schema kSchema;
    MaskedColumns masked;
    masked.tables[1][1] = 0;
    (void)follow(**analysis, kSchema, masked);
  }
  if (!plain || !analysis || (*analysis)->by_text) return 0;
  // The same shape with other literals.
  std::string other;
  for (const char c : shape) other += c == '\2' ? "7" : c == '\3' ? "'o'" : std::string(1, c);
  if (!shape_of(other, again) || again != shape) return 0;  // neighbours of a literal may make it part of something longer
  const auto second = analyse(other);
  if (!second) return 0;
  const auto &a = **analysis, &b = **second;
  if (a.verbs != b.verbs || a.weight != b.weight || a.relations != b.relations || a.columns != b.columns || a.functions != b.functions || a.calls != b.calls || a.has_where != b.has_where ||
      a.has_limit != b.has_limit || a.items.size() != b.items.size() || a.outputs != b.outputs || a.statements != b.statements)
    __builtin_trap();
  return 0;
}
