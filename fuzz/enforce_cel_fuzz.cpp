// Any text as an expression: no crash, bounded cost, and a program that was accepted evaluates the same twice.
#include <cstdlib>

#include "enforce/cel_program.h"

using namespace sallyport;
using namespace sallyport::enforce;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto program = cel::Program::compile(text, all_schemas(), true);
  if (!program) {
    if (program.error().empty()) std::abort();  // refused without a reason
    for (const auto& problem : program.error())
      if (problem.offset > size) std::abort();
    return 0;
  }
  static const auto arguments = json::Document::parse(R"({"path":"/etc/passwd","n":3,"tags":["a","b"],"deep":{"x":[1,{"y":"z"}]}})");
  identity::Principal who;
  who.subject = "alice";
  who.groups = {"engineers"};
  target::Target target;
  target.name = "tickets";
  target.labels = {{"env", "prod"}};
  Facts facts;
  facts.schema = &mcp_schema();
  facts.values = {std::string("tools/call"), std::string("read_file"), std::string(), std::string(), arguments->root(), std::string("client")};
  const cel::Inputs inputs{who, target, facts};
  if (program->evaluate_to_text(inputs) != program->evaluate_to_text(inputs)) std::abort();
  return 0;
}
