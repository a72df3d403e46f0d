#pragma once
// Strict reading of deterministic CBOR (RFC 8949 §4.2.1): unsigned integers, byte and text strings, arrays, maps. Anything
// that has a shorter form, or is something else, is an error. The verifier's own. Pure; views point into the bytes read.
#include "verify/bytes.h"

namespace sallyport::verify {

class Cbor {
 public:
  explicit Cbor(View bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  bool at_end() const { return at_ == bytes_.size(); }
  bool next_is_bytes() const { return at_ < bytes_.size() && bytes_[at_] >> 5 == 2; }
  std::size_t at() const { return at_; }
  View since(std::size_t from) const { return bytes_.subspan(from, at_ - from); }
  /// After the first error everything is 0 or empty and ok() stays false.
  std::uint64_t uint() { return head(0); }
  View bytes() { return take(head(2)); }
  std::string_view text();
  std::uint64_t array() { return count(4); }
  std::uint64_t map() { return count(5); }

 private:
  /// Most heads are one byte.
  std::uint64_t head(unsigned major) {
    if (ok_ && at_ < bytes_.size()) {
      const unsigned low = bytes_[at_] ^ major << 5;
      if (low < 24) return ++at_, low;
    }
    return long_head(major);
  }
  std::uint64_t long_head(unsigned major);
  std::uint64_t count(unsigned major);
  View take(std::uint64_t n) {
    if (!ok_ || n > bytes_.size() - at_) return ok_ = false, View{};
    const auto out = bytes_.subspan(at_, n);
    at_ += n;
    return out;
  }
  View bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace sallyport::verify
