// Any bytes as a schema and a value: judging ends, and what is judged twice is judged alike.
#include <cstdlib>

#include "enforce/json_schema.h"

using namespace sallyport;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto middle = text.find('\0');
  const auto schema = enforce::JsonSchema::compile(text.substr(0, middle));
  const auto value = json::Document::parse(middle == std::string::npos ? "{}" : text.substr(middle + 1));
  if (!schema || !value) return 0;
  const auto once = (*schema)->violation(value->root()), twice = (*schema)->violation(value->root());
  if (once.has_value() != twice.has_value() || (once && (once->path != twice->path || once->keyword != twice->keyword))) std::abort();
  return 0;
}
