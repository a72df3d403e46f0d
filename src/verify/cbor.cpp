#include "verify/cbor.h"

#include <bit>
#include <cstring>

namespace sallyport::verify {

std::uint64_t Cbor::long_head(unsigned major) {
  if (!ok_ || at_ >= bytes_.size() || bytes_[at_] >> 5 != major) return ok_ = false, 0;
  const unsigned low = bytes_[at_++] & 31;
  if (low < 24) return low;
  // `least`: below it there is a shorter form.
  const auto read = [&]<class Number>(Number least) -> std::uint64_t {
    Number value = 0;
    if (bytes_.size() - at_ < sizeof value) return ok_ = false, 0;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
    if (value < least) return ok_ = false, 0;
    at_ += sizeof value;
    return value;
  };
  switch (low) {
    case 24: return read(std::uint8_t{24});
    case 25: return read(std::uint16_t{1u << 8});
    case 26: return read(std::uint32_t{1u << 16});
    case 27: return read(std::uint64_t{1} << 32);
    default: return ok_ = false, 0;
  }
}

std::uint64_t Cbor::count(unsigned major) {
  const auto n = head(major);
  // Each element has one byte at least: a count that the bytes cannot hold is an error here, not an allocation later.
  if (n > bytes_.size() - at_) return ok_ = false, 0;
  return n;
}

std::string_view Cbor::text() {
  const auto bytes = take(head(3));
  const std::string_view out(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (ok_ && !is_utf8(out)) ok_ = false;
  return ok_ ? out : std::string_view{};
}

}  // namespace sallyport::verify
