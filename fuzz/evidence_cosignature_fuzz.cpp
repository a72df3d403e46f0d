// Witnesses' keys, lines and notes of any bytes. Nothing counts as cosigned that the witness did not sign.
#include "evidence/cosignature.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport;
  using namespace sallyport::evidence;
  static const auto kSigner = signer_from_seed("witness", Digest{1});
  static const auto kKey = *parse_cosigner_key(cosigner_key_of(kSigner));
  static const std::string kText = "log\n1\nLgsCdgOLuQDsmeqsvGhBYct0IjMiC8RHLEojR4hglhk=\n", kLine = cosign(kSigner, kText, 1'700'000'000);
  const auto text = as_text(ByteView(data, size));
  (void)parse_cosigner_key(text);
  // Of the input nothing is signed.
  if (const auto at = cosigned_at(text, kKey); at && *at) __builtin_trap();
  if (const auto at = cosigned_at(kText, text, kKey); at && *at && text != std::string_view(kLine).substr(0, kLine.size() - 1)) __builtin_trap();
  // Other lines around the right one: it is found, unless one in front of it is mangled or wrong.
  if (const auto at = cosigned_at(kText + "\n" + kLine + std::string(text), kKey); text.find("\n\n") == std::string_view::npos && !text.starts_with('\n') && (!at || !*at || **at != 1'700'000'000)) __builtin_trap();
  const auto seconds = size < 8 ? 0 : std::uint64_t{data[0]} << 56 | data[7];
  const auto line = cosign(kSigner, text, seconds);
  if (const auto at = cosigned_at(text, std::string_view(line).substr(0, line.size() - 1), kKey); !at || *at != seconds) __builtin_trap();
  return 0;
}
