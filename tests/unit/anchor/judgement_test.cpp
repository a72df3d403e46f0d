// What a gateway makes of its witnesses' answers, without a network: when it alarms, when it does not, and when it takes commands.
#include "anchor/judgement.h"

#include <gtest/gtest.h>

#include "evidence/cosignature.h"

namespace sallyport::anchor {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

struct Case {
  explicit Case(std::size_t quorum = 1) {
    WitnessPolicy policy;
    for (std::uint8_t i = 0; i < 2; ++i) {
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

TEST(Judgement, ACheckpointThatLostItsNewestNameWithThePowerIsNoSignOfARollback) {
  Case c;
  EXPECT_FALSE(c.judgement->begin(c.head(8), 9)) << "the notary remembers 9: what a witness has seen of them is no news";
  EXPECT_TRUE(c.judgement->due().empty());
  EXPECT_TRUE(c.judgement->begin(c.head(9), 9));
}

}  // namespace
}  // namespace sallyport::anchor
