#include "net/public_address.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>

namespace sallyport::net {

namespace {

struct Range {
  std::uint32_t first;
  int bits;
};
constexpr Range kNotPublic[] = {
    {0x00000000, 8},  {0x0A000000, 8},  {0x64400000, 10}, {0x7F000000, 8},  {0xA9FE0000, 16}, {0xAC100000, 12}, {0xC0000000, 24}, {0xC0000200, 24},
    {0xC0586300, 24}, {0xC0A80000, 16}, {0xC6120000, 15}, {0xC6336400, 24}, {0xCB007100, 24}, {0xE0000000, 4},  {0xF0000000, 4},
};

bool is_public_v4(std::uint32_t address) {
  return std::ranges::none_of(kNotPublic, [&](const Range& one) { return ((address ^ one.first) >> (32 - one.bits)) == 0; });
}

/// Global unicast is 2000::/3; of it not the ranges that lead elsewhere: 2001::/23 (Teredo among them), 2001:db8::/32, 2002::/16 (6to4), 3fff::/20.
bool is_public_v6(const std::uint8_t* at) {
  static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (std::memcmp(at, kMapped, sizeof kMapped) == 0)
    return is_public_v4(static_cast<std::uint32_t>(at[12]) << 24 | static_cast<std::uint32_t>(at[13]) << 16 | static_cast<std::uint32_t>(at[14]) << 8 | at[15]);
  const auto head = static_cast<std::uint32_t>(at[0]) << 24 | static_cast<std::uint32_t>(at[1]) << 16 | static_cast<std::uint32_t>(at[2]) << 8 | at[3];
  if (head >> 29 != 1) return false;
  return head >> 9 != 0x20010000u >> 9 && head != 0x20010DB8u && head >> 16 != 0x2002 && head >> 12 != 0x3FFF0000u >> 12;
}

}  // namespace

bool is_public(const sockaddr* address) {
  if (address->sa_family == AF_INET) return is_public_v4(ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr));
  if (address->sa_family == AF_INET6) return is_public_v6(reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr.s6_addr);
  return false;
}

}  // namespace sallyport::net
