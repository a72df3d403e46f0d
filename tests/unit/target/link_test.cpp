// Which addresses that a target names are on the target itself: the credential goes nowhere else.
#include "target/link.h"

#include <gtest/gtest.h>

namespace sallyport::target {
namespace {

std::shared_ptr<Link> link_to(boost::asio::io_context& context, const std::string& url) {
  McpTarget mcp;
  mcp.url = url;
  auto link = Link::open(context, Target{"t", {}, mcp});
  EXPECT_TRUE(link.has_value()) << link.error().what;
  return link ? *link : nullptr;
}

TEST(Link, TakesAddressesOnItsOwnServer) {
  boost::asio::io_context context;
  const auto link = link_to(context, "http://a.example:81/base/sse?x=1");
  const std::pair<const char*, const char*> kGood[] = {
      {"/messages?s=1", "/messages?s=1"}, {"messages?s=1", "/base/messages?s=1"}, {"?s=1", "/base/sse?s=1"}, {"http://a.example:81/m?s=1", "/m?s=1"}, {"http://A.example:81/m", "/m"}};
  for (const auto& [said, path] : kGood) {
    const auto got = link->path_of(said);
    EXPECT_TRUE(got.has_value() && *got == path) << said;
  }
}

TEST(Link, TakesNoAddressElsewhere) {
  boost::asio::io_context context;
  const auto link = link_to(context, "http://a.example:81/base/sse");
  for (const char* said : {"http://b.example:81/m", "http://a.example/m", "https://a.example:81/m", "//b.example/m", "http://a.example:81@b.example/m", "http://b.example#http://a.example:81/", "", "/m#f", "/m x",
                           "/m\r\nX: y", "ftp://a.example:81/m", "http://"})
    EXPECT_FALSE(link->path_of(said).has_value()) << said;
}

}  // namespace
}  // namespace sallyport::target
