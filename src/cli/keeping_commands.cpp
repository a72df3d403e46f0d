// `sallyport evidence erase|hold|release|holds|prune`: asked of the running gateway, whose groups in evidence.keepers may, and which
// writes each into the log under the person's name before it does it.
#include "cli/client.h"
#include "cli/command.h"

namespace sallyport::cli {
namespace {

struct Options {
  ClientOptions client;
  std::string session, person, from, to, basis;
  bool dry_run = false, json = false;
};

constexpr long kLongest = 3600;  // seconds: a prune reads the whole log

std::string body_of(const Options& options, bool prune) {
  std::string out = "{\"basis\":" + json::quote(options.basis);
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) out += fmt::format(",\"{}\":{}", key, json::quote(value));
  };
  add("session", options.session);
  add("person", options.person);
  add("from", options.from);
  add("to", options.to);
  if (prune) out += fmt::format(",\"dry_run\":{}", options.dry_run);
  return out + "}";
}

std::string words_of(const json::Value& list, const char* between) {
  std::string out;
  for (const auto one : list) out += (out.empty() ? "" : between) + printable(one.as_string());
  return out;
}

void print_prune(const json::Value& root) {
  const bool done = root["done"].as_bool();
  fmt::print("{} {} segments, {} entries, {} bytes, {} sessions; the first kept entry is {}\n", done ? "pruned" : root["segments"].as_int() == 0 ? "nothing may go:" : "would go:",
             root["segments"].as_int(), root["entries"].as_int(), root["bytes"].as_int(), root["sessions"].as_int(), root["first"].as_int());
  for (const auto one : root["classes"]) fmt::print("  {:<24} {} sessions, {} entries\n", printable(one["class"].as_string()), one["sessions"].as_int(), one["entries"].as_int());
  if (root["carried"].size() > 0) fmt::print("held, carried over to held/: {}\n", words_of(root["carried"], ", "));
  if (root["blocks"].size() > 0) fmt::print("no more, for:\n  {}\n", words_of(root["blocks"], "\n  "));
}

int ask(const Options& options, const std::string& verb) {
  const bool get = verb == "holds";
  auto reply = Client(options.client).request(get ? "GET" : "POST", "/api/evidence/" + verb, get ? "" : body_of(options, verb == "prune"), true, kLongest);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  const auto root = reply->body.root();
  if (options.json) {
    fmt::print("{}\n", root.raw());
  } else if (get) {
    for (const auto one : root["holds"]) {
      const auto what = one["session"].valid() ? "session " + printable(one["session"].as_string()) : fmt::format("from {} to {}", printable(one["from"].as_string()), printable(one["to"].as_string()));
      fmt::print("{:>8}  {}  {}  {}\n", one["index"].as_int(), printable(one["since"].as_string()), what, printable(one["basis"].as_string()));
    }
  } else if (verb == "prune") {
    print_prune(root);
  } else {
    fmt::print("{}: entry {}\n", verb == "erase" ? "erased" : verb == "hold" ? "held" : "released", root["index"].as_int());
  }
  return exit_code::kDone;
}

}  // namespace

void add_keeping_commands(CLI::App& evidence, int& exit) {
  const auto options = std::make_shared<Options>();
  const auto command = [&](const std::string& verb, const char* what) {
    auto* out = evidence.add_subcommand(verb, what);
    out->add_option("--url", options->client.url, "Admin address of the gateway (else SALLYPORT_URL)");
    out->add_option("--ca", options->client.ca, "PEM file to trust (else SALLYPORT_CA)");
    out->add_option("--token-file", options->client.token_file, "File that holds the token (else SALLYPORT_TOKEN, SALLYPORT_TOKEN_FILE)");
    out->add_flag("--json", options->json, "JSON");
    out->callback([options, verb, &exit] { exit = ask(*options, verb); });
    return out;
  };
  const auto basis = [&](CLI::App* to) { return to->add_option("--basis", options->basis, "The rule, order or request that it is done for; kept in the record"); };
  auto* erase = command("erase", "Destroy the key of a session's payloads: they cannot be read any more, by nobody; every proof stays");
  auto* session = erase->add_option("--session", options->session, "Whole id of the session");
  erase->add_option("--person", options->person, "Or a person: what says whom the pseudonym in the entries means")->excludes(session);
  basis(erase)->required();
  for (const bool release : {false, true}) {
    auto* one = command(release ? "release" : "hold", release ? "End a hold, named by what it holds" : "Keep a session, or all of a time, from being erased and pruned");
    one->add_option("--session", options->session, "Whole id of the session");
    one->add_option("--from", options->from, "From this time on: 2026-11-20 or 2026-11-20T10:00:00Z");
    one->add_option("--to", options->to, "Up to this time, and not that");
    basis(one)->required();
  }
  command("holds", "The holds in force");
  auto* prune = command("prune", "Remove the oldest segments, as far as evidence.retention and holds let them go");
  prune->add_flag("--dry-run", options->dry_run, "Say what would go, and what keeps the rest");
  basis(prune);
}

}  // namespace sallyport::cli
