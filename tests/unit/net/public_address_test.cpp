// Which addresses a stranger's URL may lead to.
#include "net/public_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <string>

namespace sallyport::net {
namespace {

bool is_public_text(const std::string& text) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) return is_public(reinterpret_cast<const sockaddr*>(&v4));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) != 1) ADD_FAILURE() << text;
  return is_public(reinterpret_cast<const sockaddr*>(&v6));
}

TEST(PublicAddress, OfTheInternetIsOne) {
  for (const char* text : {"1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8"})
    EXPECT_TRUE(is_public_text(text)) << text;
}

TEST(PublicAddress, OfANetworkOfOnesOwnOrNobodysIsNone) {
  for (const char* text : {"0.0.0.0", "10.1.2.3", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1",
                           "203.0.113.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::1",
                           "2001::1", "2001:db8::1", "3fff::1"})
    EXPECT_FALSE(is_public_text(text)) << text;
}

}  // namespace
}  // namespace sallyport::net
