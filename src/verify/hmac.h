#pragma once
// HMAC-SHA256 (RFC 2104) in pieces: what payloads and pseudonyms are committed with. Pure.
#include "verify/bytes.h"

namespace sallyport::verify {

class HmacSha256 {
 public:
  explicit HmacSha256(View key);
  HmacSha256& add(View bytes);
  Hash done();

 private:
  Sha256 inner_, outer_;
};

/// "~" and 22 characters: how entries name an identity whose value is kept elsewhere (docs/formats/pack.md, names).
std::string pseudonym_of(View salt, std::string_view value);

}  // namespace sallyport::verify
