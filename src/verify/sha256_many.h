#pragma once
// SHA-256 of many short messages at once: the leaves and nodes of a tree. Lanes of a vector unit, or two interleaved streams of the SHA
// instructions, whichever the machine does best; Sha256 (bytes.h), one message after the other, where there is neither. The digests are the
// same on every path. Public data only. Pure; FIPS 180-4.
#include "verify/bytes.h"

namespace sallyport::verify {

struct Message {
  View bytes;
  Hash* digest = nullptr;     // where it goes
  int before = -1;            // a byte in front of the message (RFC 6962: 0 leaf, 1 node); -1 = none
};

void hash_all(std::span<const Message> messages);

/// A way to do it, for tests and benches: those that were compiled in and this machine supports, the best first.
struct HashPath {
  const char* name;
  void (*hash)(std::span<const Message>);
};
const std::vector<HashPath>& hash_paths();

}  // namespace sallyport::verify
