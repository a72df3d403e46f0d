// Budgets: what is used up is refused, with when it comes back; what is given back may be used again.
#include "enforce/budget.h"

#include <gtest/gtest.h>

namespace sallyport::enforce {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

struct Hands : Clock {
  std::int64_t now = 5 * kSecond;
  std::int64_t wall_ns() const override { return now; }
  std::int64_t mono_ns() const override { return now; }
};

identity::Principal person(std::string subject, std::string agent = "") {
  identity::Principal out;
  out.issuer = "local";
  out.subject = std::move(subject);
  out.agent = std::move(agent);
  return out;
}

target::Target with(std::uint64_t calls, std::uint64_t bytes, std::uint64_t concurrent) {
  target::Target out;
  out.name = "tickets";
  out.budget = {calls, bytes, concurrent, 60 * kSecond};
  return out;
}

TEST(Budgets, CallsComeBackEvenly) {
  Hands clock;
  Budgets budgets(clock);
  const auto target = with(3, 0, 0);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(budgets.take(person("ada"), target, true)) << i;
  const auto over = budgets.take(person("ada"), target, true);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().what, "the budget of ada on tickets is used up: 3 calls in 1 min; again in 20 s");
  EXPECT_TRUE(budgets.take(person("ada"), target, false)) << "a list does not count";
  EXPECT_TRUE(budgets.take(person("bob"), target, true)) << "another's is another";
  EXPECT_TRUE(budgets.take(person("ada", "robot"), target, true)) << "and so is an agent's";
  clock.now += 19 * kSecond;
  EXPECT_FALSE(budgets.take(person("ada"), target, true));
  clock.now += 1 * kSecond;
  EXPECT_TRUE(budgets.take(person("ada"), target, true));
  clock.now += 3600 * kSecond;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(budgets.take(person("ada"), target, true)) << "never more than the budget: " << i;
  EXPECT_FALSE(budgets.take(person("ada"), target, true));
}

TEST(Budgets, BytesAreSpentWhenTheyAreKnown) {
  Hands clock;
  Budgets budgets(clock);
  const auto target = with(0, 6000, 0);
  auto place = budgets.take(person("ada"), target, true);
  ASSERT_TRUE(place);
  (*place)->spend(6100);
  EXPECT_FALSE(budgets.take(person("ada"), target, true));
  EXPECT_FALSE(budgets.take(person("ada"), target, false)) << "lists as well: they are bytes";
  clock.now += 2 * kSecond;
  EXPECT_TRUE(budgets.take(person("ada"), target, true));
}

TEST(Budgets, PlacesAreGivenBackAndHeldCommandsHaveNone) {
  Budgets budgets;
  const auto target = with(0, 0, 2);
  auto first = budgets.take(person("ada"), target, true), second = budgets.take(person("ada"), target, true);
  EXPECT_FALSE(budgets.take(person("ada"), target, true));
  EXPECT_TRUE(budgets.take(person("ada"), target, false)) << "held";
  second->reset();
  EXPECT_TRUE(budgets.take(person("ada"), target, true));
}

TEST(Budgets, ATargetWithoutOneTakesNothing) { EXPECT_EQ(Budgets().take(person("ada"), with(0, 0, 0), true).value(), nullptr); }

TEST(Budgets, ANewConfigurationCountsFromNowOn) {
  Hands clock;
  Budgets budgets(clock);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(budgets.take(person("ada"), with(5, 0, 0), true));
  EXPECT_FALSE(budgets.take(person("ada"), with(2, 0, 0), true));
  clock.now += 30 * kSecond;
  EXPECT_TRUE(budgets.take(person("ada"), with(2, 0, 0), true));
}

}  // namespace
}  // namespace sallyport::enforce
