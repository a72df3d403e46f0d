#include "cli/evidence_place.h"

#include "cli/client.h"
#include "cli/command.h"
#include "cli/config.h"

namespace sallyport::cli {

std::optional<std::string> evidence_directory(const std::string& directory, const std::string& config) {
  if (!directory.empty()) return directory;
  if (config.empty()) {
    fmt::print(stderr, "sallyport: which evidence? -d DIRECTORY or -c CONFIG\n");
    return std::nullopt;
  }
  const auto loaded = load_config(config);
  if (!loaded.config) {
    fmt::print(stderr, "{}", loaded.problems);
    return std::nullopt;
  }
  return loaded.config->evidence.directory;
}

int failed(const Error& error) {
  fmt::print(stderr, "sallyport: {}\n", printable(error.what));
  return exit_code::kError;
}

}  // namespace sallyport::cli
