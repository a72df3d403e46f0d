// What a pack keeps of its entries' times, against all of them: never a fault where there is none, and none missed by more than the step.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "verify/pack_times.h"

namespace sallyport::verify {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Both {
  PackTimes ours;
  std::vector<PackTimes::Entry> all;
  void add(std::uint64_t wall) { ours.entry(all.size(), wall), all.push_back({all.size(), wall}); }
  void compare(std::uint64_t at, std::uint64_t limit) const {
    std::uint64_t latest = 0, earliest = UINT64_MAX;
    for (const auto& one : all) {
      if (one.index < at) latest = std::max(latest, one.wall);
      else earliest = std::min(earliest, one.wall);
    }
    const auto late = ours.later(at, limit), early = ours.earlier(at, limit);
    if (late) ASSERT_TRUE(late->index < at && late->wall > limit && all[late->index].wall == late->wall);
    else ASSERT_TRUE(at == 0 || latest <= limit + kSecond) << "of the first " << at << ", " << latest << " is later than " << limit;
    if (early) ASSERT_TRUE(early->index >= at && early->wall < limit && all[early->index].wall == early->wall);
    else ASSERT_TRUE(at == all.size() || earliest + kSecond >= limit) << "from " << at << " on, " << earliest << " is earlier than " << limit;
  }
};

TEST(PackTimes, FindsWhatIsLaterOrEarlierByMoreThanASecond) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    Both both;
    std::uint64_t wall = 1'000'000 * kSecond;
    for (int i = 0; i < 200; ++i) {
      wall += random() % kSecond;
      const auto odd = random() % 30;
      both.add(odd == 0 ? wall - random() % (400 * kSecond) : odd == 1 ? wall + random() % (400 * kSecond) : wall);
    }
    for (int i = 0; i < 60; ++i) both.compare(random() % 201, wall - random() % (500 * kSecond) + 100 * kSecond);
  }
}

TEST(PackTimes, KeepsAYearOfSecondsInBoundedMemoryAndAccusesNobody) {
  PackTimes times;
  const std::uint64_t n = 3'000'000;
  for (std::uint64_t i = 0; i < n; ++i) times.entry(i, i * 2 * kSecond);
  for (const std::uint64_t at : {std::uint64_t{1}, n / 3, n - 1, n}) {
    EXPECT_FALSE(times.later(at, (at - 1) * 2 * kSecond));
    EXPECT_FALSE(times.earlier(at, at * 2 * kSecond));
    EXPECT_TRUE(times.later(at, 0).has_value() || at == 1);
  }
  times.entry(n, 5 * kSecond);
  EXPECT_EQ(times.earlier(n, 1'000'000 * kSecond).value_or(PackTimes::Entry{}).index, n);
}

}  // namespace
}  // namespace sallyport::verify
