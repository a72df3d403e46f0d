// `sallyport policy check|test|explain`: the same load and the same decision as in the gateway, without the gateway.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/config.h"
#include "enforce/action.h"

namespace sallyport::cli {
namespace {

struct Question {
  std::string file, user, issuer = "local", agent, target, tool, args, method, resource, prompt, sql;
  std::vector<std::string> groups, access;
  bool service = false, json = false;
};

/// Reported on stderr when it cannot be loaded.
std::optional<Config> load(const std::string& file, int& exit) {
  auto loaded = load_config(file);
  if (!loaded.config) {
    fmt::print(stderr, "{}", loaded.problems);
    exit = exit_code::kUsage;
  }
  return std::move(loaded.config);
}

int usage(const std::string& problem) {
  fmt::print(stderr, "sallyport: {}\n", problem);
  return exit_code::kUsage;
}

std::string_view word(enforce::Effect effect) {
  switch (effect) {
    case enforce::Effect::Allow: return "allow";
    case enforce::Effect::Block: return "block";
    case enforce::Effect::Approve: return "approve";
  }
  return "block";
}

std::string json_list(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ",") + json::quote(text);
  return "[" + out + "]";
}

std::string to_json(const enforce::Decision& decision, const std::string& trace) {
  std::vector<std::string> masks;
  std::string approvals;
  for (const auto* mask : decision.masks) masks.push_back(mask->id);
  for (const auto& [rule, terms] : decision.approvals) {
    approvals += fmt::format(R"({}{{"rule":{},"by":{}}})", approvals.empty() ? "" : ",", json::quote(rule), json::quote(enforce::words_of(terms.steps)));
  }
  return fmt::format(R"({{"effect":"{}","rules":{},"reason":{},"message":{},"masks":{},"approvals":[{}],"trace":{}}})", word(decision.effect),
                     json_list(decision.rules), json::quote(decision.reason), json::quote(decision.message), json_list(masks), approvals,
                     json::quote(trace));
}

void print(const enforce::Decision& decision, const std::string& trace) {
  fmt::print("{}{}", trace, trace.ends_with('\n') ? "" : "\n");
  for (const auto* mask : decision.masks) fmt::print("masked by: {}\n", mask->id);
}

/// The command that is asked about. Its JSON must outlive it.
Result<enforce::Action> action_of(const Question& question, const json::Document& args) {
  const auto root = question.args.empty() ? json::Value() : args.root();
  if (!question.sql.empty()) {
    TRY(auto analysis, sql::analyse(question.sql));
    enforce::Statement statement;
    statement.effects = enforce::SqlEffects::of(std::move(analysis), nullptr);
    statement.text = question.sql;
    return statement;
  }
  const int named = !question.tool.empty() + !question.resource.empty() + !question.prompt.empty();
  if (named > 1) return fail(ErrorKind::Malformed, "a command names one of --tool, --resource and --prompt");
  if (!question.tool.empty()) {
    if (!question.method.empty() && question.method != "tools/call") return fail(ErrorKind::Malformed, "--tool goes with the method tools/call");
    return enforce::ToolCall{question.tool, root};
  }
  enforce::McpRequest request;
  request.method = !question.method.empty() ? question.method : !question.resource.empty() ? "resources/read" : !question.prompt.empty() ? "prompts/get" : "";
  if (request.method.empty()) return fail(ErrorKind::Malformed, "name the command: --sql, --tool, --resource, --prompt or --method");
  request.resource = question.resource;
  request.prompt = question.prompt;
  request.params = root;
  return request;
}

int explain(const Question& question) {
  int exit = exit_code::kDone;
  const auto config = load(question.file, exit);
  if (!config) return exit;
  const auto* target = config->targets->find(question.target);
  if (!target) {
    std::vector<std::string> names;
    for (const auto& [name, one] : config->targets->targets) names.push_back(name);
    const auto near = yaml::nearest(question.target, names);
    fmt::print(stderr, "sallyport: unknown target \"{}\"{}\n", question.target, near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near));
    return exit_code::kNotFound;
  }
  json::Document args;
  if (!question.args.empty()) {
    auto parsed = json::Document::parse(question.args);
    if (!parsed) return usage("--args is no JSON: " + parsed.error().what);
    args = std::move(*parsed);
    if (!args.root().is_object()) return usage("--args is a JSON object");
  }
  const auto action = action_of(question, args);
  if (!action) return usage(action.error().what);
  identity::Principal who;
  who.subject = question.user;
  who.issuer = question.issuer;
  who.agent = question.agent;
  who.service = question.service;
  who.groups = question.groups;
  std::ranges::sort(who.groups);
  const auto repeated = std::ranges::unique(who.groups);
  who.groups.erase(repeated.begin(), repeated.end());
  who.access = question.access;
  std::ranges::sort(who.access);
  const auto facts = enforce::facts_of(*action);
  const auto decision = config->policy->decide(who, *target, facts);
  const auto trace = config->policy->explain(who, *target, facts);
  if (question.json) fmt::print("{}\n", to_json(decision, trace));
  else print(decision, trace);
  return exit_code::kDone;
}

/// Failing tests are problems of the file, each reported at its place; so the list is whole only when all pass.
int test(const std::string& file) {
  int exit = exit_code::kDone;
  const auto config = load(file, exit);
  if (!config) return exit;
  const auto& results = config->policy->test_results();
  for (const auto& result : results) fmt::print("{}  {}: {}\n", result.passed ? "ok  " : "FAIL", result.name, result.detail);
  fmt::print("{} tests passed\n", results.size());
  return exit;
}

}  // namespace

void add_policy_commands(CLI::App& app, int& exit) {
  auto* policy = app.add_subcommand("policy", "Check, test and explain the rules");
  policy->require_subcommand(1);
  const auto question = std::make_shared<Question>();
  const auto add = [&](const char* name, const char* about) {
    auto* command = policy->add_subcommand(name, about);
    command->add_option("-c,--config", question->file, "Configuration file")->required();
    return command;
  };
  add("check", "Type-check the rules and run their tests")->callback([question, &exit] {
    const auto config = load(question->file, exit);
    if (config) fmt::print("ok: {} tests passed, policy {}\n", config->policy->test_results().size(), hex(config->policy->digest()));
  });
  add("test", "Run the tests that stand beside the rules")->callback([question, &exit] { exit = test(question->file); });
  auto* command = add("explain", "Say how a command would be decided, rule by rule");
  command->add_option("--user", question->user, "Who asks")->required();
  command->add_option("--group", question->groups, "A group of the user; may be repeated");
  command->add_option("--issuer", question->issuer, "The user's issuer (default: local)");
  command->add_option("--agent", question->agent, "The agent that acts for the user");
  command->add_option("--access", question->access, "An access rule under which the user has a grant; may be repeated");
  command->add_flag("--service", question->service, "The user is a machine");
  command->add_option("--target", question->target, "The target's name")->required();
  command->add_option("--tool", question->tool, "A tool that is called");
  command->add_option("--sql", question->sql, "A SQL text; its names are taken as they are written");
  command->add_option("--resource", question->resource, "A resource that is read");
  command->add_option("--prompt", question->prompt, "A prompt that is fetched");
  command->add_option("--method", question->method, "Another MCP method");
  command->add_option("--args", question->args, "The arguments, a JSON object");
  command->add_flag("--json", question->json, "One line of JSON");
  command->callback([question, &exit] { exit = explain(*question); });
}

}  // namespace sallyport::cli
