// What a gateway makes of its witnesses' answers, without a network: when it alarms, when it does not, and when it takes commands.
#include "anchor/judgement.h"

#include <gtest/gtest.h>

#include <array>

#include "evidence/cosignature.h"

namespace sallyport::anchor {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

struct Case {
  explicit Case(std::size_t quorum = 1, std::uint8_t witnesses = 2) {
    WitnessPolicy policy;
    for (std::uint8_t i = 0; i < witnesses; ++i) {
      keys.push_back(evidence::signer_from_seed("w" + std::to_string(i), Digest{i}));
      policy.witnesses.push_back({"", *evidence::parse_cosigner_key(evidence::cosigner_key_of(keys.back()))});
    }
    policy.quorum = quorum;
    policy.refuse_after_ns = kSecond;
    judgement = std::make_unique<Judgement>(policy, "", 0);
  }
  evidence::SignedHead head(std::uint64_t size) const {
    const evidence::Checkpoint checkpoint{"log", size, Digest{static_cast<std::uint8_t>(size)}};
    return {evidence::sign_note(evidence::signer_from_seed("log", Digest{9}), evidence::checkpoint_text(checkpoint)), checkpoint};
  }
  std::string cosigned(std::size_t witness, std::uint64_t size) const {
    const auto note = head(size).note;
    return evidence::cosign(keys[witness], note.substr(0, note.find("\n\n") + 1), 1'700'000'000);
  }
  std::vector<evidence::NoteKey> keys;
  std::unique_ptr<Judgement> judgement;
};

TEST(Judgement, TakesNothingBeforeAQuorumKnowsTheLog) {
  Case c(2);
  auto& j = *c.judgement;
  EXPECT_FALSE(j.at_start().empty());
  ASSERT_TRUE(j.begin(c.head(8), 8));
  ASSERT_EQ(j.due().size(), 2u);
  j.answer(0, 200, c.cosigned(0, 8), "");
  j.answer(1, 0, "", "no route");
  EXPECT_FALSE(j.end());
  EXPECT_FALSE(j.lag(8, 1)) << "what was said at the start stands";
  ASSERT_TRUE(j.begin(c.head(8), 8));
  j.due();
  j.answer(0, 200, c.cosigned(0, 8), "");
  j.answer(1, 200, c.cosigned(1, 8), "");
  const auto witnessed = j.end();
  ASSERT_TRUE(witnessed);
  j.witnessed(8);
  const auto lag = j.lag(8, 2);
  ASSERT_TRUE(lag);
  EXPECT_EQ(lag->refusal, "");
}

TEST(Judgement, AWitnessThatOnlySaysHowFarItIsDoesNotYetKnowTheLog) {
  Case c;
  auto& j = *c.judgement;
  ASSERT_TRUE(j.begin(c.head(8), 8));
  j.due();
  j.answer(0, 409, "5\n", "");
  EXPECT_EQ(j.due(), std::vector<std::size_t>{0}) << "it is asked once more";
  j.answer(0, 409, "6\n", "");
  EXPECT_TRUE(j.due().empty());
  EXPECT_FALSE(j.lag(8, 1)) << "another copy of the log may be what it follows";
  EXPECT_FALSE(j.raised());
}

TEST(Judgement, AWitnessThatHasSeenMoreOrOtherRaisesTheAlarmOnceAndForGood) {
  for (const auto& [status, body] : {std::pair<long, const char*>{409, "9\n"}, {422, "no\n"}}) {
    Case c;
    auto& j = *c.judgement;
    ASSERT_TRUE(j.begin(c.head(8), 8));
    j.due();
    j.answer(0, status, body, "");
    ASSERT_TRUE(j.raised());
    EXPECT_FALSE(j.raised());
    j.answer(1, 200, c.cosigned(1, 8), "");
    EXPECT_FALSE(j.lag(8, 1)) << "nothing takes it back";
    EXPECT_FALSE(j.at_start().empty());
  }
}

/// A round over this head in which these witnesses say that they have seen more, and the others cosign.
std::optional<evidence::SignedHead> round_with(Case& c, std::uint64_t size, std::initializer_list<std::size_t> against) {
  auto& j = *c.judgement;
  EXPECT_TRUE(j.begin(c.head(size), size));
  for (const auto i : j.due()) {
    if (std::ranges::find(against, i) != against.end()) j.answer(i, 409, std::to_string(size + 1) + "\n", "");
    else j.answer(i, 200, c.cosigned(i, size), "");
  }
  return j.end();
}

TEST(Judgement, OneOfThreeThatContradictsIsRecordedAndNotCountedAndTheOthersGoOn) {
  Case c(2, 3);
  auto& j = *c.judgement;
  const auto head = round_with(c, 8, {1});
  ASSERT_TRUE(head) << "the quorum is there without it";
  EXPECT_EQ(head->note.find("w1 "), std::string::npos);
  j.witnessed(8);
  EXPECT_FALSE(j.raised());
  const auto warned = j.warnings(1);
  ASSERT_EQ(warned.size(), 1u);
  EXPECT_EQ(warned[0].witness, 1u);
  EXPECT_NE(warned[0].words.find("rolled back"), std::string::npos);
  EXPECT_TRUE(j.warnings(2).empty()) << "it is said once";
  const auto lag = j.lag(8, 2);
  ASSERT_TRUE(lag);
  EXPECT_EQ(lag->refusal, "");
  EXPECT_EQ(j.known(1).refusals, 1u);
  EXPECT_TRUE(round_with(c, 9, {}));
  const auto over = j.warnings(3);
  ASSERT_EQ(over.size(), 1u);
  EXPECT_EQ(over[0].words, "") << "it cosigns again";
}

TEST(Judgement, ContradictionsOfDifferentRoundsAddUp) {
  Case c(2, 3);
  auto& j = *c.judgement;
  round_with(c, 8, {0});
  EXPECT_FALSE(j.raised());
  ASSERT_TRUE(j.begin(c.head(9), 9));
  j.due();
  j.answer(0, 0, "", "no route");
  j.answer(1, 422, "no\n", "");
  const auto words = j.raised();
  ASSERT_TRUE(words) << "two of three: no quorum of two is left";
  EXPECT_NE(words->find("w0"), std::string::npos);
  EXPECT_NE(words->find("w1"), std::string::npos);
}

TEST(Judgement, TheAlarmTakesAsManyAsLeaveNoQuorumOrAreOne) {
  for (const auto& [quorum, witnesses, halting] : {std::array{1, 1, 1}, {2, 2, 1}, {1, 3, 1}, {2, 3, 2}, {3, 3, 1}, {3, 4, 2}, {2, 4, 2}, {5, 7, 3}}) {
    Case c(static_cast<std::size_t>(quorum), static_cast<std::uint8_t>(witnesses));
    auto& j = *c.judgement;
    ASSERT_TRUE(j.begin(c.head(8), 8));
    for (int i = 0; i < halting; ++i) {
      EXPECT_FALSE(j.raised()) << quorum << " of " << witnesses;
      j.answer(static_cast<std::size_t>(i), 409, "9\n", "");
    }
    EXPECT_TRUE(j.raised()) << quorum << " of " << witnesses;
    EXPECT_TRUE(j.warnings(1).empty()) << "the alarm names them";
  }
}

TEST(Judgement, AWitnessThatSaysNowThisNowThatDoesNotFillTheLog) {
  Case c(2, 3);
  std::size_t recorded = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    if (i % 2 == 0) round_with(c, 8 + i, {1});
    else round_with(c, 8 + i, {});
    recorded += c.judgement->warnings(static_cast<std::int64_t>(i + 1) * kSecond).size();
  }
  EXPECT_LE(recorded, 4u);
  EXPECT_GE(recorded, 2u);
}

TEST(Judgement, ACheckpointThatLostItsNewestNameWithThePowerIsNoSignOfARollback) {
  Case c;
  EXPECT_FALSE(c.judgement->begin(c.head(8), 9)) << "the notary remembers 9: what a witness has seen of them is no news";
  EXPECT_TRUE(c.judgement->due().empty());
  EXPECT_TRUE(c.judgement->begin(c.head(9), 9));
}

}  // namespace
}  // namespace sallyport::anchor
