// The cookie of a sign-in under way: only this gateway reads it, whole, in time, and only one of it.
#include "signin/browser_flow.h"

#include <gtest/gtest.h>

namespace sallyport::signin {
namespace {

net::Headers bearing(const std::string& cookie) {
  net::Headers out;
  out.add("Cookie", cookie);
  return out;
}
std::string pair_of(const std::string& set_cookie) { return set_cookie.substr(0, set_cookie.find(';')); }

TEST(BrowserFlow, ComesBackAsItWasAndNotAfterItsTime) {
  const auto vault = identity::Vault::in_memory();
  BrowserFlow flow;
  flow.redirect_uri = "http://127.0.0.1:1/callback";
  flow.state = "s\"t";
  flow.expires_wall_ns = 1000;
  const auto cookie = flow_cookie(vault, flow, true);
  EXPECT_TRUE(cookie.starts_with("__Host-sallyport-sign-in="));
  for (const auto* attribute : {"; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax"}) EXPECT_NE(cookie.find(attribute), std::string::npos) << attribute;
  const auto back = read_flow(vault, bearing("other=1; " + pair_of(cookie)), true, 999);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->redirect_uri, flow.redirect_uri);
  EXPECT_EQ(back->state, flow.state);
  EXPECT_FALSE(read_flow(vault, bearing(pair_of(cookie)), true, 1000).has_value());
}

TEST(BrowserFlow, IsNothingWhenChangedPlantedTwiceOrAnotherGateways) {
  const auto vault = identity::Vault::in_memory();
  BrowserFlow flow;
  flow.expires_wall_ns = 1000;
  const auto pair = pair_of(flow_cookie(vault, flow, true));
  for (std::size_t at = pair.find('=') + 1; at < pair.size(); ++at) {
    auto changed = pair;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(read_flow(vault, bearing(changed), true, 1).has_value()) << at;
  }
  EXPECT_FALSE(read_flow(vault, bearing(pair + "; " + pair), true, 1).has_value());
  EXPECT_FALSE(read_flow(identity::Vault::in_memory(), bearing(pair), true, 1).has_value());
  EXPECT_FALSE(read_flow(vault, bearing(pair), false, 1).has_value()) << "the plain name is for http";
  EXPECT_FALSE(read_flow(vault, bearing("x" + pair), true, 1).has_value());
  EXPECT_FALSE(read_flow(vault, {}, true, 1).has_value());
}

}  // namespace
}  // namespace sallyport::signin
