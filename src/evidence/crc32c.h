#pragma once
// CRC32C (Castagnoli) over segment frames and key records: finds accidents, proves nothing. Pure, any thread.
#include "base/bytes.h"

namespace sallyport::evidence {

/// Of `bytes`, going on from `crc` (0 at the start).
std::uint32_t crc32c(ByteView bytes, std::uint32_t crc = 0);

}  // namespace sallyport::evidence
