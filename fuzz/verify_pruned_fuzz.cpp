// The file `pruned` of any bytes, as the verifier reads it.
#include <bit>

#include "verify/pruned.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport::verify;
  Pruned out;
  const auto why = read_pruned(View(data, size), out);
  if (why.empty() && out.range.size() != static_cast<std::size_t>(std::popcount(out.first))) __builtin_trap();
  return 0;
}
