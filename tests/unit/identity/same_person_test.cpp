#include "identity/same_person.h"

#include <gtest/gtest.h>

namespace sallyport::identity {
namespace {

Principal account(std::string issuer, std::string subject, std::string email = "") {
  Principal who;
  who.issuer = std::move(issuer);
  who.subject = std::move(subject);
  who.email = std::move(email);
  return who;
}

TEST(SamePerson, IsOneAccountUnderAnyCredential) {
  auto agent = account("local", "alice");
  agent.agent = "bot";
  EXPECT_TRUE(same_human(account("local", "alice"), agent));
  EXPECT_FALSE(same_human(account("local", "alice"), account("https://id.example", "alice")));
}

TEST(SamePerson, IsAnEqualAddressWhateverItsCaseAndNeverAMissingOne) {
  EXPECT_TRUE(same_human(account("local", "a", "Alice@Example.com"), account("https://id.example", "b", "alice@example.COM")));
  EXPECT_FALSE(same_human(account("local", "a", "alice@example.com"), account("https://id.example", "b", "alice@example.co")));
  EXPECT_FALSE(same_human(account("local", "a"), account("https://id.example", "b")));
}

TEST(SamePerson, IsWhatTheConfigurationLinksInEitherOrder) {
  const SamePerson links({{"local\nalice", "https://id.example\nu1"}, {"local\nbob", "https://id.example\nu2"}});
  EXPECT_TRUE(same_human(account("https://id.example", "u1"), account("local", "alice"), links));
  EXPECT_FALSE(same_human(account("https://id.example", "u1"), account("local", "bob"), links));
  EXPECT_FALSE(same_human(account("https://id.example", "u3"), account("local", "carol"), links));
}

}  // namespace
}  // namespace sallyport::identity
