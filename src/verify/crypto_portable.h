#pragma once
// SHA-2 and Ed25519 without a library, for the verifier in the web page (see crypto.h). Tests hold them against OpenSSL and
// the vectors of FIPS 180-4 and RFC 8032. Public data only: nothing here takes constant time. Pure.
#include "verify/bytes.h"

namespace sallyport::verify::portable {

/// FIPS 180-4 §6.2, in pieces.
class Sha256 {
 public:
  Sha256& add(View bytes);
  Hash done();

 private:
  void block(const std::uint8_t* bytes);
  std::array<std::uint32_t, 8> state_ = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
  std::uint64_t size_ = 0;
  std::uint8_t rest_[64];  // what does not fill a block yet
};

/// FIPS 180-4 §6.4, of the pieces put one behind the other.
std::array<std::uint8_t, 64> sha512(std::initializer_list<View> pieces);

/// Accepts and refuses what OpenSSL does, to the bit: S must be canonical, R is compared as bytes, A is decoded as leniently
/// as there (y may exceed p, points of small order pass), and no cofactor is multiplied in.
bool ed25519_fits(const std::array<std::uint8_t, 32>& key, View message, View signature);

}  // namespace sallyport::verify::portable
