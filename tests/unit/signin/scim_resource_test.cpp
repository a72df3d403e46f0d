// SCIM resources as Okta, Entra ID and the RFC write them.
#include "signin/scim_resource.h"

#include <gtest/gtest.h>

namespace sallyport::signin {
namespace {

json::Document parse(const std::string& text) {
  auto document = json::Document::parse(text);
  EXPECT_TRUE(document.has_value()) << text;
  return std::move(*document);
}

TEST(Scim, ReadsAUserAndForgetsWhatItDoesNotKeep) {
  ScimUser user;
  const auto body = parse(R"({"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ada@example.com","externalId":"00u1","name":{"givenName":"Ada","familyName":"L"},
    "emails":[{"value":"old@example.com","type":"home"},{"value":"ada@example.com","primary":true}],"active":true,"title":"Engineer","phoneNumbers":[]})");
  ASSERT_TRUE(read_user(body.root(), user).has_value());
  EXPECT_EQ(user.user_name, "ada@example.com");
  EXPECT_EQ(user.external_id, "00u1");
  EXPECT_EQ(user.display_name, "Ada L");
  EXPECT_EQ(user.email, "ada@example.com");
  EXPECT_TRUE(user.active);
}

TEST(Scim, ALeaverLeavesInEveryDialect) {
  for (const auto* text : {R"({"Operations":[{"op":"replace","value":{"active":false}}]})",                      // Okta
                           R"({"Operations":[{"op":"Replace","path":"active","value":"False"}]})",               // Entra ID
                           R"({"operations":[{"op":"add","path":"active","value":false}]})",
                           R"({"Operations":[{"op":"replace","value":{"ACTIVE":false,"displayName":"x"}}]})"}) {
    ScimUser user;
    user.user_name = "ada";
    const auto body = parse(text);
    ASSERT_TRUE(patch_user(body.root(), user).has_value()) << text;
    EXPECT_FALSE(user.active) << text;
  }
}

TEST(Scim, RefusesWhatWouldMislead) {
  for (const auto* text : {R"({"Operations":[]})", R"({})", R"({"Operations":[{"op":"move","path":"active","value":false}]})", R"({"Operations":[{"op":"replace","path":"active","value":"maybe"}]})",
                           R"({"Operations":[{"op":"remove","path":"userName"}]})", R"({"Operations":[{"op":"remove"}]})", R"({"Operations":[{"op":"replace","value":3}]})",
                           "{\"Operations\":[{\"op\":\"replace\",\"path\":\"userName\",\"value\":\"a\\u0007b\"}]}"}) {
    ScimUser user;
    user.user_name = "ada";
    const auto body = parse(text);
    EXPECT_FALSE(patch_user(body.root(), user).has_value()) << text;
  }
  ScimUser nameless;
  EXPECT_FALSE(read_user(parse(R"({"active":true})").root(), nameless).has_value());
  ScimGroup group;
  EXPECT_FALSE(read_group(parse(R"({"displayName":"x","members":[{"display":"no id"}]})").root(), group).has_value());
}

TEST(Scim, MembersAreAddedRemovedAndReplaced) {
  ScimGroup group;
  ASSERT_TRUE(read_group(parse(R"({"displayName":"leads","members":[{"value":"b"},{"value":"a"},{"value":"a"}]})").root(), group).has_value());
  EXPECT_EQ(group.members, (std::vector<std::string>{"a", "b"}));
  const auto patch = [&](const char* text) { return patch_group(parse(text).root(), group).has_value(); };
  ASSERT_TRUE(patch(R"({"Operations":[{"op":"add","path":"members","value":[{"value":"c"}]}]})"));
  EXPECT_EQ(group.members, (std::vector<std::string>{"a", "b", "c"}));
  ASSERT_TRUE(patch(R"({"Operations":[{"op":"remove","path":"members[value eq \"b\"]"}]})"));
  EXPECT_EQ(group.members, (std::vector<std::string>{"a", "c"}));
  ASSERT_TRUE(patch(R"({"Operations":[{"op":"remove","path":"members","value":[{"value":"a"}]}]})"));
  EXPECT_EQ(group.members, (std::vector<std::string>{"c"}));
  ASSERT_TRUE(patch(R"({"Operations":[{"op":"replace","path":"members","value":[{"value":"x"},{"value":"y"}]}]})"));
  EXPECT_EQ(group.members, (std::vector<std::string>{"x", "y"}));
  ASSERT_TRUE(patch(R"({"Operations":[{"op":"remove","path":"members"}]})"));
  EXPECT_TRUE(group.members.empty());
  EXPECT_FALSE(patch(R"({"Operations":[{"op":"remove","path":"members[display eq \"b\"]"}]})"));
}

TEST(Scim, ReadsTheFilterThatClientsSendAndNoOther) {
  const auto filter = read_filter(R"(userName eq "ada@example.com")");
  ASSERT_TRUE(filter && *filter);
  EXPECT_EQ((*filter)->attribute, "username");
  EXPECT_EQ((*filter)->value, "ada@example.com");
  EXPECT_FALSE(read_filter("")->has_value());
  for (const auto* wrong : {"userName", "userName eq", "userName co \"x\"", "userName eq x", "userName eq \"x\" and active eq true", "(userName eq \"x\")"})
    EXPECT_FALSE(read_filter(wrong).has_value()) << wrong;
}

}  // namespace
}  // namespace sallyport::signin
