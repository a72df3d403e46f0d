// The properties of approvals, over random sequences of everything that can happen.
#include "enforce/approval_machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace sallyport::enforce {
namespace {

identity::Principal person(int n, const std::vector<std::string>& groups, bool agent, bool service) {
  identity::Principal who;
  who.subject = "p" + std::to_string(n);
  who.issuer = "local";
  who.groups = groups;
  std::ranges::sort(who.groups);
  if (agent) who.agent = "bot";
  who.service = service;
  return who;
}

TEST(ApprovalMachine, HoldsItsPromisesOverRandomSequences) {
  std::mt19937 random(20261121);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  int used_total = 0, denied_total = 0, expired_total = 0;
  for (int sequence = 0; sequence < 30'000; ++sequence) {
    Approval approval;
    approval.id = "apr_x";
    approval.requester = "local\np0";
    approval.digest[0] = static_cast<std::uint8_t>(sequence);
    approval.expires_wall_ns = 45;
    const int rules = 1 + below(2);
    for (int r = 0; r < rules; ++r) approval.terms.emplace_back("rule" + std::to_string(r), ApprovalTerms{r == 0 ? "leads" : "owners", 1 + below(3), 1, 1});
    std::int64_t now = 0;
    std::map<std::string, std::set<std::string>> yes;  // group -> people who said yes
    bool refused = false, used = false;
    for (int step = 0; step < 14; ++step) {
      now += below(12);
      const auto before = approval.state;
      switch (below(4)) {
        case 0:
        case 1: {
          std::vector<std::string> groups;
          if (below(3) != 0) groups.push_back("leads");
          if (below(3) != 0) groups.push_back("owners");
          const int number = below(5);
          const auto voter = person(number, groups, below(8) == 0, below(8) == 0);
          const bool yes_vote = below(6) != 0;
          if (!why_no_vote(approval, voter, now).empty()) break;
          ASSERT_EQ(before, ApprovalState::Pending) << "a vote after the end";
          ASSERT_LT(now, approval.expires_wall_ns) << "a vote after the expiry";
          ASSERT_NE(number, 0) << "the requester voted";
          ASSERT_FALSE(voter.is_agent()) << "an agent voted";
          ASSERT_FALSE(groups.empty()) << "a stranger voted";
          for (const auto& [group, people] : yes) ASSERT_FALSE(people.contains(voter.person())) << "one person voted twice";
          approval.state = cast(approval, Vote{voter.person(), voter.subject, "", voter.groups, yes_vote, now});
          refused = refused || !yes_vote;
          if (yes_vote) {
            for (const auto& group : groups) yes[group].insert(voter.person());
          } else {
            ASSERT_EQ(approval.state, ApprovalState::Denied) << "a refusal did not win";
          }
          break;
        }
        case 2: {
          Digest digest = approval.digest;
          const bool other = below(4) == 0;
          if (other) digest[31] ^= 1;
          if (!why_no_use(approval, digest, now).empty()) break;
          ASSERT_FALSE(other) << "used for another command";
          ASSERT_FALSE(used) << "used twice";
          ASSERT_FALSE(refused) << "used although somebody refused";
          ASSERT_LT(now, approval.expires_wall_ns) << "used after the expiry";
          for (const auto& [rule, terms] : approval.terms)
            ASSERT_GE(static_cast<std::int64_t>(yes[terms.by_group].size()), terms.quorum) << "used without the quorum of " << terms.by_group;
          approval.state = ApprovalState::Used;
          used = true;
          ++used_total;
          break;
        }
        case 3:
          if (below(5) != 0) break;
          if (below(2) == 0 && why_no_withdrawal(approval).empty()) {
            approval.state = ApprovalState::Withdrawn;
          } else if (expired(approval, now) && approval.state <= ApprovalState::Granted) {
            approval.state = ApprovalState::Expired;
            ++expired_total;
          }
          break;
      }
      const bool final = before != ApprovalState::Pending && before != ApprovalState::Granted;
      if (final) ASSERT_EQ(approval.state, before) << "a final state changed";
    }
    denied_total += approval.state == ApprovalState::Denied;
  }
  // The run means something only if each end was reached often.
  EXPECT_GT(used_total, 500);
  EXPECT_GT(denied_total, 500);
  EXPECT_GT(expired_total, 100);
}

TEST(ApprovalMachine, AnApprovalWithoutTermsIsNeverGranted) {
  Approval approval;
  approval.expires_wall_ns = 100;
  EXPECT_EQ(cast(approval, Vote{"p", "p", "", {"leads"}, true, 1}), ApprovalState::Pending);
}

}  // namespace
}  // namespace sallyport::enforce
