// sallyport-verify DIR --key KEY: is this evidence what the key signed? Needs nothing but the directory and the public key.
// Exit codes: 0 valid, 1 invalid, 2 valid but incomplete (the tail is not signed yet), 3 usage.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "verify/check.h"

namespace {

constexpr int kUsage = 3;

int usage(const std::string& why) {
  if (!why.empty()) std::fprintf(stderr, "sallyport-verify: %s\n", why.c_str());
  std::fputs("usage: sallyport-verify DIR --key KEY [--keys DIR/keys] [--json] [--quiet]\n"
             "  DIR          evidence directory\n"
             "  --key KEY    verifier key, or a file that holds it (sallyport evidence key prints it)\n"
             "  --keys PATH  folder with kek and session-keys: payloads are decrypted and compared, too\n"
             "  --json       one JSON object\n"
             "  --quiet      only the exit code\n"
             "exit: 0 valid, 1 invalid, 2 valid but the tail is not signed yet, 3 usage\n", stderr);
  return kUsage;
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
    } else if (arg == "--json") json = true;
    else if (arg == "--quiet") quiet = true;
    else if (arg == "--help" || arg == "-h") return usage(""), 0;
    else if (arg.starts_with("-") || !settings.directory.empty()) return usage("unknown argument " + arg);
    else settings.directory = arg;
  }
  if (settings.directory.empty() || key.empty()) return usage("the directory and --key are needed");
  if (std::ifstream file(key); key.find('+') == std::string::npos && file) key.assign(std::istreambuf_iterator<char>(file), {});
  std::string why;
  const auto parsed = sallyport::verify::parse_key(key, why);
  if (!parsed) return usage("--key: " + why);
  settings.key = *parsed;
  const auto report = sallyport::verify::check(settings);
  if (!quiet) std::fputs(((json ? sallyport::verify::to_json(report) + "\n" : sallyport::verify::to_text(report))).c_str(), stdout);
  return report.verdict;
}
