// What rules decide together, and what a list may show.
#include "enforce/policy.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "enforce/action.h"

namespace sallyport::enforce {
namespace {

target::Catalog catalog() {
  target::Catalog out;
  out.targets["tickets"] = target::Target{"tickets", {{"env", "prod"}, {"data", "pii"}}, target::McpTarget{}};
  out.targets["lab"] = target::Target{"lab", {{"env", "dev"}}, target::McpTarget{}};
  return out;
}

PolicyPtr load(const std::string& text, std::string* problems = nullptr) {
  static const target::Catalog kCatalog = catalog();
  yaml::Diagnostics diagnostics("p.yaml", text);
  const auto root = yaml::parse(diagnostics);
  auto policy = Policy::load(root.find("policy"), root.find("tests"), text, kCatalog, diagnostics);
  if (problems != nullptr) *problems = diagnostics.print();
  else EXPECT_TRUE(policy) << diagnostics.print();
  return policy;
}

identity::Principal alice(std::vector<std::string> groups = {"engineers"}, std::string agent = "") {
  identity::Principal who;
  who.subject = "alice";
  who.issuer = "local";
  std::ranges::sort(groups);
  who.groups = std::move(groups);
  who.agent = std::move(agent);
  return who;
}

Decision decide(const PolicyPtr& policy, const std::string& tool, const std::string& target = "tickets", const identity::Principal& who = alice(),
                const std::string& arguments = "{}") {
  static const target::Catalog kCatalog = catalog();
  const auto document = json::Document::parse(arguments);
  return policy->decide(who, *kCatalog.find(target), facts_of(ToolCall{tool, document->root()}));
}

// The example of docs/configuration.md and deploy/.
constexpr const char* kExample = R"(policy:
  - { id: engineers, allow: { who: group:engineers, target: { env: prod } } }
  - { id: no-shell, block: { target: { env: prod }, when: 'mcp.tool == "run_command"' }, message: "Shell tools are off." }
  - { id: writes, approve: { target: { env: prod }, when: 'mcp.tool.startsWith("write_")', by: group:leads, quorum: 1, hold: 50s, valid: 30m } }
  - { id: pii, mask: { target: { data: pii }, detect: [email, pan, iban], fields: ["$.customer.phone"], with: partial } }
tests:
  - { as: { user: alice, groups: [engineers] }, target: tickets, mcp: { tool: run_command }, expect: block, rule: no-shell }
)";

TEST(Policy, TheExampleDecidesAsItReads) {
  const auto policy = load(kExample);
  EXPECT_EQ(decide(policy, "read").effect, Effect::Allow);
  EXPECT_EQ(decide(policy, "run_command").effect, Effect::Block);
  EXPECT_EQ(decide(policy, "run_command").message, "Shell tools are off.");
  const auto held = decide(policy, "write_x");
  EXPECT_EQ(held.effect, Effect::Approve);
  ASSERT_EQ(held.approvals.size(), 1u);
  EXPECT_EQ(held.approvals[0].second.steps, (ApprovalSteps{{{"leads", 1}}}));
  EXPECT_EQ(held.approvals[0].second.hold_ns, 50'000'000'000);
  EXPECT_EQ(held.approvals[0].second.valid_ns, 1'800'000'000'000);
  ASSERT_EQ(policy->test_results().size(), 1u);
  EXPECT_TRUE(policy->test_results()[0].passed);
}

TEST(Policy, WhatNoRuleAllowsIsDenied) {
  const auto policy = load(kExample);
  const auto nothing = decide(policy, "read", "lab");
  EXPECT_EQ(nothing.effect, Effect::Block);
  EXPECT_TRUE(nothing.rules.empty());
  EXPECT_EQ(decide(policy, "read", "tickets", alice({"guests"})).effect, Effect::Block);
  EXPECT_EQ(decide(load("policy: []\n"), "read").effect, Effect::Block);
}

TEST(Policy, BlockBeatsApproveBeatsAllowInAnyOrder) {
  std::vector<std::string> rules = {"  - { id: a, allow: { } }\n", "  - { id: b, approve: { by: group:leads } }\n", "  - { id: c, block: { when: 'mcp.tool == \"x\"' } }\n"};
  std::ranges::sort(rules);
  do {
    const auto policy = load("policy:\n" + rules[0] + rules[1] + rules[2]);
    EXPECT_EQ(decide(policy, "x").effect, Effect::Block);
    EXPECT_EQ(decide(policy, "x").rules, std::vector<std::string>{"c"});
    EXPECT_EQ(decide(policy, "y").effect, Effect::Approve);
  } while (std::ranges::next_permutation(rules).found);
}

TEST(Policy, MasksAreAUnionWhateverTheEffect) {
  const auto policy = load("policy:\n  - { id: m1, mask: { detect: [email] } }\n  - { id: m2, mask: { when: 'mcp.tool == \"x\"', detect: [pan] } }\n  - { id: a, allow: { when: 'mcp.tool == \"x\"' } }\n");
  EXPECT_EQ(decide(policy, "x").masks.size(), 2u);
  EXPECT_EQ(decide(policy, "y").effect, Effect::Block);
  EXPECT_EQ(decide(policy, "y").masks.size(), 1u);
}

TEST(Policy, AnExpressionThatCannotBeEvaluatedBlocks) {
  const auto policy = load("policy:\n  - { id: all, allow: { } }\n  - { id: path, allow: { when: 'mcp.args.path.startsWith(\"/tmp\")' } }\n");
  EXPECT_EQ(decide(policy, "x", "tickets", alice(), R"({"path":"/tmp/a"})").effect, Effect::Allow);
  EXPECT_EQ(decide(policy, "x", "tickets", alice(), R"({"path":5})").effect, Effect::Block);
  EXPECT_EQ(decide(policy, "x", "tickets", alice(), "{}").effect, Effect::Block);
}

TEST(Policy, AgentsAreSelectedByName) {
  const auto policy = load("policy:\n  - { id: bot, allow: { who: \"agent:bot\" } }\n  - { id: people, block: { who: \"agent:*\", when: 'mcp.tool == \"x\"' } }\n");
  EXPECT_EQ(decide(policy, "y", "tickets", alice({}, "bot")).effect, Effect::Allow);
  EXPECT_EQ(decide(policy, "y", "tickets", alice({}, "other")).effect, Effect::Block);
  EXPECT_EQ(decide(policy, "x", "tickets", alice({}, "bot")).effect, Effect::Block);
  EXPECT_EQ(decide(policy, "y").effect, Effect::Block);
}

TEST(Policy, AListShowsWhatSomeArgumentsCouldLetPass) {
  static const target::Catalog kCatalog = catalog();
  const auto policy = load("policy:\n  - { id: a, allow: { when: 'mcp.tool != \"hidden\"' } }\n  - { id: b, block: { when: 'mcp.tool == \"shell\"' } }\n"
                           "  - { id: c, block: { when: 'mcp.tool == \"sum\" && mcp.args.n > 5' } }\n");
  const auto visible = [&](const std::string& tool) {
    Facts facts = facts_of(ToolCall{tool, {}});
    for (std::size_t i = 0; i < facts.values.size(); ++i)
      if (facts.schema->fields[i].name == "mcp.args") facts.values[i] = Unknown{};
    return policy->may_be_visible(alice(), *kCatalog.find("tickets"), facts);
  };
  EXPECT_TRUE(visible("read"));
  EXPECT_TRUE(visible("sum")) << "some sums are small";
  EXPECT_FALSE(visible("shell"));
  EXPECT_FALSE(visible("hidden"));
}

TEST(Policy, MistakesAreNamedAtTheirPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {"policy:\n  - { id: a, allow: { when: 'mcp.tool == 5' } }\n", "p.yaml:2:"},
      {"policy:\n  - { id: a, allow: { whoo: anyone } }\n", "did you mean"},
      {"policy:\n  - { id: a, allow: { } }\n  - { id: a, block: { } }\n", "p.yaml:3:"},
      {"policy:\n  - { id: a, allow: { }, block: { } }\n", "exactly one"},
      {"policy:\n  - { id: a, approve: { } }\n", "by"},
      {"policy:\n  - { id: a, mask: { detect: [emial] } }\n", "email"},
      {"policy:\n  - { id: a, allow: { target: nowhere } }\n", "nowhere"},
      {"policy:\n  - { id: a, approve: { by: group:x, hold: 5m, valid: 1m } }\n", "shorter"},
      {"policy:\n  - { id: a, allow: { } }\ntests:\n  - { as: { user: u, groups: [] }, target: tickets, mcp: { tool: x }, expect: block }\n", "p.yaml:4:"},
  };
  for (const auto& [text, part] : cases) {
    std::string problems;
    EXPECT_FALSE(load(text, &problems)) << text;
    EXPECT_NE(problems.find(part), std::string::npos) << text << "\n" << problems;
  }
}

TEST(Policy, TheDigestIsThatOfTheText) { EXPECT_EQ(load(kExample)->digest(), sha256(as_bytes(kExample))); }

TEST(Action, EqualCommandsHaveOneCanonicalTextAndOthersAnother) {
  const auto canonical = [](const std::string& text) {
    const auto document = json::Document::parse(text);
    return canonical_of(ToolCall{"t", document->root()});
  };
  EXPECT_EQ(canonical(R"({"a":1,"b":[1.0,"x"]})"), canonical(R"( { "b" : [1.0, "\u0078"], "a":1 } )"));
  EXPECT_NE(canonical(R"({"a":1})"), canonical(R"({"a":2})"));
  EXPECT_NE(canonical(R"({"a":9007199254740993})"), canonical(R"({"a":9007199254740992})"));
  EXPECT_NE(canonical_of(ToolCall{"t", {}}), canonical_of(ToolCall{"u", {}}));
}

TEST(Policy, StepsSayWhoApprovesInWhichOrder) {
  const auto policy = load("policy:\n  - { id: a, approve: { steps: [[{ by: group:leads, n: 2 }, { by: group:owners }], [{ by: group:security }]] } }\n");
  const auto held = decide(policy, "x");
  EXPECT_EQ(held.reason, "rule a holds it for approval by 2 people of group leads and one person of group owners, then one person of group security");
  std::string problems;
  EXPECT_FALSE(load("policy:\n  - { id: a, approve: { by: group:leads, steps: [[{ by: group:leads }]] } }\n", &problems));
  EXPECT_NE(problems.find("by and quorum are the short form"), std::string::npos) << problems;
}

}  // namespace
}  // namespace sallyport::enforce
