#include "evidence/cbor.h"

namespace sallyport::evidence::cbor {
namespace {

/// Length of the valid UTF-8 sequence at the start, 0 when there is none.
std::size_t sequence(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char a = byte(0);
  if (a < 0x80) return 1;
  const std::size_t n = a >= 0xC2 && a <= 0xDF ? 2 : a >= 0xE0 && a <= 0xEF ? 3 : a >= 0xF0 && a <= 0xF4 ? 4 : 0;
  if (n == 0 || s.size() < n) return 0;
  for (std::size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if (a == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
  if (a == 0xED && byte(1) > 0x9F) return 0;  // surrogate
  if (a == 0xF0 && byte(1) < 0x90) return 0;
  if (a == 0xF4 && byte(1) > 0x8F) return 0;
  return n;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    std::uint64_t eight = 0;
    if (text.size() >= sizeof eight) {
      std::memcpy(&eight, text.data(), sizeof eight);
      if ((eight & 0x8080808080808080) == 0) {
        text.remove_prefix(sizeof eight);
        continue;
      }
    }
    const auto n = sequence(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

std::uint8_t* write_head(std::uint8_t* out, std::uint8_t major, std::uint64_t n) {
  const auto top = static_cast<std::uint8_t>(major << 5);
  if (n < 24) {
    *out = static_cast<std::uint8_t>(top | n);
    return out + 1;
  }
  const int size = n <= 0xFF ? 0 : n <= 0xFFFF ? 1 : n <= 0xFFFFFFFF ? 2 : 3;
  *out++ = static_cast<std::uint8_t>(top | (24 + size));
  for (int left = 1 << size; left-- > 0;) *out++ = static_cast<std::uint8_t>(n >> 8 * left);
  return out;
}

void put_head(Bytes& out, std::uint8_t major, std::uint64_t n) {
  if (n < 24) return out.push_back(static_cast<std::uint8_t>(major << 5 | n));
  std::array<std::uint8_t, 9> head;
  out.insert(out.end(), head.data(), write_head(head.data(), major, n));
}

void put_bytes(Bytes& out, ByteView bytes) {
  put_head(out, 2, bytes.size());
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_text(Bytes& out, std::string_view text) {
  put_head(out, 3, text.size());
  const auto bytes = as_bytes(text);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

Result<std::uint64_t> Reader::head(std::uint8_t major) {
  if (at_ >= bytes_.size()) return fail(ErrorKind::Malformed, "CBOR ends where an item is due");
  const std::uint8_t first = bytes_[at_];
  if (first >> 5 != major) return fail(ErrorKind::Malformed, "CBOR item of another type than the format has here");
  const unsigned low = first & 31;
  if (low < 24) {
    ++at_;
    return low;
  }
  if (low > 27) return fail(ErrorKind::Malformed, "CBOR head of indefinite or reserved length");
  const std::size_t length = std::size_t{1} << (low - 24);
  if (bytes_.size() - at_ - 1 < length) return fail(ErrorKind::Malformed, "CBOR ends within an item");
  std::uint64_t n = 0;
  for (std::size_t i = 0; i < length; ++i) n = n << 8 | bytes_[at_ + 1 + i];
  const std::uint64_t least = low == 24 ? 24 : std::uint64_t{1} << 8 * (length / 2);
  if (n < least) return fail(ErrorKind::Malformed, "CBOR head is not the shortest");
  at_ += 1 + length;
  return n;
}

Result<ByteView> Reader::take(std::uint64_t n) {
  if (n > bytes_.size() - at_) return fail(ErrorKind::Malformed, "CBOR string is longer than what is left");
  const auto view = bytes_.subspan(at_, static_cast<std::size_t>(n));
  at_ += static_cast<std::size_t>(n);
  return view;
}

Result<ByteView> Reader::bytes() {
  TRY(const auto n, head(2));
  return take(n);
}

Result<std::string_view> Reader::text() {
  TRY(const auto n, head(3));
  TRY(const auto view, take(n));
  if (!is_utf8(as_text(view))) return fail(ErrorKind::Malformed, "CBOR text is not UTF-8");
  return as_text(view);
}

Result<std::uint64_t> Reader::array() {
  TRY(const auto n, head(4));
  if (n > bytes_.size() - at_) return fail(ErrorKind::Malformed, "CBOR array is longer than what is left");
  return n;
}

Result<std::uint64_t> Reader::map() {
  TRY(const auto n, head(5));
  if (n > (bytes_.size() - at_) / 2) return fail(ErrorKind::Malformed, "CBOR map is longer than what is left");
  return n;
}

Result<void> Reader::skip(int depth) {
  if (depth == 0) return fail(ErrorKind::Malformed, "CBOR is nested too deep");
  if (at_ >= bytes_.size()) return fail(ErrorKind::Malformed, "CBOR ends where an item is due");
  switch (bytes_[at_] >> 5) {
    case 0: TRY_VOID(uint()); return {};
    case 2: TRY_VOID(bytes()); return {};
    case 3: TRY_VOID(text()); return {};
    case 4: {
      TRY(const auto n, array());
      for (std::uint64_t i = 0; i < n; ++i) TRY_VOID(skip(depth - 1));
      return {};
    }
    case 5: {
      TRY(const auto n, map());
      ByteView last;
      for (std::uint64_t i = 0; i < n; ++i) {
        const auto start = at_;
        TRY_VOID(skip(depth - 1));
        const auto key = bytes_.subspan(start, at_ - start);
        if (i > 0 && !std::ranges::lexicographical_compare(last, key)) {
          return fail(ErrorKind::Malformed, "CBOR map keys are not ascending");
        }
        last = key;
        TRY_VOID(skip(depth - 1));
      }
      return {};
    }
    default: return fail(ErrorKind::Malformed, "CBOR item of a type the formats do not use");
  }
}

}  // namespace sallyport::evidence::cbor
