// Receipts of any bytes. Only the entry that the key's head has in its tree may be proven: the example's.
#include <algorithm>

#include "verify/receipt.h"

using namespace sallyport::verify;

namespace {
constexpr std::string_view kKey = "example.org/evidence+113fdc51+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
constexpr std::string_view kEntry = "AaUBAAIbF5ec/jYqAAADGwAAAAEqBfIABFAAAQIDBAUGBwgJCgsMDQ4PBwQ=";
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string why, code;
  static const auto key = *parse_key(kKey, why);
  const auto receipts = read_receipts(text, why);
  if (!receipts) return 0;
  for (const auto& one : *receipts)
    if (check_receipt(one, key, code, why) && (one.index != 0 || base64(one.entry) != kEntry)) __builtin_trap();
  return 0;
}
