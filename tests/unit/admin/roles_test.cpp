// Who may do what at the admin listener, as a table of sentences.
#include "admin/roles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace sallyport::admin {
namespace {

using Names = std::set<std::string>;

identity::Principal person(std::vector<std::string> groups) {
  identity::Principal out;
  out.subject = "someone";
  out.issuer = "local";
  std::ranges::sort(groups);
  out.groups = std::move(groups);
  return out;
}
identity::Principal agent(std::vector<std::string> groups) {
  auto out = person(std::move(groups));
  out.agent = "bot";
  return out;
}
identity::Principal service(std::vector<std::string> groups) {
  auto out = person(std::move(groups));
  out.service = true;
  return out;
}
RoleGroups all_said() { return {{{"eng"}}, {{"app"}}, {"pol"}, {"aud"}, {"pay"}, {"log"}, {"keep"}}; }

Names may(const identity::Principal& who, const RoleGroups& groups) {
  Names out;
  const auto standing = standing_of(who, groups);
  for (std::size_t i = 1; i < kPermissions; ++i)
    if (standing.powers.has(static_cast<Permission>(i))) out.insert(to_string(static_cast<Permission>(i)));
  return out;
}

TEST(Roles, WithoutASectionEverybodyIsEngineerAndApproverAndNobodyMore) {
  EXPECT_EQ(may(person({}), {}), (Names{"own.identity", "own.requests", "own.tokens", "access.ask", "requests.vote"}));
}

TEST(Roles, EachGivesWhatItsRowSays) {
  const auto groups = all_said();
  EXPECT_EQ(may(person({"nobody"}), groups), (Names{"own.identity"}));
  EXPECT_EQ(may(person({"eng"}), groups), (Names{"own.identity", "own.requests", "own.tokens", "access.ask"}));
  EXPECT_EQ(may(person({"app"}), groups), (Names{"own.identity", "own.requests", "own.tokens", "requests.vote"}));
  EXPECT_EQ(may(person({"pol"}), groups), (Names{"own.identity", "own.tokens", "tokens.read", "tokens.revoke", "grants.revoke", "users.read", "config.read", "config.reload", "tools.read", "tools.review"}));
  EXPECT_EQ(may(person({"aud"}), groups), (Names{"own.identity", "own.requests", "own.tokens", "requests.read", "evidence.read", "sessions.read", "payload.read", "holds.read", "config.read", "tools.read"}));
  EXPECT_EQ(may(person({"pay"}), groups), (Names{"own.identity", "own.tokens", "sessions.read", "payload.read"}));
  EXPECT_EQ(may(person({"log"}), groups), (Names{"own.identity", "own.tokens", "own.requests", "evidence.read"}));
  EXPECT_EQ(may(person({"keep"}), groups), (Names{"own.identity", "own.tokens", "holds.read", "evidence.keep"}));
}

TEST(Roles, AnAuditorChangesNothingWhateverElseTheyAre) {
  const auto names = may(person({"eng", "app", "pol", "aud", "pay", "log", "keep"}), all_said());
  for (const auto* changing : {"access.ask", "requests.vote", "tokens.revoke", "grants.revoke", "config.reload", "evidence.keep", "tools.review"}) EXPECT_FALSE(names.contains(changing)) << changing;
  for (const auto* reading : {"evidence.read", "payload.read", "tokens.read"}) EXPECT_TRUE(names.contains(reading)) << reading;
}

TEST(Roles, APolicyAdminReadsNoPayloadUnlessGrantedByName) {
  EXPECT_FALSE(may(person({"pol", "aud"}), all_said()).contains("payload.read"));
  EXPECT_TRUE(may(person({"pol", "pay"}), all_said()).contains("payload.read"));
  EXPECT_FALSE(may(person({"pol"}), all_said()).contains("evidence.read"));
  EXPECT_TRUE(may(person({"pol", "log"}), all_said()).contains("evidence.read"));
}

TEST(Roles, AnAgentGetsNoOfficeOfItsPerson) {
  EXPECT_EQ(may(agent({"eng", "app", "pol", "aud", "pay", "log", "keep"}), all_said()), (Names{"own.identity", "own.requests", "access.ask"}));
  EXPECT_EQ(may(agent({"app", "aud"}), all_said()), (Names{"own.identity"}));
}

TEST(Roles, AServiceMayReadEntriesAndKeepButNeitherVoteNorAdministerNorReadContents) {
  EXPECT_EQ(may(service({"app", "pol"}), all_said()), (Names{"own.identity"}));
  EXPECT_EQ(may(service({"aud"}), all_said()), (Names{"own.identity", "own.requests", "own.tokens", "requests.read", "evidence.read", "sessions.read", "holds.read", "config.read", "tools.read"}));
  EXPECT_FALSE(may(service({}), {}).contains("requests.vote"));
  EXPECT_TRUE(may(service({"keep"}), all_said()).contains("evidence.keep"));
}

TEST(Roles, EveryPermissionHasANameAndARole) {
  Names names;
  for (std::size_t i = 1; i < kPermissions; ++i) {
    const auto permission = static_cast<Permission>(i);
    EXPECT_TRUE(names.insert(to_string(permission)).second) << to_string(permission);
    EXPECT_STRNE(role_of(permission), "") << to_string(permission);
  }
}

}  // namespace
}  // namespace sallyport::admin
