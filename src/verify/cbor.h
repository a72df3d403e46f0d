#pragma once
// Strict reading of deterministic CBOR (RFC 8949 §4.2.1): unsigned integers, byte and text strings, arrays, maps. Anything
// that has a shorter form, or is something else, is an error. The verifier's own. Pure; views point into the bytes read.
// Inline, and what is rare takes no reference to the reader: in a long function it lives in registers.
#include <bit>
#include <cstring>

#include "verify/bytes.h"

namespace sallyport::verify {

class Cbor {
 public:
  explicit Cbor(View bytes) : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()) {}
  bool ok() const { return ok_; }
  bool at_end() const { return at_ == end_; }
  bool next_is_bytes() const { return at_ < end_ && *at_ >> 5 == 2; }
  std::size_t at() const { return static_cast<std::size_t>(at_ - begin_); }
  View since(std::size_t from) const { return {begin_ + from, at_}; }
  /// After the first error everything is 0 or empty and ok() stays false.
  [[gnu::always_inline]] std::uint64_t uint() { return head(0); }
  [[gnu::always_inline]] View bytes() { return take(head(2)); }
  [[gnu::always_inline]] std::string_view text() {
    const auto bytes = take(head(3));
    const std::string_view out(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!is_utf8(out)) return fail(), std::string_view{};
    return out;
  }
  std::uint64_t array() { return count(4); }
  std::uint64_t map() { return count(5); }
  /// The number that comes next, if it is this one.
  template <std::uint64_t kNumber>
  [[gnu::always_inline]] bool skip() {
    static_assert(kNumber < 256);
    if constexpr (kNumber < 24) {
      if (at_ == end_ || *at_ != kNumber) return false;
      ++at_;
    } else {
      if (left() < 2 || at_[0] != 24 || at_[1] != kNumber) return false;
      at_ += 2;
    }
    return true;
  }

 private:
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  /// Nothing is left to be read, so that no reader need look whether one before it failed.
  std::uint64_t fail() { return at_ = end_, ok_ = false, 0; }
  /// Most heads are one byte.
  [[gnu::always_inline]] std::uint64_t head(unsigned major) {
    if (at_ == end_) return fail();
    const unsigned low = *at_ ^ major << 5;
    if (low < 24) return ++at_, low;
    if (low > 27) return fail();
    constexpr std::uint64_t kLeast[] = {24, 1u << 8, 1u << 16, std::uint64_t{1} << 32};  // below it there is a shorter form
    const std::size_t size = std::size_t{1} << (low - 24);
    const auto value = (left() > 8 ? eight(at_ + 1) : last(at_ + 1, left() - 1)) >> (64 - 8 * size);
    if (size >= left() || value < kLeast[low - 24]) return fail();
    at_ += 1 + size;
    return value;
  }
  /// The number that eight bytes are.
  static std::uint64_t eight(const std::uint8_t* from) {
    std::uint64_t out = 0;
    std::memcpy(&out, from, sizeof out);
    return std::endian::native == std::endian::little ? std::byteswap(out) : out;
  }
  /// The same where only `n` of them are there, as if zeros followed.
  static std::uint64_t last(const std::uint8_t* from, std::size_t n);
  std::uint64_t count(unsigned major) {
    const auto n = head(major);
    // Each element has one byte at least: a count that the bytes cannot hold is an error here, not an allocation later.
    return n > left() ? fail() : n;
  }
  [[gnu::always_inline]] View take(std::uint64_t n) {
    if (n > left()) return fail(), View{};
    const View out(at_, n);
    at_ += n;
    return out;
  }
  const std::uint8_t *begin_, *at_, *end_;
  bool ok_ = true;
};

}  // namespace sallyport::verify
