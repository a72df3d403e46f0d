// State that a client carries opens for whom and what it was sealed, and not for ever.
#include "protocol/mcp/carried_state.h"

#include <gtest/gtest.h>

namespace sallyport::protocol::mcp {
namespace {

constexpr std::int64_t kNow = 1'800'000'000'000'000'000;
const std::string kCall = "alice\nagent\ntickets\nrefund";

struct McpCarriedState : testing::Test {
  identity::Vault vault = identity::Vault::in_memory();
  std::string sealed = seal_state(vault, 3, kCall, {"the\ntarget's own", true, "one"}, kNow);
};

TEST_F(McpCarriedState, ComesBackAsItWas) {
  const auto carried = open_state(vault, kCall, sealed, kNow + 1);
  ASSERT_TRUE(carried);
  EXPECT_EQ(carried->state, "the\ntarget's own");
  EXPECT_TRUE(carried->of_target);
  EXPECT_EQ(carried->approved, "one");
  EXPECT_TRUE(sealed.starts_with("sp1.3.")) << "the worker that keeps what it is of";
  EXPECT_EQ(sealed.find("target"), std::string::npos);
}

TEST_F(McpCarriedState, OneThatTheTargetDidNotGiveIsToldFromAnEmptyOne) {
  EXPECT_FALSE(open_state(vault, kCall, seal_state(vault, 0, kCall, {"", false, ""}, kNow), kNow)->of_target);
  EXPECT_TRUE(open_state(vault, kCall, seal_state(vault, 0, kCall, {"", true, ""}, kNow), kNow)->of_target);
}

TEST_F(McpCarriedState, LivesForAQuarterOfAnHourAndNoLonger) {
  EXPECT_TRUE(open_state(vault, kCall, sealed, kNow + kStateLives));
  const auto late = open_state(vault, kCall, sealed, kNow + kStateLives + 1);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::Malformed);
}

TEST_F(McpCarriedState, OpensForNothingElse) {
  EXPECT_FALSE(open_state(vault, kCall + "s", sealed, kNow));
  EXPECT_FALSE(open_state(identity::Vault::in_memory(), kCall, sealed, kNow));
  EXPECT_FALSE(open_state(vault, kCall, "sp1.4." + sealed.substr(6), kNow)) << "another worker";
  for (const auto* text : {"", "sp1.", "sp1.3.", "sp1.3.AAAA", "the target's own"}) EXPECT_FALSE(open_state(vault, kCall, text, kNow)) << text;
}

}  // namespace
}  // namespace sallyport::protocol::mcp
