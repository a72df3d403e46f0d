// The properties of approvals and grants, over random interleavings of everything that can happen, against a model that shares
// no code with the machine: it counts with Hall's theorem where the machine matches by augmenting paths. Rows go through
// SQLite, so that a restart is what it is in the gateway.
#include "enforce/approval_machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "enforce/approval_rows.h"
#include "state/schema.h"

namespace sallyport::enforce {
namespace {

using Groups = std::vector<std::string>;

/// Places of a step that `voters` fill at most: all places less the worst shortage of any set of groups (Hall, König-Ore).
std::int64_t fillable(const ApprovalStep& step, const std::vector<Groups>& voters) {
  std::int64_t all = 0, worst = 0;
  for (const auto& need : step) all += need.count;
  for (unsigned set = 1; set < 1u << step.size(); ++set) {
    std::int64_t wanted = 0, there = 0;
    for (std::size_t i = 0; i < step.size(); ++i) wanted += set >> i & 1 ? step[i].count : 0;
    for (const auto& groups : voters) {
      bool fits = false;
      for (std::size_t i = 0; i < step.size(); ++i) fits = fits || ((set >> i & 1) && std::ranges::find(groups, step[i].group) != groups.end());
      there += fits;
    }
    worst = std::max(worst, wanted - there);
  }
  return all - worst;
}

TEST(ApprovalMatching, FillsAsManyPlacesAsThereCanBeFilled) {
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return random() % n; };
  for (int round = 0; round < 20'000; ++round) {
    ApprovalStep step;
    const std::size_t needs = 1 + below(4);
    for (std::size_t i = 0; i < needs; ++i) step.push_back({std::string(1, static_cast<char>('a' + i)), static_cast<std::int64_t>(1 + below(3))});
    std::vector<Groups> voters(below(8));
    for (auto& groups : voters)
      for (std::size_t i = 0; i < needs; ++i)
        if (below(2) == 0) groups.push_back(step[i].group);
    const auto filled = match(step, voters);
    ASSERT_EQ(filled.total, fillable(step, voters));
    ASSERT_EQ(filled.complete, filled.total == places(step));
  }
}

TEST(ApprovalMatching, APersonInTwoRequiredGroupsFillsOnePlace) {
  const ApprovalStep step{{"leads", 1}, {"owners", 1}};
  EXPECT_FALSE(match(step, {{"leads", "owners"}}).complete);
  EXPECT_TRUE(match(step, {{"leads", "owners"}, {"leads"}}).complete) << "the first moves over to owners";
  EXPECT_FALSE(match(step, {{"leads"}, {"leads"}}).complete);
  EXPECT_FALSE(match({}, {{"leads"}}).complete) << "a step without needs is never complete";
}

/// Six humans with three accounts each, linked by configuration; two of them have the same e-mail as well.
struct World {
  std::mt19937 random{20261121};
  std::vector<Groups> groups = std::vector<Groups>(6);
  std::vector<bool> active = std::vector<bool>(6, true);
  std::set<std::string> unknown;   // accounts that the directory has never heard of
  identity::SamePerson links;
  PresentPeople present;

  World() {
    std::vector<std::vector<std::string>> linked;
    for (int i = 0; i < 6; ++i) linked.push_back({account(i, 0).person(), account(i, 1).person(), account(i, 2).person()});
    links = identity::SamePerson(linked);
    present = [this](const std::string& person) -> std::optional<identity::PrincipalPtr> {
      if (unknown.contains(person)) return std::nullopt;
      const auto human = static_cast<std::size_t>(person.back() - '0');
      if (!active[human]) return identity::PrincipalPtr();
      auto who = std::make_shared<identity::Principal>();
      who->groups = groups[human];
      return who;
    };
  }
  std::size_t below(std::size_t n) { return random() % n; }
  identity::Principal account(int human, int which) const {
    identity::Principal who;
    who.subject = "p" + std::to_string(human);
    who.issuer = which == 0 ? "local" : which == 1 ? "https://id.example" : "https://saml.example";
    who.email = which == 0 ? "P" + std::to_string(human) + "@Example.com" : which == 1 ? "p" + std::to_string(human) + "@example.com" : "";
    who.groups = groups[static_cast<std::size_t>(human)];
    return who;
  }
  void shuffle_groups() {
    for (std::size_t i = 0; i < groups.size(); ++i) {
      groups[i].clear();
      for (const char* group : {"leads", "owners", "security"})
        if (below(2) == 0) groups[i].push_back(group);
      active[i] = true;
    }
    unknown.clear();
    for (int i = 0; i < 6; ++i)
      if (below(6) == 0) unknown.insert(account(i, static_cast<int>(below(3))).person());
  }
};

/// What must be true, told apart from how the machine does it.
struct Model {
  struct Yes { std::size_t human; std::string person; Groups groups; std::size_t step; };
  ApprovalSteps steps;
  std::vector<Yes> yes;
  bool refused = false, over = false, granted = false, used = false;
  std::int64_t begins = 0, ends = 0;

  static Groups counted(const Yes& vote, const World& world) {
    if (world.unknown.contains(vote.person)) return vote.groups;
    if (!world.active[vote.human]) return {};
    Groups out;
    for (const auto& group : vote.groups)
      if (std::ranges::find(world.groups[vote.human], group) != world.groups[vote.human].end()) out.push_back(group);
    return out;
  }
  std::vector<Groups> voters(std::size_t step, const World& world) const {
    std::vector<Groups> out;
    for (const auto& vote : yes)
      if (vote.step == step) out.push_back(counted(vote, world));
    return out;
  }
  std::size_t at(const World& world) const {
    std::size_t step = 0;
    while (step < steps.size() && fillable(steps[step], voters(step, world)) == places(steps[step])) ++step;
    return step;
  }
  bool has_say(std::size_t step, const Groups& groups) const {
    return std::ranges::any_of(steps[step], [&](const auto& need) { return std::ranges::find(groups, need.group) != groups.end(); });
  }
  bool has_any_say(const Groups& groups) const {
    for (std::size_t i = 0; i < steps.size(); ++i)
      if (has_say(i, groups)) return true;
    return false;
  }
  bool may_agree(std::size_t human, const Groups& groups, const World& world) const {
    const auto step = at(world);
    if (step == steps.size() || std::ranges::any_of(yes, [&](const Yes& vote) { return vote.human == human; })) return false;
    auto with = voters(step, world);
    const auto before = fillable(steps[step], with);
    with.push_back(groups);
    return fillable(steps[step], with) > before;
  }
};

class Machine : public testing::Test {
 protected:
  Machine() : database_(*state::Database::open(":memory:")) { EXPECT_TRUE(state::migrate(*database_)); }

  ApprovalSteps random_steps() {
    ApprovalSteps out(1 + world_.below(2));
    for (auto& step : out) {
      for (const char* group : {"leads", "owners", "security"})
        if (world_.below(2) == 0) step.push_back({group, static_cast<std::int64_t>(1 + world_.below(2))});
      if (step.empty()) step.push_back({"leads", 1});
    }
    return out;
  }

  void begin(int run) {
    world_.shuffle_groups();
    ASSERT_TRUE(database_->exec("DELETE FROM votes; DELETE FROM approvals"));
    approval_ = {};
    model_ = {};
    access_ = std::make_unique<Access>();
    now_ = 0;
    approval_.id = "apr_x";
    approval_.kind = run % 3 == 0 ? RequestKind::Access : RequestKind::Command;
    const auto who = world_.account(0, static_cast<int>(world_.below(3)));
    approval_.requester = who.person();
    approval_.requester_email = who.email;
    approval_.digest[0] = static_cast<std::uint8_t>(run);
    approval_.expires_wall_ns = 60;
    model_.steps = random_steps();
    ApprovalTerms terms;
    terms.steps = model_.steps;
    approval_.terms = {{"rule", terms}};
    approval_.access.targets.names = {"t"};
    approval_.access.duration_ns = 30;
    if (approval_.kind == RequestKind::Access && world_.below(2) == 0) approval_.access.start_wall_ns = static_cast<std::int64_t>(1 + world_.below(60));
    if (approval_.access.start_wall_ns != 0) approval_.expires_wall_ns = std::min<std::int64_t>(60, approval_.access.start_wall_ns + 30);
    auto catalog = std::make_shared<target::Catalog>();
    Access::Setup setup;
    setup.catalog = catalog;
    setup.rules["rule"].id = "rule";
    access_->configure(std::move(setup));
    ASSERT_TRUE(insert_approvals(*database_, {&approval_}, now_));
  }
  void save() { ASSERT_TRUE(update_approval(*database_, approval_, now_)); }

  void vote() {
    const auto human = world_.below(6);
    auto voter = world_.account(static_cast<int>(human), static_cast<int>(world_.below(3)));
    if (world_.below(10) == 0) voter.agent = "bot";
    if (world_.below(20) == 0) voter.service = true;
    const bool approve = world_.below(8) != 0;
    const auto groups = Model::counted({human, voter.person(), voter.groups, 0}, world_);
    const bool open = !model_.over && !model_.granted && now_ < approval_.expires_wall_ns && !voter.is_agent() && human != 0 && model_.has_any_say(groups);
    const bool may = open && (!approve || model_.may_agree(human, groups, world_));
    const Judging judging{now_, world_.links, world_.present};
    const auto why = why_no_vote(approval_, voter, approve, judging);
    ASSERT_EQ(why.empty(), may) << why << " run with " << words_of(model_.steps);
    if (!may) return;
    approval_.state = cast(approval_, Vote{voter.person(), voter.display(), voter.email, "", voter.groups, approve, now_}, judging);
    if (approve) {
      model_.yes.push_back({human, voter.person(), voter.groups, model_.at(world_)});
      model_.granted = model_.at(world_) == model_.steps.size();
      ASSERT_EQ(approval_.state == ApprovalState::Granted, model_.granted);
      if (model_.granted && approval_.kind == RequestKind::Access) grant();
    } else {
      model_.over = model_.refused = true;
      ASSERT_EQ(approval_.state, ApprovalState::Denied) << "a refusal did not win";
    }
    save();
  }
  void grant() {
    begin_access(approval_, now_, 0);
    model_.begins = std::max(now_, approval_.access.start_wall_ns);
    model_.ends = (approval_.access.start_wall_ns != 0 ? approval_.access.start_wall_ns : now_) + 30;
    put();
  }
  void put() { access_->put({approval_.id, "rule", approval_.requester, "", false, approval_.access.targets, approval_.access.begins_wall_ns, approval_.access.ends_wall_ns}); }

  void use() {
    Digest digest = approval_.digest;
    const bool other = world_.below(4) == 0;
    if (other) digest[31] ^= 1;
    const bool may = why_no_use(approval_, digest, now_).empty() && why_lapsed(approval_, world_.present).empty();
    const bool right = approval_.kind == RequestKind::Command && model_.granted && !model_.over && !model_.used && !other && now_ < approval_.expires_wall_ns &&
                       model_.at(world_) == model_.steps.size();
    ASSERT_EQ(may, right);
    if (!may) return;
    std::set<std::size_t> humans;
    for (const auto& vote : model_.yes) ASSERT_TRUE(humans.insert(vote.human).second && vote.human != 0) << "a human counted twice, or the requester did";
    ASSERT_FALSE(model_.refused);
    approval_.state = ApprovalState::Used;
    model_.used = model_.over = true;
    ++used_;
    save();
  }
  void end(bool revoke) {
    const bool granted_access = approval_.kind == RequestKind::Access && approval_.state == ApprovalState::Granted;
    if (revoke && granted_access) {
      approval_.state = ApprovalState::Revoked;
    } else if (revoke) {
      if (!why_no_withdrawal(approval_).empty()) {
        ASSERT_TRUE(model_.over) << "a live request could not be taken back";
        return;
      }
      ASSERT_FALSE(model_.over);
      approval_.state = ApprovalState::Withdrawn;
    } else {
      const bool live = approval_.state == ApprovalState::Pending || approval_.state == ApprovalState::Granted;
      if (!live || !expired(approval_, now_)) return;
      approval_.state = granted_access ? ApprovalState::Ended : ApprovalState::Expired;
      ++expired_;
    }
    access_->remove(approval_.requester, approval_.id);
    model_.over = true;
    save();
  }
  void look() {
    const auto active = access_->grants_for(approval_.requester, "", target::Target{"t", {}, target::McpTarget{}}, now_);
    const bool right = approval_.kind == RequestKind::Access && model_.granted && !model_.over && now_ >= model_.begins && now_ < model_.ends;
    ASSERT_EQ(!active.rules.empty(), right) << "at " << now_;
    active_ += right;
    ASSERT_TRUE(access_->grants_for(approval_.requester, "bot", target::Target{"t", {}, target::McpTarget{}}, now_).rules.empty()) << "an agent got what was asked for a person";
    ASSERT_TRUE(access_->grants_for(approval_.requester, "", target::Target{"other", {}, target::McpTarget{}}, now_).rules.empty());
  }
  void restart() {
    auto loaded = load_one(*database_, approval_.id);
    ASSERT_TRUE(loaded && *loaded);
    ASSERT_EQ((*loaded)->votes.size(), approval_.votes.size());
    approval_ = std::move(**loaded);
    access_->remove(approval_.requester, approval_.id);
    if (approval_.kind == RequestKind::Access && approval_.state == ApprovalState::Granted) put();
  }
  void something() {
    switch (world_.below(12)) {
      case 0: return use();
      case 1: return world_.below(6) == 0 ? end(true) : look();
      case 2: return end(false);
      case 3: return restart();
      case 4: {
        auto& groups = world_.groups[1 + world_.below(5)];
        if (world_.below(3) == 0 && !groups.empty()) groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(world_.below(groups.size())));
        else if (world_.below(8) == 0) world_.active[1 + world_.below(5)] = false;
        return;
      }
      case 5: return look();
      default: return vote();
    }
  }

  std::unique_ptr<state::Database> database_;
  World world_;
  Approval approval_;
  Model model_;
  std::unique_ptr<Access> access_;
  std::int64_t now_ = 0;
  int used_ = 0, expired_ = 0, active_ = 0;
};

TEST_F(Machine, HoldsItsPromisesOverRandomInterleavings) {
  int denied = 0, granted = 0, lapsed = 0;
  for (int run = 0; run < 20'000; ++run) {
    begin(run);
    for (int i = 0; i < 20 && !HasFatalFailure(); ++i) {
      now_ += static_cast<std::int64_t>(world_.below(6));
      const auto before = approval_.state;
      something();
      if (before != ApprovalState::Pending && before != ApprovalState::Granted) ASSERT_EQ(approval_.state, before) << "a final state changed";
    }
    ASSERT_FALSE(HasFatalFailure()) << "run " << run;
    denied += model_.refused;
    granted += model_.granted;
    lapsed += approval_.state == ApprovalState::Granted && !why_lapsed(approval_, world_.present).empty();
  }
  // The runs mean something only if each end was reached often.
  EXPECT_GT(used_, 300);
  EXPECT_GT(denied, 1000);
  EXPECT_GT(granted, 1000);
  EXPECT_GT(lapsed, 50);
  EXPECT_GT(expired_, 300);
  EXPECT_GT(active_, 300);
}

TEST(ApprovalMachine, AnApprovalWithoutStepsIsNeverGranted) {
  Approval approval;
  approval.expires_wall_ns = 100;
  const identity::SamePerson nobody;
  const PresentPeople unknown;
  EXPECT_EQ(cast(approval, Vote{"p", "p", "", "", {"leads"}, true, 1}, {1, nobody, unknown}), ApprovalState::Pending);
}

TEST(ApprovalMachine, RulesThatNameTheSameGroupAskItOnceAndStepsGoSideBySide) {
  Approval approval;
  ApprovalTerms one, two;
  one.steps = {{{"leads", 1}}};
  two.steps = {{{"leads", 2}, {"owners", 1}}, {{"security", 1}}};
  approval.terms = {{"a", one}, {"b", two}};
  const ApprovalSteps both{{{"leads", 2}, {"owners", 1}}, {{"security", 1}}};
  EXPECT_EQ(steps_of(approval), both);
  EXPECT_EQ(approval.approvers(), "2 people of group leads and one person of group owners, then one person of group security");
}

TEST(ApprovalMachine, WhoeverIsOfALaterStepIsToldSoAndMayStillRefuse) {
  Approval approval;
  approval.id = "apr_x";
  approval.requester = "local\nalice";
  approval.expires_wall_ns = 100;
  ApprovalTerms terms;
  terms.steps = {{{"leads", 1}}, {{"security", 1}}};
  approval.terms = {{"a", terms}};
  identity::Principal sam;
  sam.issuer = "local";
  sam.subject = "sam";
  sam.groups = {"security"};
  const identity::SamePerson nobody;
  const PresentPeople unknown;
  EXPECT_EQ(why_no_vote(approval, sam, true, {1, nobody, unknown}), "step 1 comes first: one person of group leads; yours is a later one");
  EXPECT_EQ(why_no_vote(approval, sam, false, {1, nobody, unknown}), "");
}

}  // namespace
}  // namespace sallyport::enforce
