// sallyport-verify DIR --key KEY: is this evidence what the key signed? Needs nothing but the directory and the public key.
// Exit codes: 0 valid, 1 invalid, 2 valid but incomplete (the tail is not signed yet), 3 usage.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "verify/check.h"

namespace {

constexpr int kUsage = 3;

int usage(const std::string& why) {
  if (!why.empty()) std::fprintf(stderr, "sallyport-verify: %s\n", why.c_str());
  std::fputs("usage: sallyport-verify DIR --key KEY [--keys DIR/keys] [--head FILE]... [--json] [--quiet]\n"
             "  DIR          evidence directory\n"
             "  --key KEY    verifier key, or a file that holds it (sallyport evidence key prints it)\n"
             "  --keys PATH  folder with kek and session-keys: payloads are decrypted and compared, too\n"
             "  --head FILE  a signed head (checkpoint) kept elsewhere: the log must still bear it out\n"
             "  --json       one JSON object\n"
             "  --quiet      only the exit code\n"
             "exit: 0 valid, 1 invalid, 2 valid but the tail is not signed yet, 3 usage\n", stderr);
  return kUsage;
}

/// A mapped file that another process made shorter. No verdict is possible; nothing else is safe here.
void shrank(int) {
  static constexpr char kText[] = "sallyport-verify: a segment became shorter while it was read; no verdict. Verify a copy.\n";
  if (::write(2, kText, sizeof kText - 1) < 0) ::_exit(1);
  ::_exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  sallyport::verify::Settings settings;
  std::string key;
  bool json = false, quiet = false;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const auto value = [&](std::string& into) { return i + 1 < argc ? (into = argv[++i], true) : false; };
    if (arg == "--key") {
      if (!value(key)) return usage("--key needs a value");
    } else if (arg == "--keys" || arg == "--payload-key") {
      if (!value(settings.keys_directory)) return usage(arg + " needs a value");
    } else if (arg == "--head") {
      if (!value(settings.kept_heads.emplace_back())) return usage("--head needs a value");
    } else if (arg == "--json") json = true;
    else if (arg == "--quiet") quiet = true;
    else if (arg == "--help" || arg == "-h") return usage(""), 0;
    else if (arg.starts_with("-") || !settings.directory.empty()) return usage("unknown argument " + arg);
    else settings.directory = arg;
  }
  if (settings.directory.empty() || key.empty()) return usage("the directory and --key are needed");
  if (!std::filesystem::is_directory(settings.directory)) return usage("there is no directory " + settings.directory);
  std::string why;
  auto parsed = sallyport::verify::parse_key(key, why);
  if (std::ifstream file(key); !parsed && file) {
    const std::string text(std::istreambuf_iterator<char>(file), {});
    parsed = sallyport::verify::parse_key(text, why);
  }
  if (!parsed) return usage("--key: " + why);
  ::signal(SIGBUS, shrank);
  settings.key = *parsed;
  const auto report = sallyport::verify::check(settings);
  if (!quiet) std::fputs(((json ? sallyport::verify::to_json(report) + "\n" : sallyport::verify::to_text(report))).c_str(), stdout);
  return report.verdict;
}
