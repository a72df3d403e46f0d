#include "base/bytes.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

// RFC 4648 §10.
TEST(Base64, FollowsTheVectorsOfTheRfc) {
  const std::pair<const char*, const char*> kVectors[] = {{"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},
                                                          {"foo", "Zm9v"},  {"foob", "Zm9vYg=="},  {"fooba", "Zm9vYmE="},
                                                          {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : kVectors) {
    EXPECT_EQ(base64(as_bytes(plain)), coded);
    const auto back = from_base64(coded);
    ASSERT_TRUE(back) << coded;
    EXPECT_EQ(as_text(*back), plain);
  }
}

TEST(Base64, RefusesASecondSpellingOfOneValue) {
  EXPECT_FALSE(from_base64("Zh=="));
  EXPECT_FALSE(from_base64url("Zh"));
  EXPECT_FALSE(from_base64("Zg"));
  EXPECT_FALSE(from_base64("Zg==\n"));
  EXPECT_FALSE(from_base64url("Zg=="));
}

TEST(Hex, RefusesWhatIsNotHexadecimal) {
  EXPECT_FALSE(from_hex("0"));
  EXPECT_FALSE(from_hex("0g"));
  EXPECT_EQ(hex(*from_hex("00fFa1")), "00ffa1");
}

TEST(Sha256, FollowsFips180) {
  EXPECT_EQ(hex(sha256(as_bytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace sallyport
