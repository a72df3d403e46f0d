// `sallyport config check|show|schema`.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/config.h"
#include "cli/config_schema.h"
#include "cli/config_show.h"

namespace sallyport::cli {
namespace {

std::optional<Config> load(const std::string& file, int& exit) {
  exit = exit_code::kUsage;
  if (file.empty()) {
    fmt::print(stderr, "sallyport: which file? sallyport config check FILE\n");
    return std::nullopt;
  }
  auto loaded = load_config(file);
  if (!loaded.config) fmt::print(stderr, "{}", loaded.problems);
  else exit = exit_code::kDone;
  for (const auto& warning : loaded.warnings) fmt::print(stderr, "warning: {}\n", warning);
  return std::move(loaded.config);
}

/// Reads every secret that is named and says which are missing; never what they are.
std::size_t missing_secrets(const Config& config) {
  std::size_t missing = 0;
  for (const auto& [where, reference] : secrets_of(config)) {
    if (const auto value = reference->read(); !value) {
      fmt::print(stderr, "{}: {}: {}\n", config.file, where, value.error().what);
      ++missing;
    }
  }
  return missing;
}

int check(const std::string& file, bool secrets) {
  int exit = exit_code::kDone;
  const auto config = load(file, exit);
  if (!config) return exit;
  if (secrets && missing_secrets(*config) != 0) return exit_code::kUsage;
  const auto count = [](std::size_t number, std::string_view what) { return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s"); };
  fmt::print("ok: {}, {}, {} passed\n", count(config->targets->targets.size(), "target"), count(config->rule_count, "rule"),
             count(config->policy->test_results().size(), "test"));
  return exit_code::kDone;
}

}  // namespace

void add_config_commands(CLI::App& app, int& exit) {
  struct Options {
    std::string file;
    bool secrets = false, json = false;
  };
  const auto options = std::make_shared<Options>();
  auto* config = app.add_subcommand("config", "Check and show the configuration");
  config->require_subcommand(1);
  const auto add = [&](const char* name, const char* about) {
    auto* command = config->add_subcommand(name, about);
    command->add_option("file,-c,--config", options->file, "Configuration file");
    return command;
  };
  auto* checked = add("check", "Read the file, check it whole and run the policy's tests");
  checked->add_flag("--secrets", options->secrets, "Read every secret that is named, too");
  checked->callback([options, &exit] { exit = check(options->file, options->secrets); });
  auto* shown = add("show", "The configuration with defaults filled in; secrets stay references");
  shown->add_flag("--json", options->json, "JSON instead of YAML");
  shown->callback([options, &exit] {
    if (const auto loaded = load(options->file, exit)) fmt::print("{}\n", options->json ? show_json(*loaded) : show_yaml(*loaded));
  });
  config->add_subcommand("schema", "JSON Schema of the configuration")->callback([] { fmt::print("{}\n", config_schema()); });
}

}  // namespace sallyport::cli
