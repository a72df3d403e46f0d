#pragma once
// How the tables of CEL cases are judged: an expression and its value as text, "error" for a failing evaluation, or
// kRefused for what the checker must not accept.
#include <gtest/gtest.h>

#include <string>

#include "enforce/cel_program.h"

namespace sallyport::enforce::cel {

struct Case {
  const char* expression;
  const char* expected;
};
inline constexpr const char* kRefused = "<refused>";

/// A command with the facts of MCP: a call of the tool read_file with some arguments.
struct World {
  identity::Principal who;
  target::Target target;
  json::Document args;
  Facts facts;

  explicit World(std::string args_text = R"({"path": "/etc/passwd", "n": 3, "ratio": 0.5, "ok": true, "none": null,
                                             "tags": ["a", "b"], "deep": {"x": [1, {"y": "z"}]}})") {
    who.subject = "alice";
    who.email = "alice@corp.example";
    who.issuer = "local";
    who.groups = {"engineers", "oncall"};
    target.name = "tickets";
    target.labels = {{"data", "pii"}, {"env", "prod"}};
    auto parsed = json::Document::parse(std::move(args_text));
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().what);
    if (parsed) args = std::move(*parsed);
    facts.schema = &mcp_schema();
    facts.values = {std::string("tools/call"), std::string("read_file"), std::string(), std::string(), args.root(),
                    std::string("client")};
  }
  Inputs inputs() const { return {who, target, facts}; }
};

/// The value of the expression as text, "error: …", or "<refused>: …" with the problems at load.
inline std::string value_of(const World& world, std::string_view expression) {
  auto program = Program::compile(expression, all_schemas(), true);
  if (program) return program->evaluate_to_text(world.inputs());
  std::string out = kRefused;
  for (const auto& problem : program.error()) out += ": " + std::to_string(problem.offset) + " " + problem.message;
  return out;
}

template <std::size_t N>
void expect_cases(const Case (&cases)[N]) {
  const World world;
  for (const auto& [expression, expected] : cases) {
    const auto value = value_of(world, expression);
    if (std::string_view(expected) == "error" || std::string_view(expected) == kRefused) {
      EXPECT_TRUE(value.starts_with(expected)) << expression << "\n  is " << value;
    } else {
      EXPECT_EQ(value, expected) << expression;
    }
  }
}

}  // namespace sallyport::enforce::cel
