// What is made of Sha256, whoever implements it. See bytes.h and crypto.h.
#include "verify/crypto.h"
#include "verify/hmac.h"

namespace sallyport::verify {

Hash leaf_hash(View entry) {
  const std::uint8_t zero = 0;
  return Sha256().add({&zero, 1}).add(entry).done();
}

Hash node_hash(const Hash& left, const Hash& right) {
  const std::uint8_t one = 1;
  return Sha256().add({&one, 1}).add(left).add(right).done();
}

Hash hmac_sha256(View key, View message) { return HmacSha256(key).add(message).done(); }

}  // namespace sallyport::verify
