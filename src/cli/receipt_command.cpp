// `sallyport receipt REQUEST`: the proof that a command's intent and outcome stand in the log, to be kept by whoever ran it
// and verified without the log (sallyport-verify receipt).
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "cli/command.h"
#include "cli/evidence_place.h"
#include "evidence/log_view.h"
#include "evidence/reader.h"

namespace sallyport::cli {
namespace {

struct Options {
  std::string directory, config, request, out;
  std::uint64_t index = 0;
  bool by_index = false;
};

int write_receipts(const Options& options) {
  const auto directory = evidence_directory(options.directory, options.config);
  if (!directory) return exit_code::kUsage;
  const auto reader = evidence::Reader::open(*directory);
  if (!reader) return failed(reader.error());
  std::vector<std::uint64_t> wanted;
  const auto read = reader->each([&](const evidence::StoredEntry& entry) {
    if (options.by_index ? entry.index == options.index : entry.text(evidence::Field::RequestId) == options.request) wanted.push_back(entry.index);
    return true;
  });
  if (!read) return failed(read.error());
  if (options.by_index && options.index < reader->first()) {
    fmt::print(stderr, "sallyport: entry {} was pruned; the log keeps entries from {} on\n", options.index, reader->first());
    return exit_code::kNotFound;
  }
  if (wanted.empty()) {
    fmt::print(stderr, "sallyport: there is no entry of {}\n", options.by_index ? std::to_string(options.index) : "request " + options.request);
    return exit_code::kNotFound;
  }
  std::string text;
  evidence::LogView view(*directory);
  for (const auto index : wanted) {
    const auto one = view.receipt(index);
    if (!one) return one.error().kind == ErrorKind::Unavailable && one.error().what.starts_with("entry ") ? (failed(one.error()), exit_code::kPending) : failed(one.error());
    text += (text.empty() ? "" : "\n") + *one;
  }
  if (options.out.empty()) {
    fmt::print("{}", text);
    return std::fflush(stdout) == 0 ? exit_code::kDone : exit_code::kError;
  }
  std::ofstream file(options.out, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return failed(Error(ErrorKind::Unavailable, "cannot write " + options.out));
  if (::isatty(STDERR_FILENO)) fmt::print(stderr, "{} receipts in {}\n", wanted.size(), options.out);
  return exit_code::kDone;
}

}  // namespace

void add_receipt_command(CLI::App& app, int& exit) {
  const auto options = std::make_shared<Options>();
  auto* receipt = app.add_subcommand("receipt", "Proof that a command and its outcome are in the log");
  auto* request = receipt->add_option("request", options->request, "Request id: req_…, as errors, approvals and sessions show it");
  auto* index = receipt->add_option("--index", options->index, "Of the entry with this index instead");
  request->excludes(index);
  receipt->add_option("-d,--dir", options->directory, "Evidence directory");
  receipt->add_option("-c,--config", options->config, "Configuration file that names it");
  receipt->add_option("-o,--output", options->out, "File to write (*.tlog-proof); else standard output");
  receipt->callback([options, index, &exit] {
    options->by_index = index->count() != 0;
    if (!options->by_index && options->request.empty()) {
      fmt::print(stderr, "sallyport: which request? sallyport receipt req_…, or --index N\n");
      exit = exit_code::kUsage;
      return;
    }
    exit = write_receipts(*options);
  });
}

}  // namespace sallyport::cli
