#include "verify/hmac.h"

#include <algorithm>

namespace sallyport::verify {

HmacSha256::HmacSha256(View key) {
  std::array<std::uint8_t, 64> block{};
  const Hash hashed = key.size() > block.size() ? Sha256().add(key).done() : Hash{};
  if (key.size() > block.size()) std::copy(hashed.begin(), hashed.end(), block.begin());
  else std::copy(key.begin(), key.end(), block.begin());
  for (auto& b : block) b ^= 0x36;
  inner_.add(block);
  for (auto& b : block) b ^= 0x36 ^ 0x5C;
  outer_.add(block);
}

HmacSha256& HmacSha256::add(View bytes) {
  inner_.add(bytes);
  return *this;
}

Hash HmacSha256::done() {
  const auto inner = inner_.done();
  return outer_.add(inner).done();
}

std::string pseudonym_of(View salt, std::string_view value) {
  auto text = base64(HmacSha256(salt).add(view(value)).done()).substr(0, 22);
  for (auto& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return "~" + text;
}

}  // namespace sallyport::verify
