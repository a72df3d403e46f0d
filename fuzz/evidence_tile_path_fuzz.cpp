// Paths below /log: each that is taken is the one path of its page.
#include <string_view>

#include "evidence/tile_path.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport::evidence;
  const std::string_view path(reinterpret_cast<const char*>(data), size);
  if (const auto page = parse_log_path(path); page && log_path(*page) != path) __builtin_trap();
  return 0;
}
