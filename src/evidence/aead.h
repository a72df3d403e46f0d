#pragma once
// AES-256-GCM over small things, with a random nonce or one that the caller counts. Pure, any thread.
#include <optional>

#include "base/bytes.h"

namespace sallyport::evidence {

/// The ciphertext and its tag of 16 bytes.
Bytes seal(const Digest& key, std::span<const std::uint8_t, 12> nonce, ByteView bound_to, ByteView plain);
/// nullopt when it is not what this key sealed.
std::optional<Bytes> unseal(const Digest& key, std::span<const std::uint8_t, 12> nonce, ByteView bound_to, ByteView sealed);

}  // namespace sallyport::evidence
