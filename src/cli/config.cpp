#include "cli/config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "cli/config_reader.h"
#include "cli/config_roles.h"

namespace sallyport::cli {
namespace {

constexpr std::size_t kMaxBytes = 4u << 20;

/// At most one byte more than is accepted, so that a device or a huge file does no harm.
bool read_file(const std::string& path, std::string& out, std::string& problem) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    problem = fmt::format("{}: cannot be read: {}\n", path, std::strerror(errno));
    return false;
  }
  std::array<char, 64u << 10> block;
  for (;;) {
    const auto got = ::read(fd, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) problem = fmt::format("{}: cannot be read: {}\n", path, std::strerror(errno));
    if (got <= 0 || out.size() > kMaxBytes) break;
    out.append(block.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  return problem.empty();
}

void read_version(yaml::Mapping& top, yaml::Diagnostics& diagnostics) {
  const auto* node = top.require("version");
  if (node && (node->quoted || node->scalar != "1")) diagnostics.error(node->place, "version is 1, the only one there is");
}

/// nullptr with all problems in `diagnostics`.
std::optional<Config> read(const yaml::Node& root, yaml::Diagnostics& diagnostics, const std::string& folder) {
  Config config;
  config.file = diagnostics.file();
  config.gateway.listen_mcp = "127.0.0.1:8443";
  config.gateway.listen_admin = "127.0.0.1:9443";
  ConfigReader reader(diagnostics, folder);
  config.gateway.state_directory = reader.beside("state");
  config.evidence.directory = reader.beside("evidence");
  auto catalog = std::make_shared<target::Catalog>();
  yaml::Mapping top(root, diagnostics, "the configuration");
  if (!top.valid()) return std::nullopt;
  read_version(top, diagnostics);
  if (const auto* node = top.require("gateway")) reader.gateway(*node, config.gateway);
  if (const auto* node = top.require("identity")) reader.identity(*node, config.identity);
  if (const auto* node = top.get("evidence")) reader.evidence(*node, config.evidence);
  if (const auto* node = top.get("notify")) reader.notify(*node, config.notify);
  if (const auto* node = top.get("roles")) reader.roles(*node, config.roles);
  config.roles.log_readers = config.evidence.log_readers;
  config.roles.keepers = config.evidence.keepers;
  if (const auto* node = top.require("targets")) reader.targets(*node, *catalog);
  config.targets = catalog;
  if (const auto* node = top.get("access")) config.access = enforce::load_access(*node, *catalog, diagnostics);
  const auto* policy = top.get("policy");
  const auto* tests = top.get("tests");
  top.finish();
  config.policy = enforce::Policy::load(policy, tests, diagnostics.text(), *catalog, diagnostics, enforce::ids_of(config.access));
  if (!diagnostics.ok() || !config.policy) return std::nullopt;
  config.text = diagnostics.text();
  config.digest = config.policy->digest();
  config.rule_count = policy ? policy->items.size() : 0;
  return config;
}

}  // namespace

LoadedConfig load_config(const std::string& path) {
  LoadedConfig loaded;
  std::string text;
  if (!read_file(path, text, loaded.problems)) return loaded;
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(path, failed);
  yaml::Diagnostics diagnostics(path, std::move(text));
  const auto root = yaml::parse(diagnostics, {"tls"});
  // Of a text that is no YAML nothing is left, and reading that would add errors that are none.
  if (diagnostics.ok() || root.kind != yaml::Node::Kind::Null) loaded.config = read(root, diagnostics, absolute.parent_path().string());
  if (!diagnostics.ok() || !loaded.config) {
    loaded.config.reset();
    loaded.problems = diagnostics.print();
    if (loaded.problems.empty()) loaded.problems = path + ": the policy was refused\n";
    return loaded;
  }
  loaded.config->file = absolute.lexically_normal().string();
  loaded.warnings = role_warnings(*loaded.config);
  for (auto& warning : command_warnings(*loaded.config)) loaded.warnings.push_back(std::move(warning));
  return loaded;
}

}  // namespace sallyport::cli
