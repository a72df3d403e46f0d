// Keys, signed heads, cosignatures and the torn end of an archive, of any bytes. Nothing but the key's own note may open, and the witness's
// own line of the format's example is the only one that counts.
#include "verify/heads.h"

using namespace sallyport::verify;

namespace {
constexpr std::string_view kKey = "example.org/evidence+113fdc51+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
constexpr std::string_view kText = "example.org/evidence\n1\nLgsCdgOLuQDsmeqsvGhBYct0IjMiC8RHLEojR4hglhk=\n\n";
constexpr std::string_view kWitness = "witness.example+790a8a0d+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X";
constexpr std::string_view kCosigned = "example.org/evidence\n3\n5U/YgYfLjbs2D/RWuGR492nufuUUWXCa0HJOBsWQ7Eg=\n";
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string why;
  static const auto key = *parse_key(kKey, why);
  (void)parse_key(text, why);
  static const auto witness = *parse_witness_key(kWitness, why);
  (void)parse_witness_key(text, why);
  auto line = unbase64(text).value_or(Blob{});
  line.erase(line.begin(), line.begin() + std::min<std::ptrdiff_t>(4, std::ssize(line)));   // the key's id
  for (const auto& bytes : {Blob(data, data + size), line}) {
    const auto at = cosigned_at(kCosigned, witness, {witness.name, witness.id, bytes});
    if (at && *at != 1'700'000'001) __builtin_trap();
  }
  if (const auto head = open_note(text, key, why))
    for (const auto& one : head->others)
      if (one.name == witness.name && cosigned_at(head->text, witness, one) && head->text != kCosigned) __builtin_trap();
  if (open_note(text, key, why) && !text.starts_with(kText) && !text.starts_with(std::string(kCosigned) + "\n")) __builtin_trap();
  if (is_torn_note(text, key) && text.find('\0') == std::string_view::npos)
    for (std::size_t n = 0; n < size; ++n)
      if (!is_torn_note(text.substr(0, n), key)) __builtin_trap();
  return 0;
}
