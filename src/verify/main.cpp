// sallyport-verify DIR --key KEY: is this evidence what the key signed? Needs nothing but the directory and the public key.
// sallyport-verify receipt FILE --key KEY: do these entries stand in the log that the key signed? Needs the receipt alone.
// sallyport-verify pack FILE --key KEY: is this evidence pack what the key signed? Needs the pack alone.
// Exit codes: 0 valid, 1 invalid, 2 valid but incomplete (the tail is not signed yet), 3 usage.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "verify/check.h"
#include "verify/live.h"
#include "verify/pack.h"
#include "verify/receipt.h"
#include "verify/timestamps.h"

namespace {

constexpr int kUsage = 3;

int usage(const std::string& why) {
  if (!why.empty()) std::fprintf(stderr, "sallyport-verify: %s\n", why.c_str());
  std::fputs("usage: sallyport-verify DIR --key KEY [--keys DIR/keys] [--head FILE]... [--witness KEY]... [--quorum N] [--tsa-ca FILE] [--json] [--quiet]\n"
             "       sallyport-verify URL --key KEY [--witness KEY]... [--quorum N] [--token-file FILE] [--ca FILE] [--json] [--quiet]\n"
             "       sallyport-verify receipt FILE --key KEY [--json] [--quiet]\n"
             "       sallyport-verify pack FILE --key KEY [--witness KEY]... [--quorum N] [--tsa-ca FILE] [--json] [--quiet] [--report OUT]\n"
             "  DIR          evidence directory\n"
             "  URL          a log over HTTP: https://GATEWAY:9443/log (needs the program curl)\n"
             "  FILE         receipts (sallyport receipt) or pack (sallyport evidence export); - for standard input\n"
             "  --key KEY    verifier key, or a file that holds it (sallyport evidence key prints it)\n"
             "  --keys PATH  folder with kek and session-keys: payloads are decrypted and compared, too\n"
             "  --witness K  verifier key of a witness, or a file that holds it; may be repeated\n"
             "  --quorum N   cosignatures that a head needs; default: all of the witnesses named\n"
             "  --tsa-ca F   PEM certificate of the time-stamping authority: time stamps are verified, too\n"
             "  --head FILE  a signed head (checkpoint) kept elsewhere: the log must still bear it out\n"
             "  --report OUT write the report here, made from what was verified\n"
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

template <class Parse>
std::optional<sallyport::verify::NoteKey> key_of(const std::string& given, std::string& why, Parse parse) {
  auto parsed = parse(given, why);
  if (std::ifstream file(given); !parsed && file) parsed = parse(std::string(std::istreambuf_iterator<char>(file), {}), why);
  return parsed;
}

int check_receipts(const std::string& path, const sallyport::verify::NoteKey& key, bool json, bool quiet) {
  std::ifstream file(path);
  if (path != "-" && !file) return usage("cannot read " + path);
  const std::string text(std::istreambuf_iterator<char>(path == "-" ? std::cin : file), {});
  const auto report = sallyport::verify::check_receipts(text, key);
  if (quiet) return report.valid ? 0 : 1;
  if (json) {
    std::printf("%s\n", sallyport::verify::to_json(report).c_str());
  } else if (report.valid) {
    for (const auto& line : report.proven) std::printf("proven: %s\n", line.c_str());
    std::printf("valid: %zu receipts\n", report.receipts);
  } else {
    std::printf("INVALID: %s: %s\n", report.code.c_str(), sallyport::verify::printable(report.what).c_str());
  }
  return report.valid ? 0 : 1;
}

int check_log_at(const sallyport::verify::Settings& settings, const sallyport::verify::NoteKey& key, const std::string& token_file, const std::string& ca, bool json, bool quiet) {
  sallyport::verify::LiveSettings live{settings.directory, "", ca, key, settings.witnesses, settings.quorum};
  while (live.url.ends_with('/')) live.url.pop_back();
  if (!token_file.empty()) {
    std::ifstream file(token_file);
    if (!file || !std::getline(file, live.token)) return usage("cannot read " + token_file);
  }
  std::string why;
  const auto report = sallyport::verify::check_live(live, why);
  if (!report) return std::fprintf(stderr, "sallyport-verify: no verdict: %s\n", sallyport::verify::printable(why).c_str()), kUsage;
  if (!quiet) std::fputs((json ? to_json(*report) + "\n" : to_text(*report)).c_str(), stdout);
  return report->verdict;
}

int check_pack(const std::string& path, const sallyport::verify::PackSettings& settings, const std::string& out, bool json, bool quiet) {
  std::ifstream file(path, std::ios::binary);
  if (path != "-" && !file) return usage("cannot read " + path);
  auto& in = path == "-" ? std::cin : static_cast<std::istream&>(file);
  sallyport::verify::PackChecker checker(settings);
  std::vector<char> piece(1u << 20);
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())), in.gcount() > 0)
    checker.feed({reinterpret_cast<const std::uint8_t*>(piece.data()), static_cast<std::size_t>(in.gcount())});
  const auto report = checker.finish();
  if (!quiet) std::fputs((json ? to_json(report) + "\n" : to_text(report)).c_str(), stdout);
  const int verdict = !report.valid ? 1 : report.complete() ? 0 : 2;
  if (out.empty()) return verdict;
  // Of a pack that is not valid there is nothing that could be believed.
  if (!report.valid) return std::fputs("sallyport-verify: no report is written of a pack that is not valid\n", stderr), 1;
  std::ofstream to(out, std::ios::binary | std::ios::trunc);
  to << report.html;
  to.close();
  return to ? verdict : usage("cannot write " + out);
}

}  // namespace

int main(int argc, char** argv) {
  sallyport::verify::Settings settings;
  std::string key, out, token_file, ca;
  bool json = false, quiet = false;
  const bool receipt = argc > 1 && std::string_view(argv[1]) == "receipt";
  const bool pack = argc > 1 && std::string_view(argv[1]) == "pack";
  for (int i = receipt || pack ? 2 : 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const auto value = [&](std::string& into) { return i + 1 < argc ? (into = argv[++i], true) : false; };
    if (arg == "--key") {
      if (!value(key)) return usage("--key needs a value");
    } else if (arg == "--keys" || arg == "--payload-key") {
      if (!value(settings.keys_directory)) return usage(arg + " needs a value");
    } else if (arg == "--head") {
      if (!value(settings.kept_heads.emplace_back())) return usage("--head needs a value");
    } else if (pack && arg == "--report") {
      if (!value(out)) return usage("--report needs a value");
    } else if (arg == "--witness") {
      std::string given, wrong;
      if (!value(given)) return usage("--witness needs a value");
      auto witness = key_of(given, wrong, sallyport::verify::parse_witness_key);
      if (!witness) return usage("--witness: " + wrong);
      settings.witnesses.push_back(std::move(*witness));
    } else if (arg == "--token-file") {
      if (!value(token_file)) return usage("--token-file needs a value");
    } else if (arg == "--ca") {
      if (!value(ca)) return usage("--ca needs a value");
    } else if (arg == "--tsa-ca") {
      if (!value(settings.timestamp_ca)) return usage("--tsa-ca needs a value");
    } else if (arg == "--quorum") {
      std::string given;
      if (!value(given) || given.empty() || given.size() > 3 || given.find_first_not_of("0123456789") != std::string::npos) return usage("--quorum needs a number");
      settings.quorum = std::stoul(given);
    } else if (arg == "--json") json = true;
    else if (arg == "--quiet") quiet = true;
    else if (arg == "--help" || arg == "-h") return usage(""), 0;
    else if ((arg.starts_with("-") && arg != "-") || !settings.directory.empty()) return usage("unknown argument " + arg);
    else settings.directory = arg;
  }
  if (settings.directory.empty() || key.empty()) return usage(receipt || pack ? "the file and --key are needed" : "the directory and --key are needed");
  std::string why;
  const auto parsed = key_of(key, why, sallyport::verify::parse_key);
  if (settings.quorum > settings.witnesses.size()) return usage("--quorum is larger than the number of witnesses");
  if (settings.quorum == 0) settings.quorum = settings.witnesses.size();
  if (!parsed) return usage("--key: " + why);
  if (receipt) return check_receipts(settings.directory, *parsed, json, quiet);
  if (pack) {
    sallyport::verify::PackSettings of{*parsed, settings.witnesses, settings.quorum, {}};
    if (const auto& authority = settings.timestamp_ca; !authority.empty())
      of.stamped_at = [authority](auto stamped, auto answer, auto& wrong) { return sallyport::verify::stamped_at(stamped, answer, authority, wrong); };
    return check_pack(settings.directory, of, out, json, quiet);
  }
  if (settings.directory.starts_with("https://") || settings.directory.starts_with("http://")) return check_log_at(settings, *parsed, token_file, ca, json, quiet);
  if (!std::filesystem::is_directory(settings.directory)) return usage("there is no directory " + settings.directory);
  ::signal(SIGBUS, shrank);
  settings.key = *parsed;
  const auto report = sallyport::verify::check(settings);
  if (!quiet) std::fputs(((json ? sallyport::verify::to_json(report) + "\n" : sallyport::verify::to_text(report))).c_str(), stdout);
  return report.verdict;
}
