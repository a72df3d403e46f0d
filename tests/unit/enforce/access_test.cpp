// Access rules as they are read, grants as they are looked up, and sessions that live and end with them.
#include "enforce/access.h"

#include <gtest/gtest.h>

namespace sallyport::enforce {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

target::Catalog catalog() {
  target::Catalog out;
  out.targets["tickets"] = target::Target{"tickets", {{"env", "prod"}}, target::McpTarget{}};
  out.targets["db"] = target::Target{"db", {{"env", "prod"}}, target::PostgresTarget{}};
  out.targets["lab"] = target::Target{"lab", {{"env", "dev"}}, target::McpTarget{}};
  return out;
}

AccessRules load(const std::string& text, std::string* problems = nullptr) {
  const auto targets = catalog();
  yaml::Diagnostics diagnostics("a.yaml", text);
  const auto root = yaml::parse(diagnostics);
  auto rules = load_access(*root.find("access"), targets, diagnostics);
  if (problems != nullptr) *problems = diagnostics.print();
  else EXPECT_TRUE(diagnostics.ok()) << diagnostics.print();
  return rules;
}

TEST(AccessRules, AreReadWithTheirStepsAndDefaults) {
  const auto rules = load(R"(access:
  - { id: prod, who: [group:engineers, agent:bot], target: { env: prod }, longest: 8h, steps: [[{ by: group:leads, n: 2 }, { by: group:owners }], [{ by: group:security }]] }
  - { id: fire, who: group:oncall, target: db, longest: 1h, break_glass: { review_by: group:security, n: 2, review_within: 2h } }
)");
  ASSERT_EQ(ids_of(rules), (std::vector<std::string>{"fire", "prod"}));
  const ApprovalSteps steps{{{"leads", 2}, {"owners", 1}}, {{"security", 1}}};
  EXPECT_EQ(rules.at("prod").steps, steps);
  EXPECT_EQ(rules.at("prod").longest_ns, 8 * 3600 * kSecond);
  EXPECT_TRUE(rules.at("prod").reason);
  EXPECT_FALSE(rules.at("prod").break_glass);
  EXPECT_EQ(rules.at("fire").break_glass->review.count, 2);
  EXPECT_TRUE(rules.at("fire").steps.empty());
}

TEST(AccessRules, SayWhatIsWrongAtItsPlace) {
  const auto refuses = [](const std::string& rule, const std::string& problem) {
    std::string problems;
    load("access:\n  - " + rule + "\n", &problems);
    EXPECT_NE(problems.find(problem), std::string::npos) << rule << "\n" << problems;
    EXPECT_EQ(problems.rfind("a.yaml:2:", 0), 0u) << problems;
  };
  const std::string steps = "steps: [[{ by: group:leads }]]";
  refuses("{ id: A, who: anyone, target: db, longest: 1h, " + steps + " }", "a-z, 0-9 and -");
  refuses("{ id: a, target: db, longest: 1h, " + steps + " }", "needs the key \"who\"");
  refuses("{ id: a, who: anyone, longest: 1h, " + steps + " }", "needs the key \"target\"");
  refuses("{ id: a, who: anyone, target: db, " + steps + " }", "needs the key \"longest\"");
  refuses("{ id: a, who: anyone, target: db, longest: 1h }", "needs the key \"steps\"");
  refuses("{ id: a, who: anyone, target: db, longest: 1h, steps: [] }", "nobody would have to agree");
  refuses("{ id: a, who: anyone, target: db, longest: 1h, steps: [[]] }", "a step names 1 to 10 groups");
  refuses("{ id: a, who: anyone, target: db, longest: 1h, steps: [[{ by: leads }]] }", "group:NAME");
  refuses("{ id: a, who: anyone, target: db, longest: 1h, steps: [[{ by: group:leads, n: 0 }]] }", "from 1 to 10");
  refuses("{ id: a, who: anyone, target: db, longest: 1h, steps: [[{ by: group:leads }, { by: group:leads }]] }", "stands twice");
  refuses("{ id: a, who: anyone, target: dbs, longest: 1h, " + steps + " }", "did you mean \"db\"");
  refuses("{ id: a, who: access:b, target: db, longest: 1h, " + steps + " }", "another access rule");
  refuses("{ id: a, who: anyone, target: db, longest: 31d, " + steps + " }", "longest is a duration");
  refuses("{ id: a, who: anyone, target: db, longest: 1h, break_glass: { review_by: group:s }, " + steps + " }", "break_glass grants at once");
  refuses("{ id: a, who: anyone, target: db, longest: 1h, reason: false, break_glass: { review_by: group:s } }", "always wants a reason");
  refuses("{ id: a, who: anyone, target: db, longest: 1h, stepz: 1, " + steps + " }", "unknown key \"stepz\"");
}

TEST(AccessRules, MayBeNamedByWhoAndByTestsOfThePolicy) {
  const auto targets = catalog();
  const auto policy = [&](const std::string& text, std::string& problems) {
    yaml::Diagnostics diagnostics("p.yaml", text);
    const auto root = yaml::parse(diagnostics);
    auto out = Policy::load(root.find("policy"), root.find("tests"), text, targets, diagnostics, {"prod"});
    problems = diagnostics.print();
    return out;
  };
  std::string problems;
  const std::string rule = "policy:\n  - { id: a, allow: { who: access:prod, target: tickets } }\n";
  EXPECT_TRUE(policy(rule + "tests:\n  - { as: { user: x, access: [prod] }, target: tickets, mcp: { tool: t }, expect: allow }\n"
                            "  - { as: { user: x }, target: tickets, mcp: { tool: t }, expect: block }\n", problems)) << problems;
  EXPECT_FALSE(policy("policy:\n  - { id: a, allow: { who: access:prud } }\n", problems));
  EXPECT_NE(problems.find("unknown access rule \"prud\" (did you mean \"prod\"?)"), std::string::npos) << problems;
  EXPECT_FALSE(policy(rule + "tests:\n  - { as: { user: x, access: [pro] }, target: tickets, mcp: { tool: t }, expect: allow }\n", problems));
  EXPECT_NE(problems.find("unknown access rule \"pro\""), std::string::npos) << problems;
}

class Grants : public testing::Test {
 protected:
  Grants() {
    Access::Setup setup;
    setup.rules = load("access:\n  - { id: prod, who: anyone, target: { env: prod }, longest: 8h, steps: [[{ by: group:leads }]] }\n");
    access_.configure(std::move(setup));
  }
  std::vector<std::string> rules(const std::string& person, const std::string& agent, const std::string& target, std::int64_t now) {
    return access_.grants_for(person, agent, catalog().targets.at(target), now).rules;
  }
  Grant grant(std::string person, AccessTargets targets) { return {"apr_" + person, "prod", std::move(person), "", false, std::move(targets), 10, 20}; }
  const std::vector<std::string> none_, prod_{"prod"};
  Access access_;
};

TEST_F(Grants, HoldForTheirPersonTargetsAndTimeAlone) {
  access_.put(grant("a", {{"db"}, {}}));
  EXPECT_EQ(rules("a", "", "db", 10), prod_);
  EXPECT_EQ(rules("a", "", "db", 19), prod_);
  EXPECT_EQ(rules("a", "", "db", 9), none_);
  EXPECT_EQ(rules("a", "", "db", 20), none_);
  EXPECT_EQ(rules("a", "", "tickets", 15), none_);
  EXPECT_EQ(rules("b", "", "db", 15), none_);
  EXPECT_EQ(access_.grants_for("a", "", catalog().targets.at("db"), 0).next_change_wall_ns, 10);
  EXPECT_EQ(access_.grants_for("a", "", catalog().targets.at("db"), 12).next_change_wall_ns, 20);
  EXPECT_EQ(access_.grants_for("a", "", catalog().targets.at("db"), 20).next_change_wall_ns, INT64_MAX);
}

TEST_F(Grants, AreForAgentsOnlyWhenTheyWereAskedForThem) {
  access_.put(grant("a", {{"db"}, {}}));
  EXPECT_EQ(rules("a", "bot", "db", 15), none_);
  auto all = grant("b", {{"db"}, {}});
  all.for_agents = true;
  access_.put(all);
  EXPECT_EQ(rules("b", "bot", "db", 15), prod_);
  EXPECT_EQ(rules("b", "", "db", 15), prod_);
  auto one = grant("c", {{"db"}, {}});
  one.agent = "bot";
  access_.put(one);
  EXPECT_EQ(rules("c", "bot", "db", 15), prod_);
  EXPECT_EQ(rules("c", "other", "db", 15), none_);
  EXPECT_EQ(rules("c", "", "db", 15), none_) << "an agent asked for itself";
}

TEST_F(Grants, NeverReachFurtherThanTheirRuleDoesNow) {
  access_.put(grant("a", {{}, {{"env", "prod"}}}));
  access_.put(grant("b", {{"lab"}, {}}));
  EXPECT_EQ(rules("a", "", "db", 15), prod_);
  EXPECT_EQ(rules("a", "", "lab", 15), none_);
  EXPECT_EQ(rules("b", "", "lab", 15), none_);
  const auto before = access_.version();
  access_.configure({});
  EXPECT_GT(access_.version(), before);
  EXPECT_EQ(rules("a", "", "db", 15), none_) << "the rule is gone";
}

TEST_F(Grants, EndWhenTheyAreTakenOut) {
  access_.put(grant("a", {{"db"}, {}}));
  const auto before = access_.version();
  access_.remove("a", "apr_a");
  EXPECT_GT(access_.version(), before);
  EXPECT_EQ(rules("a", "", "db", 15), none_);
  EXPECT_EQ(access_.size(), 0u);
}

}  // namespace
}  // namespace sallyport::enforce
