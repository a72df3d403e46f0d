// `sallyport evidence ls|show|key`: entries as they stand, read from the evidence directory by whoever may read its files. What is
// proven is sallyport-verify's business; this is for reading.
#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/config.h"
#include "cli/evidence_place.h"
#include "evidence/notary.h"
#include "evidence/session_summary.h"

namespace sallyport::cli {
namespace {

using evidence::Field;
using evidence::StoredEntry;

struct Options {
  std::string directory, config, id, kind;
  std::uint64_t index = 0, limit = 0;
  bool json = false;
};

std::optional<std::string> directory_of(const Options& options) { return evidence_directory(options.directory, options.config); }

int list_entries(const Options& options) {
  const auto directory = directory_of(options);
  if (!directory) return exit_code::kUsage;
  const auto reader = evidence::Reader::open(*directory);
  if (!reader) return failed(reader.error());
  std::vector<std::string> lines;
  const auto read = reader->each([&](const StoredEntry& entry) {
    if (!options.kind.empty() && options.kind != to_string(entry.kind)) return true;
    if (options.limit != 0 && lines.size() >= options.limit) lines.erase(lines.begin());
    if (options.json) lines.push_back(evidence::to_json(entry));
    else
      lines.push_back(fmt::format("{:>8}  {}  {:<20} {:<10} {}", entry.index, evidence::utc_milliseconds(entry.wall_ns), to_string(entry.kind), entry.session ? hex(*entry.session).substr(0, 8) : "-",
                                  printable(entry.text(Field::Subject) + " " + entry.text(Field::Action) + " " + entry.text(Field::Object) + " " + entry.text(Field::Reason))));
    return true;
  });
  for (const auto& line : lines) fmt::print("{}\n", line);
  return read ? exit_code::kDone : failed(read.error());
}

int show_entry(const Options& options) {
  const auto directory = directory_of(options);
  if (!directory) return exit_code::kUsage;
  const auto reader = evidence::Reader::open(*directory);
  if (!reader) return failed(reader.error());
  const auto found = reader->entry(options.index);
  if (!found && found.error().kind != ErrorKind::Denied) return failed(found.error());
  if (!found) {
    fmt::print(stderr, "sallyport: {}\n", options.index < reader->first() ? fmt::format("entry {} was pruned; the log keeps entries from {} on", options.index, reader->first()) : found.error().what);
    return exit_code::kNotFound;
  }
  const auto text = evidence::to_json(*found);
  if (options.json) {
    fmt::print("{}\n", text);
    return exit_code::kDone;
  }
  const auto document = json::Document::parse(text);
  if (!document) return failed(document.error());
  for (const auto member : document->root())
    fmt::print("{:<22} {}\n", member.key(), member.is_string() ? printable(member.as_string()) : printable(member.raw()));
  fmt::print("{:<22} {}\n", "time", evidence::utc_milliseconds(found->wall_ns));
  return exit_code::kDone;
}

/// The public half of the signing key, as sallyport-verify --key takes it. An auditor gets it by another road than the log.
int print_key(const Options& options) {
  if (options.config.empty()) {
    fmt::print(stderr, "sallyport: which gateway? -c CONFIG\n");
    return exit_code::kUsage;
  }
  const auto loaded = load_config(options.config);
  if (!loaded.config) {
    fmt::print(stderr, "{}", loaded.problems);
    return exit_code::kUsage;
  }
  const auto path = loaded.config->gateway.state_directory + "/evidence.pub";
  std::ifstream in(path);
  const std::string key(std::istreambuf_iterator<char>(in), {});
  if (key.empty()) {
    fmt::print(stderr, "sallyport: cannot read {}; the gateway writes it at its first start\n", path);
    return exit_code::kNotFound;
  }
  fmt::print("{}", key);
  return exit_code::kDone;
}

/// A signing key for a notary of its own: the gateway makes its own at its first start.
int new_key(const std::string& origin, const std::string& out) {
  if (!evidence::is_key_name(origin)) {
    fmt::print(stderr, "sallyport: an origin has no white space and no '+': NAME/evidence\n");
    return exit_code::kUsage;
  }
  const auto [secret, verifier] = evidence::generate_note_key(origin);
  const int file = ::open(out.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const auto text = secret + "\n";
  const bool done = file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  if (file >= 0) ::close(file);
  if (!done) return failed(Error(ErrorKind::Unavailable, "cannot write " + out + ": " + std::strerror(errno)));
  fmt::print("{}\n", verifier);
  return exit_code::kDone;
}

}  // namespace

void add_evidence_commands(CLI::App& app, int& exit) {
  const auto options = std::make_shared<Options>();
  const auto common = [&](CLI::App* command) {
    command->add_option("-d,--dir", options->directory, "Evidence directory");
    command->add_option("-c,--config", options->config, "Configuration file that names it");
    command->add_flag("--json", options->json, "JSON, one object a line");
  };
  auto* log = app.add_subcommand("evidence", "The evidence log");
  log->require_subcommand(1);
  auto* entries = log->add_subcommand("ls", "Entries in order");
  common(entries);
  entries->add_option("--kind", options->kind, "Only this kind, such as command or auth.failed");
  entries->add_option("--limit", options->limit, "Only the last N");
  entries->callback([options, &exit] { exit = list_entries(*options); });
  auto* shown = log->add_subcommand("show", "One entry, every field");
  shown->add_option("index", options->index, "Index of the entry")->required();
  common(shown);
  shown->callback([options, &exit] { exit = show_entry(*options); });
  add_export_command(*log, exit);
  add_keeping_commands(*log, exit);
  auto* key = log->add_subcommand("key", "The verifier key for sallyport-verify --key");
  key->add_option("-c,--config", options->config, "Configuration file")->required();
  key->callback([options, &exit] { exit = print_key(*options); });
  add_incarnation_command(*log, exit);
  auto* keygen = log->add_subcommand("keygen", "A signing key for a notary or a witness of its own; prints its verifier key");
  keygen->add_option("name", options->id, "Name of the key: the log's origin (NAME/evidence), or the witness's name")->required();
  keygen->add_option("-o,--output", options->directory, "File to write; must not exist")->required();
  keygen->callback([options, &exit] { exit = new_key(options->id, options->directory); });
}

}  // namespace sallyport::cli
