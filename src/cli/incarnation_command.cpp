// `sallyport evidence incarnation`: closes a log that its witnesses or its notary refuse to go on with, and lets the gateway begin
// another under a new origin, whose first entries name the closed one and the reason. The gateway must be stopped.
#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/json.h"
#include "cli/command.h"
#include "cli/config.h"
#include "cli/evidence_place.h"
#include "cli/incarnation.h"
#include "evidence/log_view.h"

namespace sallyport::cli {
namespace {

Result<void> move(const std::string& from, const std::string& to) {
  if (::access(from.c_str(), F_OK) != 0) return {};
  if (::access(to.c_str(), F_OK) == 0) return fail(ErrorKind::Unavailable, to + " is there already");
  if (::rename(from.c_str(), to.c_str()) != 0) return evidence::system_failure("cannot rename " + from, errno);
  return {};
}

std::string user() {
  const auto* found = ::getpwuid(::getuid());
  return found == nullptr ? std::to_string(::getuid()) : found->pw_name;
}

Result<std::string> open_new(const Config& config, const std::string& basis) {
  const auto& directory = config.evidence.directory;
  const auto& state = config.gateway.state_directory;
  TRY(const auto lock, evidence::File::open(directory + "/lock", O_RDWR | O_CREAT));
  if (::flock(lock.fd(), LOCK_EX | LOCK_NB) != 0) return fail(ErrorKind::Unavailable, "the gateway is running; stop it first");
  TRY(const auto number, incarnation_of(state));
  TRY(const auto origin, evidence_origin(config));
  const evidence::LogView view(directory);
  auto head = view.head(0);  // the witnessed one if there is one
  if (!head) head = view.head();
  const evidence::Checkpoint last = head ? head->checkpoint : evidence::Checkpoint{};
  const auto suffix = "-" + std::to_string(number);
  // What can be done again after a crash comes first; the number, which makes it count, last.
  TRY_VOID(move(directory, directory + ".closed" + suffix));
  if (::mkdir(directory.c_str(), 0700) != 0) return evidence::system_failure("cannot make " + directory, errno);
  const auto predecessor = fmt::format(R"({{"origin":{},"size":{},"root":"{}","basis":{},"by":{}}})" "\n", json::quote(origin), last.size, hex(last.root), json::quote(basis), json::quote(user()));
  TRY_VOID(evidence::replace_file(directory + "/predecessor", as_bytes(predecessor)));
  for (const char* file : {"/evidence.key", "/evidence.pub", "/notary"}) TRY_VOID(move(state + file, state + file + suffix));
  TRY_VOID(evidence::replace_file(state + "/incarnation", as_bytes(std::to_string(number + 1) + "\n")));
  return evidence_origin(config);
}

}  // namespace

Result<std::uint64_t> incarnation_of(const std::string& state_directory) {
  const auto path = state_directory + "/incarnation";
  if (::access(path.c_str(), F_OK) != 0) return 1;
  TRY(const auto bytes, evidence::read_file(path));
  const auto text = std::string(as_text(bytes));
  const auto number = std::strtoull(text.c_str(), nullptr, 10);
  if (number < 2 || text != std::to_string(number) + "\n") return fail(ErrorKind::Malformed, path + " holds no number of an incarnation");
  return number;
}

Result<std::string> evidence_origin(const Config& config) {
  TRY(const auto number, incarnation_of(config.gateway.state_directory));
  return number == 1 ? config.gateway.name + "/evidence" : fmt::format("{}/evidence-{}", config.gateway.name, number);
}

Result<void> record_predecessor(const std::string& directory, evidence::Log& log) {
  const auto path = directory + "/predecessor";
  if (::access(path.c_str(), F_OK) != 0) return {};
  TRY(const auto bytes, evidence::read_file(path));
  TRY(const auto document, json::Document::parse(std::string(as_text(bytes))));
  const auto root = document.root();
  const auto digest = from_hex(root["root"].as_string());
  if (!digest || digest->size() != 32) return fail(ErrorKind::Malformed, path + " is damaged");
  using evidence::Field;
  evidence::Entry entry(evidence::Kind::Gap);
  entry.text(Field::Subject, root["by"].as_string()).text(Field::Reason, root["basis"].as_string()).text(Field::Name, root["origin"].as_string());
  entry.uint(Field::SignedSize, static_cast<std::uint64_t>(root["size"].as_int())).bytes(Field::Root, *digest);
  TRY([[maybe_unused]] const auto index, log.append_wait(std::move(entry)));
  if (::rename(path.c_str(), (path + ".recorded").c_str()) != 0) return evidence::system_failure("cannot rename " + path, errno);
  return {};
}

void add_incarnation_command(CLI::App& evidence, int& exit) {
  struct Options {
    std::string config, basis;
  };
  const auto options = std::make_shared<Options>();
  auto* incarnation = evidence.add_subcommand("incarnation", "Close a log that its witnesses or its notary refuse, and begin another");
  incarnation->add_option("-c,--config", options->config, "Configuration file")->required();
  incarnation->add_option("--basis", options->basis, "Why; it becomes part of the new log")->required();
  incarnation->callback([options, &exit] {
    const auto loaded = load_config(options->config);
    if (!loaded.config) {
      fmt::print(stderr, "{}", loaded.problems);
      exit = exit_code::kUsage;
      return;
    }
    const auto origin = open_new(*loaded.config, options->basis);
    if (!origin) {
      exit = failed(origin.error());
      return;
    }
    fmt::print("{}\n", *origin);
    fmt::print(stderr, "The next start begins the log {} with a key of its own (a notary of its own needs a new key, state and --origin). Give its\nverifier key (sallyport evidence key) to its witnesses and auditors.\n", *origin);
  });
}

}  // namespace sallyport::cli
