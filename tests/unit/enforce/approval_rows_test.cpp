// Approvals as they lie in the database, also those that an older program wrote.
#include "enforce/approval_rows.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "enforce/approval_machine.h"
#include "state/schema.h"

namespace sallyport::enforce {
namespace {

TEST(ApprovalRows, OfTheOldSchemaAreReadAfterItsMigration) {
  auto database = std::move(*state::Database::open(":memory:"));
  ASSERT_TRUE(state::migrate(*database, 2));
  ASSERT_TRUE(database->exec(R"(INSERT INTO approvals VALUES ('apr_1', 0, zeroblob(32), zeroblob(32), 'req_1', 'local' || char(10) || 'alice', 'alice', 'local', 'bot',
    'agent bot on behalf of alice', 'tickets', 'session', 'tools/call write', '', '[["a",{"by_group":"leads","quorum":2,"hold_ns":5,"valid_ns":7}]]', 10, 20, 10);
    INSERT INTO votes VALUES ('apr_1', 'local' || char(10) || 'bob', 'bob', '["leads"]', 1, 'fine', 11))"));
  ASSERT_TRUE(state::migrate(*database));
  auto live = load_live(*database);
  ASSERT_TRUE(live) << live.error().what;
  ASSERT_EQ(live->size(), 1u);
  const auto& approval = live->front();
  EXPECT_EQ(approval.kind, RequestKind::Command);
  EXPECT_EQ(approval.requester_subject, "alice");
  EXPECT_EQ(approval.requester_agent, "bot");
  const ApprovalSteps steps{{{"leads", 2}}};
  EXPECT_EQ(steps_of(approval), steps);
  ASSERT_EQ(approval.votes.size(), 1u);
  EXPECT_EQ(missing(approval, {}), 1) << "the vote that was cast before counts";
}

TEST(ApprovalRows, KeepEverythingOfARequest) {
  auto database = std::move(*state::Database::open(":memory:"));
  ASSERT_TRUE(state::migrate(*database));
  Approval in;
  in.id = "apr_1";
  in.kind = RequestKind::Access;
  in.requester = "local\nalice";
  in.requester_email = "a@example.com";
  in.asked_for = "a \"bug\"";
  in.about = "apr_0";
  in.effect = R"({"verb":"delete"})";
  ApprovalTerms terms;
  terms.steps = {{{"leads", 1}, {"a \"quoted\" group", 2}}, {{"security", 1}}};
  terms.hold_ns = 3;
  terms.valid_ns = 4;
  in.terms = {{"prod", terms}};
  in.access.targets = {{"db", "tickets"}, {{"env", "prod"}}};
  in.access.duration_ns = 30;
  in.access.start_wall_ns = 31;
  in.access.for_agents = in.access.break_glass = true;
  ASSERT_TRUE(insert_approvals(*database, {&in}, 1));
  in.state = ApprovalState::Granted;
  in.access.begins_wall_ns = 32;
  in.access.ends_wall_ns = 62;
  in.votes = {{"local\nbob", "bob", "b@example.com", "fine", {"leads", "x"}, true, 5, 1}};
  ASSERT_TRUE(update_approval(*database, in, 2));
  auto loaded = load_one(*database, "apr_1");
  ASSERT_TRUE(loaded && *loaded);
  const auto& out = **loaded;
  EXPECT_EQ(out.kind, in.kind);
  EXPECT_EQ(out.state, in.state);
  EXPECT_EQ(out.requester_email, in.requester_email);
  EXPECT_EQ(out.asked_for, in.asked_for);
  EXPECT_EQ(out.about, in.about);
  EXPECT_EQ(out.effect, in.effect);
  EXPECT_EQ(steps_of(out), terms.steps);
  EXPECT_EQ(out.access.targets, in.access.targets);
  EXPECT_TRUE(out.access.for_agents && out.access.break_glass);
  EXPECT_EQ(out.access.start_wall_ns, 31);
  EXPECT_EQ(out.access.ends_wall_ns, 62);
  ASSERT_EQ(out.votes.size(), 1u);
  EXPECT_EQ(out.votes[0].email, "b@example.com");
  EXPECT_EQ(out.votes[0].step, 1u);
  EXPECT_EQ(out.votes[0].groups, in.votes[0].groups);
}

TEST(ApprovalRows, AreFilteredBeforeTheyAreCounted) {
  auto database = std::move(*state::Database::open(":memory:"));
  ASSERT_TRUE(state::migrate(*database));
  for (int i = 0; i < 50; ++i) {
    Approval one;
    one.id = fmt::format("apr_{}", i);
    one.digest[0] = static_cast<std::uint8_t>(i);
    one.kind = i % 2 ? RequestKind::Access : RequestKind::Command;
    one.state = i % 3 ? ApprovalState::Pending : ApprovalState::Denied;
    one.requester = i % 5 ? "local\nalice" : "local\nbob";
    one.created_wall_ns = i;
    ASSERT_TRUE(insert_approvals(*database, {&one}, 1));
  }
  ApprovalFilter filter;
  filter.limit = 5;
  filter.visible = [](const Approval& approval) { return approval.requester == "local\nbob"; };
  auto pending = load_matching(*database, filter);
  ASSERT_TRUE(pending) << pending.error().what;
  ASSERT_EQ(pending->size(), 5u) << "those of others do not use up the list";
  EXPECT_EQ(pending->front().id, "apr_40") << "the newest first";
  filter.pending_only = false;
  filter.state = ApprovalState::Denied;
  filter.kind = RequestKind::Access;
  filter.requester = "local\nalice";
  filter.visible = nullptr;
  filter.limit = 100;
  auto denied = load_matching(*database, filter);
  ASSERT_TRUE(denied) << denied.error().what;
  ASSERT_EQ(denied->size(), 6u);
  for (const auto& one : *denied) EXPECT_TRUE(one.state == ApprovalState::Denied && one.kind == RequestKind::Access && one.requester == "local\nalice");
}

}  // namespace
}  // namespace sallyport::enforce
