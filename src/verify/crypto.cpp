// What is made of Sha256, whoever implements it. See bytes.h and crypto.h.
#include "verify/crypto.h"

#include <algorithm>

namespace sallyport::verify {

Hash leaf_hash(View entry) {
  const std::uint8_t zero = 0;
  return Sha256().add({&zero, 1}).add(entry).done();
}

Hash node_hash(const Hash& left, const Hash& right) {
  const std::uint8_t one = 1;
  return Sha256().add({&one, 1}).add(left).add(right).done();
}

Hash hmac_sha256(View key, View message) {
  std::array<std::uint8_t, 64> inner{};
  if (key.size() > inner.size()) {
    const Hash shorter = Sha256().add(key).done();
    std::copy(shorter.begin(), shorter.end(), inner.begin());
  } else {
    std::copy(key.begin(), key.end(), inner.begin());
  }
  auto outer = inner;
  for (auto& b : inner) b ^= 0x36;
  for (auto& b : outer) b ^= 0x5C;
  return Sha256().add(outer).add(Sha256().add(inner).add(message).done()).done();
}

}  // namespace sallyport::verify
