// Keys, signed heads and the torn end of an archive, of any bytes. Nothing but the key's own note may open.
#include "verify/heads.h"

using namespace sallyport::verify;

namespace {
constexpr std::string_view kKey = "example.org/evidence+113fdc51+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
constexpr std::string_view kText = "example.org/evidence\n1\nLgsCdgOLuQDsmeqsvGhBYct0IjMiC8RHLEojR4hglhk=\n\n";
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string why;
  static const auto key = *parse_key(kKey, why);
  (void)parse_key(text, why);
  if (open_note(text, key, why) && !text.starts_with(kText)) __builtin_trap();
  if (is_torn_note(text, key) && text.find('\0') == std::string_view::npos)
    for (std::size_t n = 0; n < size; ++n)
      if (!is_torn_note(text.substr(0, n), key)) __builtin_trap();
  return 0;
}
