// An entry of any bytes, as the verifier reads it. What it takes must be one deterministic spelling: a change of length is refused.
#include "verify/entry.h"

using namespace sallyport::verify;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const View bytes(data, size);
  Entry entry;
  if (!read_entry(bytes, entry).empty()) return 0;
  for (const unsigned char c : describe(entry))
    if (c < 0x20 || c >= 0x7F) __builtin_trap();
  Entry other;
  if (read_entry(bytes.first(size - 1), other).empty()) __builtin_trap();
  Blob longer(bytes.begin(), bytes.end());
  longer.push_back(0);
  if (read_entry(longer, other).empty()) __builtin_trap();
  return 0;
}
