// Notes and key texts of any bytes; no note may open that was not signed.
#include "evidence/note.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport;
  using namespace sallyport::evidence;
  static const auto kSigner = signer_from_seed("fuzz", Digest{});
  static const auto kKey = *parse_verifier_key(verifier_key_of(kSigner));
  const auto text = as_text(ByteView(data, size));
  (void)open_note(text, kKey);
  (void)parse_verifier_key(text);
  (void)parse_signer_key(text);
  if (const auto head = parse_checkpoint(text)) {
    const auto again = parse_checkpoint(checkpoint_text(*head));
    if (!again || again->size != head->size || again->root != head->root) __builtin_trap();
  }
  return 0;
}
