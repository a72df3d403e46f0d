#include "verify/zip_form.h"

#include <algorithm>

namespace sallyport::verify {
namespace {

constexpr std::uint64_t kFull32 = 0xFFFFFFFF, kFull16 = 0xFFFF;
constexpr std::uint64_t kPlain = 20, kWide = 45, kMadeBy = 0x032D, kDay = 0x0021, kFile = 0x81A40000;

struct Writer {
  Blob out;
  Writer& put(std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    return *this;
  }
  Writer& put(const std::string& text) {
    out.insert(out.end(), text.begin(), text.end());
    return *this;
  }
};

/// From "version needed" to the sizes: the same in both headers.
void common(Writer& to, const ZipMember& member, bool wide) {
  const auto size = std::min(member.size, kFull32);
  to.put(wide ? kWide : kPlain, 2).put(0, 2).put(0, 2).put(0, 2).put(kDay, 2).put(member.crc, 4).put(size, 4).put(size, 4);
}

}  // namespace

std::uint32_t crc32(std::uint32_t before, View bytes) {
  static const auto kTables = [] {
    std::array<std::array<std::uint32_t, 256>, 8> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int k = 0; k < 8; ++k) c = c & 1 ? c >> 1 ^ 0xEDB88320U : c >> 1;
      t[0][i] = c;
    }
    for (std::size_t s = 1; s < 8; ++s)
      for (std::size_t i = 0; i < 256; ++i) t[s][i] = t[s - 1][i] >> 8 ^ t[0][t[s - 1][i] & 255];
    return t;
  }();
  std::uint32_t c = ~before;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    const auto* p = bytes.data() + i;
    c ^= static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 | static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24;
    c = kTables[7][c & 255] ^ kTables[6][c >> 8 & 255] ^ kTables[5][c >> 16 & 255] ^ kTables[4][c >> 24] ^ kTables[3][p[4]] ^ kTables[2][p[5]] ^ kTables[1][p[6]] ^ kTables[0][p[7]];
  }
  for (; i < bytes.size(); ++i) c = c >> 8 ^ kTables[0][(c ^ bytes[i]) & 255];
  return ~c;
}

Blob local_header(const ZipMember& member) {
  const bool wide = member.size >= kFull32;
  Writer to;
  to.put(kLocalMagic, 4);
  common(to, member, wide);
  to.put(member.name.size(), 2).put(wide ? kLocalExtra : 0, 2).put(member.name);
  if (wide) to.put(1, 2).put(16, 2).put(member.size, 8).put(member.size, 8);
  return to.out;
}

Blob central_record(const ZipMember& member) {
  const bool wide_size = member.size >= kFull32, wide_offset = member.offset >= kFull32;
  const std::uint64_t extra = (wide_size ? 16U : 0U) + (wide_offset ? 8U : 0U);
  Writer to;
  to.put(0x02014b50, 4).put(kMadeBy, 2);
  common(to, member, extra != 0);
  to.put(member.name.size(), 2).put(extra == 0 ? 0 : extra + 4, 2).put(0, 2).put(0, 2).put(0, 2).put(kFile, 4).put(std::min(member.offset, kFull32), 4).put(member.name);
  if (extra != 0) to.put(1, 2).put(extra, 2);
  if (wide_size) to.put(member.size, 8).put(member.size, 8);
  if (wide_offset) to.put(member.offset, 8);
  return to.out;
}

Blob end_records(std::uint64_t members, std::uint64_t offset, std::uint64_t size) {
  Writer to;
  if (members >= kFull16 || size >= kFull32 || offset >= kFull32) {
    to.put(0x06064b50, 4).put(44, 8).put(kMadeBy, 2).put(kWide, 2).put(0, 4).put(0, 4).put(members, 8).put(members, 8).put(size, 8).put(offset, 8);
    to.put(0x07064b50, 4).put(0, 4).put(offset + size, 8).put(1, 4);
  }
  const auto count = std::min(members, kFull16);
  to.put(0x06054b50, 4).put(0, 2).put(0, 2).put(count, 2).put(count, 2).put(std::min(size, kFull32), 4).put(std::min(offset, kFull32), 4).put(0, 2);
  return to.out;
}

}  // namespace sallyport::verify
