// A disk over the high water takes nothing new.
#include <gtest/gtest.h>

#include <filesystem>

#include "evidence/log.h"
#include "evidence/notary.h"

namespace sallyport::evidence {
namespace {

TEST(HighWater, AboveItNothingNewIsTakenAndTheReasonIsSaid) {
  const auto directory = testing::TempDir() + "high-water-" + hex(random_id());
  std::filesystem::create_directories(directory);
  const auto key = generate_note_key("gw/evidence").first;
  const auto open = [&](double high_water) {
    Options options;
    options.directory = directory + "/log";
    options.origin = "gw/evidence";
    options.segment_bytes = 1u << 20;
    options.high_water = high_water;
    auto signer = ed25519_signer("gw/evidence", key, directory + "/head");
    return Log::open(options, std::move(*signer));
  };
  {
    auto log = open(0.999);
    ASSERT_TRUE(log) << log.error().what;
    EXPECT_TRUE((*log)->append_wait(Entry(Kind::AuthOk)));
  }
  {
    // Any file system is fuller than this.
    auto log = open(0.000001);
    if (log) {
      const auto taken = (*log)->append_wait(Entry(Kind::AuthOk));
      ASSERT_FALSE(taken) << "an entry was taken above the high water";
      EXPECT_EQ(taken.error().kind, ErrorKind::Unavailable);
      EXPECT_FALSE((*log)->writable());
      EXPECT_NE((*log)->status().why_not.find("high water"), std::string::npos) << (*log)->status().why_not;
    } else {
      EXPECT_EQ(log.error().kind, ErrorKind::Unavailable) << log.error().what;
    }
  }
  auto log = open(0.999);
  ASSERT_TRUE(log) << log.error().what;
  EXPECT_TRUE((*log)->append_wait(Entry(Kind::AuthOk))) << "and with room again it goes on";
  log->reset();
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace sallyport::evidence
