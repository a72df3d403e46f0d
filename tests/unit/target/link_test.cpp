// Which addresses that a target names are on the target itself: the credential goes nowhere else.
#include "target/link.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "evidence/notary.h"
#include "identity/upstream_tokens.h"

namespace sallyport::target {
namespace {

struct LinkTest : testing::Test {
  std::string dir = [] { std::string name = "/tmp/sallyport-link-XXXXXX"; return std::string(mkdtemp(name.data())); }();
  std::unique_ptr<evidence::Log> log;
  std::unique_ptr<state::Store> store;
  identity::Vault vault = identity::Vault::in_memory();
  std::unique_ptr<identity::UpstreamTokens> tokens;
  boost::asio::io_context context;

  void SetUp() override {
    const std::string origin = "gw1/evidence";
    auto signer = evidence::ed25519_signer(origin, evidence::generate_note_key(origin).first, dir + "/head");
    ASSERT_TRUE(signer.has_value());
    evidence::Options options;
    options.directory = dir + "/evidence";
    options.origin = origin;
    options.high_water = 1.0;
    log = std::move(*evidence::Log::open(options, std::move(*signer)));
    store = std::move(*state::Store::open(dir + "/state.db"));
    tokens = std::make_unique<identity::UpstreamTokens>(*store, *log, vault);
  }
  void TearDown() override {
    tokens.reset();
    store.reset();
    log.reset();
    std::filesystem::remove_all(dir);
  }
  std::shared_ptr<Link> link_to(const std::string& url) {
    McpTarget mcp;
    mcp.url = url;
    auto link = Link::open(context, Target{"t", {}, mcp}, *tokens);
    EXPECT_TRUE(link.has_value()) << link.error().what;
    return link ? *link : nullptr;
  }
};

TEST_F(LinkTest, TakesAddressesOnItsOwnServer) {
  const auto link = link_to("http://a.example:81/base/sse?x=1");
  const std::pair<const char*, const char*> kGood[] = {
      {"/messages?s=1", "/messages?s=1"}, {"messages?s=1", "/base/messages?s=1"}, {"?s=1", "/base/sse?s=1"}, {"http://a.example:81/m?s=1", "/m?s=1"}, {"http://A.example:81/m", "/m"}};
  for (const auto& [said, path] : kGood) {
    const auto got = link->path_of(said);
    EXPECT_TRUE(got.has_value() && *got == path) << said;
  }
}

TEST_F(LinkTest, TakesNoAddressElsewhere) {
  const auto link = link_to("http://a.example:81/base/sse");
  for (const char* said : {"http://b.example:81/m", "http://a.example/m", "https://a.example:81/m", "//b.example/m", "http://a.example:81@b.example/m", "http://b.example#http://a.example:81/", "", "/m#f", "/m x",
                           "/m\r\nX: y", "ftp://a.example:81/m", "http://"})
    EXPECT_FALSE(link->path_of(said).has_value()) << said;
}

}  // namespace
}  // namespace sallyport::target
