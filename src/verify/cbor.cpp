#include "verify/cbor.h"

namespace sallyport::verify {

std::uint64_t Cbor::head(unsigned major) {
  if (!ok_ || at_ >= bytes_.size() || bytes_[at_] >> 5 != major) return ok_ = false, 0;
  const unsigned low = bytes_[at_++] & 31;
  if (low < 24) return low;
  if (low > 27) return ok_ = false, 0;
  const std::size_t size = std::size_t{1} << (low - 24);
  if (bytes_.size() - at_ < size) return ok_ = false, 0;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | bytes_[at_++];
  const std::uint64_t least = size == 1 ? 24 : std::uint64_t{1} << (4 * size);
  if (value < least) return ok_ = false, 0;
  return value;
}

std::uint64_t Cbor::count(unsigned major) {
  const auto n = head(major);
  // Each element has one byte at least: a count that the bytes cannot hold is an error here, not an allocation later.
  if (n > bytes_.size() - at_) return ok_ = false, 0;
  return n;
}

View Cbor::take(std::uint64_t n) {
  if (!ok_ || n > bytes_.size() - at_) return ok_ = false, View{};
  const auto out = bytes_.subspan(at_, n);
  at_ += n;
  return out;
}

std::string_view Cbor::text() {
  const auto bytes = take(head(3));
  const std::string_view out(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (ok_ && !is_utf8(out)) ok_ = false;
  return ok_ ? out : std::string_view{};
}

}  // namespace sallyport::verify
