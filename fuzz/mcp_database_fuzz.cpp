// Any bytes as the params of a database tool's call, and as what a database answers: the record has no literal of the statement, the
// statement explain makes begins with its own words, and the answer is JSON.
#include <cstdlib>

#include "protocol/mcp/database_tools.h"

using namespace sallyport;
using namespace sallyport::protocol;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto params = json::Document::parse(text);
  if (!params || !params->root().is_object()) return 0;
  const target::DatabaseTools offered{"shop", "", {"query", "explain", "describe"}, false, 100, 1u << 20};
  const auto recorded = mcp::database_record(params->root());
  if (recorded)
    for (const auto one : recorded->root()["arguments"]["params"])
      if (one.as_string() != "***") std::abort();
  const auto call = mcp::database_call(params->root(), offered);
  if (!call) return 0;
  if (params->root()["name"].as_string() == "explain" && !call->text.starts_with("EXPLAIN (FORMAT JSON")) std::abort();
  // What came in as what goes out: every type, with the values of the call.
  DatabaseAnswer answer;
  for (const auto& value : call->parameters) {
    for (const auto* type : {"int4", "bool", "float8", "jsonb", "text"}) answer.columns.push_back({value.value_or("?"), type});
    if (answer.rows.empty()) answer.rows.emplace_back();
    for (int i = 0; i < 5; ++i) answer.rows[0].push_back(value);
  }
  const auto result = json::Document::parse(mcp::database_result("query", answer));
  if (!result || result->root()["structuredContent"]["rows"].size() != answer.rows.size()) std::abort();
  answer.refused = DatabaseAnswer::Refusal{"42601", call->text, "", call->text};
  if (!json::Document::parse(mcp::database_result("query", answer))) std::abort();
  return 0;
}
