// Whatever the reader takes has one form only: it must survive, and entries must be read without a fault.
#include "evidence/cbor.h"
#include "evidence/entry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport;
  evidence::cbor::Reader in(ByteView(data, size));
  while (!in.at_end() && in.skip()) {
  }
  (void)evidence::read_entry(ByteView(data, size));
  const auto text = evidence::utf8(as_text(ByteView(data, size)));
  if (!evidence::cbor::is_utf8(text)) __builtin_trap();
  return 0;
}
