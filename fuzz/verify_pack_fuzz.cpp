// Packs of any bytes, fed in two pieces. Only the example may be valid: the key signed no other head.
#include <algorithm>

#include "verify/pack.h"

using namespace sallyport::verify;

namespace {
constexpr std::string_view kKey = "example.org/evidence+113fdc51+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
constexpr std::string_view kEntry = "AaUBAAIbF5ec/jYqAAADGwAAAAEqBfIABFAAAQIDBAUGBwgJCgsMDQ4PBwQ=";
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string why;
  static const auto key = *parse_key(kKey, why);
  static const auto entry = *unbase64(kEntry);
  const View all(data, size);
  const auto cut = size == 0 ? 0 : data[size - 1] * size / 256;
  PackChecker checker({key});
  checker.feed(all.first(cut));
  checker.feed(all.subspan(cut));
  const auto report = checker.finish();
  // Whatever is disclosed in a valid one is the one entry that was signed.
  const bool there = std::search(all.begin(), all.end(), entry.begin(), entry.end()) != all.end();
  if (report.valid && (report.disclosed > 1 || (report.disclosed == 1 && !there))) __builtin_trap();
  if (report.valid != (report.fault_count == 0)) __builtin_trap();
  (void)to_json(report);
  (void)to_text(report);
  return 0;
}
