#pragma once
// Deterministic CBOR (RFC 8949 §4.2.1), the part the evidence formats use: unsigned integers, byte and text strings,
// arrays, maps. The reader refuses whatever has a shorter or another form. Pure, any thread.
#include "base/bytes.h"
#include "base/result.h"

namespace sallyport::evidence::cbor {

/// At most 9 bytes; returns what follows them.
std::uint8_t* write_head(std::uint8_t* out, std::uint8_t major, std::uint64_t n);
void put_head(Bytes& out, std::uint8_t major, std::uint64_t n);
inline void put_uint(Bytes& out, std::uint64_t n) { put_head(out, 0, n); }
void put_bytes(Bytes& out, ByteView bytes);
void put_text(Bytes& out, std::string_view text);
inline void put_array(Bytes& out, std::uint64_t n) { put_head(out, 4, n); }
inline void put_map(Bytes& out, std::uint64_t n) { put_head(out, 5, n); }

/// Reads items one after the other; all errors are Malformed. Views point into the bytes read.
class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes) {}
  Result<std::uint64_t> uint() { return head(0); }
  Result<ByteView> bytes();
  Result<std::string_view> text();
  Result<std::uint64_t> array();  // number of elements
  Result<std::uint64_t> map();    // number of pairs
  /// Steps over one whole item, checking it: order and uniqueness of map keys, UTF-8, depth.
  Result<void> skip(int depth = 8);
  /// The next item is a byte string.
  bool next_is_bytes() const { return at_ < bytes_.size() && bytes_[at_] >> 5 == 2; }
  bool at_end() const { return at_ == bytes_.size(); }
  std::size_t offset() const { return at_; }

 private:
  Result<std::uint64_t> head(std::uint8_t major);
  Result<ByteView> take(std::uint64_t n);
  ByteView bytes_;
  std::size_t at_ = 0;
};

bool is_utf8(std::string_view text);

}  // namespace sallyport::evidence::cbor
