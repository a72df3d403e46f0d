// Reading and running `tests:`: what the file's author expects of the rules, judged at every load by the same decide()
// that judges commands.
#include <fmt/format.h>

#include <algorithm>

#include "enforce/action.h"
#include "enforce/policy_rule.h"

namespace sallyport::enforce {
namespace {

bool is_json_number(std::string_view text) {
  std::size_t at = text.starts_with('-') ? 1 : 0;
  const auto digits = [&] {
    const auto from = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - from;
  };
  const auto whole_at = at;
  const auto whole = digits();
  if (whole == 0 || (whole > 1 && text[whole_at] == '0')) return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (digits() == 0) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

std::string to_json(const yaml::Node& node) {
  std::string out;
  switch (node.kind) {
    case yaml::Node::Kind::Null: return "null";
    case yaml::Node::Kind::Scalar: {
      const auto& text = node.scalar;
      if (!node.quoted && (text == "true" || text == "false" || text == "null" || is_json_number(text))) return text;
      return json::quote(text);
    }
    case yaml::Node::Kind::Sequence:
      for (const auto& item : node.items) out += (out.empty() ? "" : ",") + to_json(item);
      return "[" + out + "]";
    case yaml::Node::Kind::Mapping:
      for (const auto& member : node.members) {
        out += (out.empty() ? "" : ",") + json::quote(member.key) + ":" + to_json(member.value);
      }
      return "{" + out + "}";
  }
  return out;
}

// One test, and all that its command's facts view.
struct Test {
  identity::Principal who;
  const target::Target* target = nullptr;
  std::string method, tool, resource, prompt, direction = "client";
  json::Document args;
  std::string expect, rule, name;
  std::string sql;                  // instead of what MCP names
  Statement statement;

  Facts facts() const {
    if (statement.effects) return facts_of(statement);
    const auto root = args.text().empty() ? json::Value() : args.root();
    return {&mcp_schema(), {method, tool, resource, prompt, root, direction}};
  }
};

class TestReader {
 public:
  TestReader(const RuleSet& set, const target::Catalog& catalog, const std::vector<std::string>& access, yaml::Diagnostics& diagnostics)
      : set_(set), catalog_(catalog), access_(access), diagnostics_(diagnostics) {}

  /// nullopt after reporting what is wrong.
  std::optional<Test> read(const yaml::Node& item) {
    const auto errors = diagnostics_.errors().size();
    Test test;
    {
      yaml::Mapping fields(item, diagnostics_, "test");
      if (!fields.valid()) return std::nullopt;
      if (const auto* as = fields.require("as")) read_principal(*as, test);
      if (const auto* target = fields.require("target")) read_target(*target, test);
      const auto *mcp = fields.get("mcp"), *sql = fields.get("sql");
      if ((mcp == nullptr) == (sql == nullptr)) diagnostics_.error(item.place, "a test names one of mcp and sql");
      else if (mcp != nullptr) read_mcp(*mcp, test);
      else read_sql(*sql, fields, test);
      fields.require("expect");
      fields.one_of("expect", test.expect, {"allow", "block", "approve"});
      if (const auto* rule = fields.get("rule")) read_rule(*rule, test);
      fields.string("name", test.name);
    }
    if (diagnostics_.errors().size() != errors) return std::nullopt;
    if (test.name.empty()) {
      const auto& what = !test.sql.empty() ? test.sql : !test.tool.empty() ? test.tool : !test.resource.empty() ? test.resource : !test.prompt.empty() ? test.prompt : test.method;
      test.name = fmt::format("{} at {}: {}", test.who.display(), test.target->name, what);
    }
    return test;
  }

 private:
  void read_principal(const yaml::Node& node, Test& test) {
    yaml::Mapping fields(node, diagnostics_, "as");
    if (!fields.valid()) return;
    auto& who = test.who;
    fields.string("user", who.subject, true);
    fields.strings("groups", who.groups);
    fields.string("agent", who.agent);
    fields.string("email", who.email);
    who.issuer = "local";
    fields.string("issuer", who.issuer);
    fields.boolean("service", who.service);
    fields.strings("access", who.access);
    if (const auto* access = fields.get("access"))
      for (const auto& item : access->items)
        if (item.kind == yaml::Node::Kind::Scalar && std::ranges::find(access_, item.scalar) == access_.end()) unknown("access rule", item, access_);
    std::ranges::sort(who.access);
    std::ranges::sort(who.groups);
    const auto repeated = std::ranges::unique(who.groups);
    who.groups.erase(repeated.begin(), repeated.end());
  }

  void read_target(const yaml::Node& node, Test& test) {
    test.target = catalog_.find(node.scalar);
    if (test.target) return;
    std::vector<std::string> names;
    for (const auto& [name, target] : catalog_.targets) names.push_back(name);
    unknown("target", node, names);
  }

  void read_rule(const yaml::Node& node, Test& test) {
    test.rule = node.scalar;
    std::vector<std::string> ids;
    for (const auto& rule : set_.rules) ids.push_back(rule.id);
    if (std::ranges::find(ids, test.rule) == ids.end()) unknown("rule", node, ids);
  }

  void unknown(std::string_view what, const yaml::Node& node, const std::vector<std::string>& names) {
    const auto near = yaml::nearest(node.scalar, names);
    diagnostics_.error(node.place, fmt::format("unknown {} \"{}\"{}", what, node.scalar,
                                               near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near)));
  }

  /// `sql: "delete from t"`, with `in_transaction: true`; names are taken as they are written, for no catalog is at hand.
  void read_sql(const yaml::Node& node, yaml::Mapping& fields, Test& test) {
    test.sql = node.scalar;
    auto analysis = sql::analyse(test.sql);
    if (!analysis) return diagnostics_.error(node.place, fmt::format("sql cannot be parsed: {}", analysis.error().what));
    test.statement.effects = SqlEffects::of(std::move(*analysis), nullptr);
    fields.boolean("in_transaction", test.statement.in_transaction);
  }

  void read_mcp(const yaml::Node& node, Test& test) {
    yaml::Mapping fields(node, diagnostics_, "mcp");
    if (!fields.valid()) return;
    fields.string("tool", test.tool);
    fields.string("resource", test.resource);
    fields.string("prompt", test.prompt);
    const int named = !test.tool.empty() + !test.resource.empty() + !test.prompt.empty();
    if (named > 1) diagnostics_.error(node.place, "a request names one of tool, resource and prompt");
    if (named == 1) test.method = !test.tool.empty() ? "tools/call" : !test.resource.empty() ? "resources/read" : "prompts/get";
    fields.string("method", test.method);
    if (test.method.empty()) diagnostics_.error(node.place, "mcp names a tool, a resource, a prompt or a method");
    fields.one_of("direction", test.direction, {"client", "server"});
    const auto* args = fields.get("args");
    if (!args) return;
    if (args->kind != yaml::Node::Kind::Mapping) return diagnostics_.error(args->place, "args is a mapping: { path: /tmp/a }");
    auto parsed = json::Document::parse(to_json(*args));
    if (parsed) test.args = std::move(*parsed);
    else diagnostics_.error(args->place, fmt::format("args cannot be read as JSON: {}", parsed.error().what));
  }

  const RuleSet& set_;
  const target::Catalog& catalog_;
  const std::vector<std::string>& access_;
  yaml::Diagnostics& diagnostics_;
};

Policy::TestResult run(const Test& test, const RuleSet& set, yaml::Place place) {
  const auto facts = test.facts();
  const auto decision = set.decide({test.who, *test.target, facts});
  const auto effect = to_string(decision.effect);
  const bool by_rule = test.rule.empty() || std::ranges::find(decision.rules, test.rule) != decision.rules.end();
  if (effect == test.expect && by_rule) return {test.name, true, decision.reason, place};
  auto detail = fmt::format("expected {}{}, but the decision is {}: {}", test.expect,
                            test.rule.empty() ? "" : " by rule " + test.rule, effect, decision.reason);
  return {test.name, false, std::move(detail), place};
}

}  // namespace

std::vector<Policy::TestResult> run_tests(const yaml::Node& node, const RuleSet& set, const target::Catalog& catalog,
                                          const std::vector<std::string>& access, bool dry, yaml::Diagnostics& diagnostics) {
  std::vector<Policy::TestResult> results;
  if (node.kind == yaml::Node::Kind::Null) return results;
  if (node.kind != yaml::Node::Kind::Sequence) {
    diagnostics.error(node.place, "tests is a list: - { as: { user: … }, target: …, mcp: { tool: … } or sql: …, expect: … }");
    return results;
  }
  TestReader reader(set, catalog, access, diagnostics);
  for (const auto& item : node.items) {
    const auto test = reader.read(item);
    if (!test || dry) continue;
    results.push_back(run(*test, set, item.place));
    const auto& result = results.back();
    if (!result.passed) diagnostics.error(item.place, fmt::format("test \"{}\" fails: {}", result.name, result.detail));
  }
  return results;
}

}  // namespace sallyport::enforce
