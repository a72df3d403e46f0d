#pragma once
// The one spelling of a pack's zip (docs/formats/pack.md, "Zip"): stored members, fixed times and flags, zip64 only where a size
// or a place needs it. Whoever reads a pack builds these bytes from what it saw and compares, whoever writes one
// writes them. Pure.
#include "verify/bytes.h"

namespace sallyport::verify {

/// CRC-32 as in zip (ISO 3309); start with 0.
std::uint32_t crc32(std::uint32_t before, View bytes);

struct ZipMember {
  std::string name;
  std::uint64_t size = 0, offset = 0;  // offset of its local header
  std::uint32_t crc = 0;
};
constexpr std::uint32_t kLocalMagic = 0x04034b50;
constexpr std::size_t kLocalFixed = 30, kLocalExtra = 20;

Blob local_header(const ZipMember& member);
Blob central_record(const ZipMember& member);
/// What follows the central directory.
Blob end_records(std::uint64_t members, std::uint64_t offset, std::uint64_t size);

}  // namespace sallyport::verify
