#include "verify/cbor.h"

namespace sallyport::verify {

std::uint64_t Cbor::last(const std::uint8_t* from, std::size_t n) {
  std::uint8_t bytes[8] = {};
  if (n > 0) std::memcpy(bytes, from, n);
  return eight(bytes);
}

}  // namespace sallyport::verify
