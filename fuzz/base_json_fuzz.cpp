// The strict parser against simdjson's own DOM parser, and against itself: what it reads it can write and read again.
#include <simdjson.h>

#include <cstdlib>

#include "base/json.h"

namespace {

using namespace sallyport;

void demand(bool truth) {
  if (!truth) std::abort();
}

void walk(const json::Value& value, std::string_view text, bool& big_integer) {
  big_integer |= value.kind() == json::Kind::Double && value.raw().find_first_of(".eE") == std::string_view::npos;
  demand(text.substr(value.offset(), value.raw().size()) == value.raw());
  if (value.is_string()) {
    const auto again = json::Document::parse(json::quote(value.as_string()));
    demand(again && again->root().as_string() == value.as_string());
  }
  std::size_t count = 0, last = value.offset();
  for (const auto child : value) {
    demand(child.offset() > last && child.offset() + child.raw().size() < value.offset() + value.raw().size());
    if (value.is_object()) demand(value[child.key()] == child);
    last = child.offset();
    ++count;
    walk(child, text, big_integer);
  }
  demand(count == value.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto document = json::Document::parse(text, {.max_bytes = 1 << 20, .max_depth = 64, .max_nodes = 10'000});
  simdjson::dom::parser reference;
  const auto error = reference.parse(simdjson::padded_string(text)).error();
  if (!document) {
    // We are stricter in these things alone.
    const std::string& what = document.error().what;
    const auto says = [&](const char* word) { return what.find(word) != std::string::npos; };
    demand(error || says("duplicate") || says("surrogate") || says("too ") || says("limit"));
    return 0;
  }
  bool big_integer = false;
  walk(document->root(), text, big_integer);
  // simdjson refuses integers that fit no 64 bits; we read them as doubles.
  demand(!error || big_integer);
  json::has_case_variant_keys(document->root());
  const std::string once = json::canonical(document->root());
  const auto again = json::Document::parse(once);
  demand(again && json::canonical(again->root()) == once);
  return 0;
}
