// The file `pruned` of any bytes: what is taken has one spelling.
#include <algorithm>

#include "evidence/pruned.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport;
  const ByteView bytes(data, size);
  const auto pruned = evidence::decode_pruned(bytes);
  if (!pruned) return 0;
  if (!std::ranges::equal(evidence::encode_pruned(*pruned), bytes)) __builtin_trap();
  (void)pruned->tree().root();
  return 0;
}
