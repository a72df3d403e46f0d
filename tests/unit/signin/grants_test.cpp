// Codes and device grants of the gateway's own OAuth endpoints: once, in time, and not by guessing.
#include "signin/grants.h"

#include <gtest/gtest.h>

namespace sallyport::signin {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(Grants, ACodeWorksOnceAndItsSecondUseNamesWhatItGave) {
  Grants grants;
  const auto code = grants.make_code({"sgn_1", "challenge", "uri"}, kSecond);
  std::string reused;
  const auto first = grants.take_code(code, 2 * kSecond, reused);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->sign_in, "sgn_1");
  EXPECT_EQ(reused, "");
  EXPECT_FALSE(grants.take_code(code, 3 * kSecond, reused).has_value());
  EXPECT_EQ(reused, "sgn_1");
  reused.clear();
  EXPECT_FALSE(grants.take_code(code + "x", 3 * kSecond, reused).has_value());
  EXPECT_EQ(reused, "");
}

TEST(Grants, ACodeIsOverAfterAMinute) {
  Grants grants;
  const auto code = grants.make_code({"sgn_1", "c", "u"}, 0);
  std::string reused;
  EXPECT_FALSE(grants.take_code(code, Grants::kCodeLife, reused).has_value());
}

TEST(Grants, ADeviceWaitsIsSlowedDownAndGetsItsAnswerOnce) {
  Grants grants;
  const auto device = grants.begin_device("10.0.0.1", 0);
  ASSERT_TRUE(device.has_value());
  EXPECT_EQ(device->user_code.size(), 8u);
  std::string sign_in;
  EXPECT_EQ(grants.poll_device(device->device_code, 5 * kSecond, sign_in), DevicePoll::Pending);
  EXPECT_EQ(grants.poll_device(device->device_code, 6 * kSecond, sign_in), DevicePoll::SlowDown);
  EXPECT_EQ(grants.poll_device(device->device_code, 12 * kSecond, sign_in), DevicePoll::SlowDown);  // five more seconds each time
  auto* grant = grants.find_device(device->user_code.substr(0, 4) + "-" + device->user_code.substr(4), 20 * kSecond);
  ASSERT_NE(grant, nullptr);
  grant->state = DeviceGrant::State::Granted;
  grant->sign_in = "sgn_7";
  EXPECT_EQ(grants.find_device(device->user_code, 20 * kSecond), nullptr) << "nobody may answer twice";
  EXPECT_EQ(grants.poll_device(device->device_code, 40 * kSecond, sign_in), DevicePoll::Granted);
  EXPECT_EQ(sign_in, "sgn_7");
  EXPECT_EQ(grants.poll_device(device->device_code, 50 * kSecond, sign_in), DevicePoll::Expired);
}

TEST(Grants, OneAddressBeginsTenDevicesAMinuteAtMost) {
  Grants grants;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(grants.begin_device("10.0.0.1", kSecond).has_value());
  EXPECT_FALSE(grants.begin_device("10.0.0.1", kSecond).has_value());
  EXPECT_TRUE(grants.begin_device("10.0.0.2", kSecond).has_value());
  EXPECT_TRUE(grants.begin_device("10.0.0.1", 62 * kSecond).has_value());
}

TEST(Grants, ReadsAUserCodeAsPeopleTypeIt) {
  EXPECT_EQ(plain_user_code("bcdf-ghjk"), "BCDFGHJK");
  EXPECT_EQ(plain_user_code(" BCDF GHJK "), "BCDFGHJK");
  for (const auto* wrong : {"", "BCDFGHJ", "BCDFGHJKL", "ABCDFGHJ", "BCDF_GHJK"}) EXPECT_EQ(plain_user_code(wrong), "") << wrong;
}

}  // namespace
}  // namespace sallyport::signin
