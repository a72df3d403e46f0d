// The Gate with a real log, a real state database and real approvals: nothing passes without its entry, and what passes
// is what was judged.
#include "enforce/gate.h"
#include "evidence/notary.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <future>

namespace sallyport::enforce {
namespace {

constexpr const char* kTargets = "tickets";
constexpr const char* kConfig = R"(policy:
  - { id: engineers, allow: { who: group:engineers } }
  - { id: no-shell, block: { when: 'mcp.tool == "run_command"' }, message: "Shell tools are off." }
  - { id: writes, approve: { who: group:engineers, when: 'mcp.tool.startsWith("write_")', by: group:leads, quorum: 1, hold: 20s, valid: 30m } }
  - { id: pii, mask: { detect: [email], with: redact } }
)";

PolicyPtr policy(const std::string& text, const target::Catalog& catalog) {
  yaml::Diagnostics diagnostics("test.yaml", text);
  const auto root = yaml::parse(diagnostics);
  auto loaded = Policy::load(root.find("policy"), nullptr, text, catalog, diagnostics);
  EXPECT_TRUE(loaded) << diagnostics.print();
  return loaded;
}

identity::PrincipalPtr person(std::string name, std::vector<std::string> groups, std::string agent = "") {
  auto who = std::make_shared<identity::Principal>();
  who->subject = std::move(name);
  who->issuer = "local";
  who->groups = std::move(groups);
  who->agent = std::move(agent);
  who->method = "local-token";
  return who;
}

class GateTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "gate-" + hex(random_id());
    std::filesystem::create_directories(directory_);
    auto catalog = std::make_shared<target::Catalog>();
    catalog->targets[kTargets] = target::Target{kTargets, {}, target::McpTarget{}};
    catalog_ = catalog;
    store_ = std::move(*state::Store::open(":memory:"));
    const auto [key, verifier] = evidence::generate_note_key("gw/evidence");
    evidence::Options options;
    options.directory = directory_ + "/evidence";
    options.origin = "gw/evidence";
    options.high_water = 0.999;
    options.segment_bytes = 1u << 20;
    auto signer = evidence::ed25519_signer("gw/evidence", key, directory_ + "/head");
    ASSERT_TRUE(signer) << signer.error().what;
    auto log = evidence::Log::open(options, std::move(*signer));
    ASSERT_TRUE(log) << log.error().what;
    log_ = std::move(*log);
    auto approvals = Approvals::open(*store_, *log_);
    ASSERT_TRUE(approvals) << approvals.error().what;
    approvals_ = std::move(*approvals);
    port_ = std::make_unique<evidence::Port>(*log_, context_);
    gate_ = std::make_unique<Gate>(context_, *log_, *port_, *approvals_, policy(kConfig, *catalog_), catalog_);
    auto opened = run(gate_->open(alice_, kTargets, "binding", {"127.0.0.1:1", "mcp", "test 1", ""}));
    ASSERT_TRUE(opened) << opened.error().what;
    session_ = *opened;
  }
  void TearDown() override {
    session_.reset();
    gate_.reset();
    port_.reset();
    approvals_.reset();
    log_.reset();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  /// Runs until the coroutine has ended, for at most half a minute.
  template <class T>
  T run(boost::asio::awaitable<T> work) {
    auto future = boost::asio::co_spawn(context_, std::move(work), boost::asio::use_future);
    return wait(future);
  }
  template <class T>
  T wait(std::future<T>& future) {
    context_.restart();
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    auto guard = boost::asio::make_work_guard(context_);
    while (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready && std::chrono::steady_clock::now() < until)
      context_.run_one_for(std::chrono::milliseconds(100));
    EXPECT_EQ(future.wait_for(std::chrono::seconds(0)), std::future_status::ready) << "it never ended";
    return future.get();
  }
  std::future<Verdict> start(const std::string& tool, const std::string& text, Hold* hold) {
    return boost::asio::co_spawn(context_, ask(tool, text, hold), boost::asio::use_future);
  }
  boost::asio::awaitable<Verdict> ask(std::string tool, std::string text, Hold* hold = nullptr) {
    auto document = json::Document::parse(text);
    const Action action = ToolCall{tool, document->root()};
    co_return co_await gate_->ask(session_, action, text, document->root(), hold);
  }
  void finish(Verdict verdict) {
    ASSERT_TRUE(std::holds_alternative<Allowed>(verdict));
    EXPECT_TRUE(run(gate_->finish(std::move(std::get<Allowed>(verdict).running), {})));
  }
  const Denial& denied(const Verdict& verdict) {
    static const Denial kNone;
    EXPECT_TRUE(std::holds_alternative<Denial>(verdict)) << "it was allowed";
    return std::holds_alternative<Denial>(verdict) ? std::get<Denial>(verdict) : kNone;
  }
  /// The id of the one request that is pending, awaited.
  std::string pending() {
    auto look = [this]() -> boost::asio::awaitable<std::string> {
      std::uint64_t version = 0;
      for (int i = 0; i < 100; ++i) {
        auto all = co_await approvals_->list(true, 10);
        if (all && all->size() == 1) co_return all->front().id;
        version = co_await approvals_->changed(version, net::after(1'000'000'000));
      }
      co_return "";
    };
    return run(look());
  }

  boost::asio::io_context context_;
  std::string directory_;
  target::CatalogPtr catalog_;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<evidence::Log> log_;
  std::unique_ptr<Approvals> approvals_;
  std::unique_ptr<evidence::Port> port_;
  std::unique_ptr<Gate> gate_;
  std::shared_ptr<Session> session_;
  identity::PrincipalPtr alice_ = person("alice", {"engineers"});
  identity::PrincipalPtr bob_ = person("bob", {"leads"});
};

TEST_F(GateTest, AnAllowedCommandIsDurableBeforeItsPermitExistsAndThePermitHoldsTheJudgedBytes) {
  const auto before = log_->status().size;
  auto verdict = run(ask("read_ticket", R"({"id":1})"));
  ASSERT_TRUE(std::holds_alternative<Allowed>(verdict)) << denied(verdict).reason;
  EXPECT_EQ(log_->status().size, before + 1);
  auto& allowed = std::get<Allowed>(verdict);
  EXPECT_EQ(allowed.permit.bytes(), R"({"id":1})");
  EXPECT_EQ(allowed.permit.target().name, kTargets);
  EXPECT_EQ(allowed.permit.request_id(), allowed.running.request_id());
  finish(std::move(verdict));
  EXPECT_EQ(log_->status().size, before + 2);
}

TEST_F(GateTest, ABlockedCommandIsRecordedAndNamesItsRule) {
  const auto before = log_->status().size;
  const auto verdict = run(ask("run_command", R"({"command":"ls"})"));
  EXPECT_EQ(denied(verdict).rules, std::vector<std::string>{"no-shell"});
  EXPECT_EQ(denied(verdict).message, "Shell tools are off.");
  EXPECT_EQ(log_->status().size, before + 1);
}

TEST_F(GateTest, WithoutEvidenceNothingIsAllowed) {
  log_->stop();
  const auto verdict = run(ask("read_ticket", R"({"id":1})"));
  EXPECT_EQ(denied(verdict).kind, ErrorKind::Unavailable);
  EXPECT_NE(denied(verdict).reason.find("not run"), std::string::npos) << denied(verdict).reason;
  EXPECT_FALSE(gate_->evidence_writable());
}

TEST_F(GateTest, AnUnknownTargetAndATargetWhereNothingIsAllowedAreTheSameAnswer) {
  const auto unknown = run(gate_->open(alice_, "nowhere", "b", {}));
  const auto stranger = run(gate_->open(person("eve", {"guests"}), kTargets, "b", {}));
  ASSERT_FALSE(unknown);
  ASSERT_FALSE(stranger);
  EXPECT_EQ(unknown.error().what, "there is no target \"nowhere\" for alice");
  EXPECT_EQ(stranger.error().what, "there is no target \"tickets\" for eve");
}

TEST_F(GateTest, AnExpiredCredentialStopsAtTheNextCommand) {
  auto who = std::make_shared<identity::Principal>(*alice_);
  who->expires_wall_ns = system_clock().wall_ns() - 1;
  session_->who = who;
  EXPECT_NE(denied(run(ask("read_ticket", "{}"))).reason.find("expired"), std::string::npos);
}

TEST_F(GateTest, AHeldCommandRunsOnceAfterAnotherHumanApproves) {
  Hold hold;
  auto held = start("write_ticket", R"({"text":"x"})", &hold);
  const auto id = pending();
  ASSERT_FALSE(id.empty());
  EXPECT_FALSE(run(approvals_->vote(id, alice_, true, ""))) << "the requester voted";
  EXPECT_FALSE(run(approvals_->vote(id, person("bob", {"leads"}, "bot"), true, ""))) << "an agent voted";
  EXPECT_FALSE(run(approvals_->vote(id, person("carol", {"engineers"}), true, ""))) << "a stranger to the group voted";
  ASSERT_TRUE(run(approvals_->vote(id, bob_, true, "fine")));
  finish(wait(held));
  EXPECT_EQ(hold.approval, id);
  Hold again;
  auto second = start("write_ticket", R"({"text":"x"})", &again);
  const auto other = pending();
  EXPECT_NE(other, id) << "one consent was used twice";
  ASSERT_TRUE(run(approvals_->vote(other, bob_, false, "no")));
  const auto verdict = wait(second);
  EXPECT_NE(denied(verdict).reason.find("denied by bob"), std::string::npos) << denied(verdict).reason;
}

TEST_F(GateTest, OtherArgumentsAreAnotherRequest) {
  Hold hold;
  auto held = start("write_ticket", R"({"a":1,"b":2})", &hold);
  const auto id = pending();
  hold.over = true;
  EXPECT_TRUE(denied(wait(held)).pending);
  Hold reordered;
  auto attached = start("write_ticket", R"({"b":2,"a":1})", &reordered);
  ASSERT_TRUE(run(approvals_->vote(id, bob_, true, "")));
  finish(wait(attached));
  EXPECT_EQ(reordered.approval, id) << "the same command attaches, whatever the order of its arguments";
  Hold different;
  auto changed = start("write_ticket", R"({"a":1,"b":3})", &different);
  EXPECT_NE(pending(), id);
  run(gate_->cancel(different));
  EXPECT_TRUE(denied(wait(changed)).cancelled);
}

TEST_F(GateTest, ACancelledRequestCannotBeApprovedAfterwards) {
  Hold hold;
  auto held = start("write_ticket", R"({"text":"x"})", &hold);
  const auto id = pending();
  run(gate_->cancel(hold));
  EXPECT_TRUE(denied(wait(held)).cancelled);
  const auto vote = run(approvals_->vote(id, bob_, true, ""));
  ASSERT_FALSE(vote);
  EXPECT_EQ(vote.error().kind, ErrorKind::Denied);
}

TEST_F(GateTest, APolicyThatChangedWhileACommandWasHeldIsAskedAgain) {
  Hold hold;
  auto held = start("write_ticket", R"({"text":"x"})", &hold);
  const auto id = pending();
  gate_->reconfigure(policy(std::string(kConfig) + "  - { id: late, block: { when: 'mcp.tool == \"write_ticket\"' } }\n", *catalog_), catalog_);
  ASSERT_TRUE(run(approvals_->vote(id, bob_, true, "")));
  const auto verdict = wait(held);
  EXPECT_NE(denied(verdict).reason.find("policy changed"), std::string::npos) << denied(verdict).reason;
}

TEST_F(GateTest, NothingRunsForAClientThatWentAwayAndTheApprovalStaysForItsReturn) {
  Hold hold;
  bool gone = false;
  hold.gone = [&] { return gone; };
  auto held = start("write_ticket", R"({"text":"x"})", &hold);
  const auto id = pending();
  gone = true;
  ASSERT_TRUE(run(approvals_->vote(id, bob_, true, "")));
  EXPECT_TRUE(denied(wait(held)).pending);
  Hold back;
  auto again = start("write_ticket", R"({"text":"x"})", &back);
  finish(wait(again));
  EXPECT_EQ(back.approval, id);
}

TEST_F(GateTest, ASessionClosesAfterTheOutcomesOfWhatRuns) {
  auto verdict = run(ask("read_ticket", "{}"));
  ASSERT_TRUE(std::holds_alternative<Allowed>(verdict));
  const auto before = log_->status().size;
  auto closed = boost::asio::co_spawn(context_, gate_->close(session_, "test"), boost::asio::use_future);
  context_.run_for(std::chrono::milliseconds(50));
  EXPECT_EQ(log_->status().size, before) << "closed while a command was running";
  finish(std::move(verdict));
  wait(closed);
  EXPECT_EQ(log_->status().size, before + 2);
  EXPECT_EQ(denied(run(ask("read_ticket", "{}"))).reason, "the session has ended");
}

TEST_F(GateTest, ATargetThatAReloadTookAwayIsRefused) {
  gate_->reconfigure(policy(kConfig, *catalog_), std::make_shared<target::Catalog>());
  EXPECT_NE(denied(run(ask("read_ticket", "{}"))).reason.find("no longer configured"), std::string::npos);
}

/// A target that is there for those with access alone.
class GateAccess : public GateTest {
 protected:
  void SetUp() override {
    GateTest::SetUp();
    configure();
    auto opened = run(gate_->open(alice_, kTargets, "binding", {"127.0.0.1:1", "mcp", "test 1", ""}));
    EXPECT_FALSE(opened) << "nothing is allowed there yet";
  }
  void configure() {
    const std::string text = "access:\n  - { id: prod, who: group:engineers, target: tickets, longest: 1h, steps: [[{ by: group:leads }], [{ by: group:security }]] }\n"
                             "  - { id: fire, who: group:engineers, target: tickets, longest: 1h, break_glass: { review_by: group:security } }\n";
    yaml::Diagnostics diagnostics("a.yaml", text);
    const auto root = yaml::parse(diagnostics);
    Access::Setup setup;
    setup.catalog = catalog_;
    setup.rules = load_access(*root.find("access"), *catalog_, diagnostics);
    EXPECT_TRUE(diagnostics.ok()) << diagnostics.print();
    approvals_->access()->configure(std::move(setup));
    const std::string rules = "policy:\n  - { id: granted, allow: { who: [access:prod, access:fire] } }\n";
    yaml::Diagnostics more("p.yaml", rules);
    const auto tree = yaml::parse(more);
    gate_->reconfigure(Policy::load(tree.find("policy"), nullptr, rules, *catalog_, more, {"prod", "fire"}), catalog_);
  }
  Result<Approval> ask_for(identity::PrincipalPtr who, std::string rule = "prod") {
    AccessAsk asked;
    asked.who = std::move(who);
    asked.rule = std::move(rule);
    asked.reason = "a bug";
    asked.targets.names = {kTargets};
    asked.duration_ns = 3600'000'000'000;
    return run(approvals_->ask(std::move(asked)));
  }
  std::string why_not(const Result<Approval>& result) { return result ? "it was done" : result.error().what; }
  identity::PrincipalPtr sam_ = person("sam", {"security"});
};

TEST_F(GateAccess, IsGrantedStepByStepUsedAndRevoked) {
  auto asked = ask_for(alice_);
  ASSERT_TRUE(asked) << asked.error().what;
  EXPECT_NE(why_not(ask_for(alice_)).find("pending already"), std::string::npos);
  EXPECT_NE(why_not(run(approvals_->vote(asked->id, sam_, true, ""))).find("step 1 comes first"), std::string::npos);
  ASSERT_TRUE(run(approvals_->vote(asked->id, bob_, true, "")));
  EXPECT_NE(why_not(run(approvals_->vote(asked->id, bob_, true, ""))).find("voted"), std::string::npos);
  EXPECT_FALSE(run(gate_->open(alice_, kTargets, "b", {"127.0.0.1:1", "mcp", "test 1", ""}))) << "half granted is not granted";
  auto granted = run(approvals_->vote(asked->id, sam_, true, ""));
  ASSERT_TRUE(granted) << granted.error().what;
  EXPECT_EQ(granted->state, ApprovalState::Granted);
  EXPECT_EQ(granted->access.ends_wall_ns - granted->access.begins_wall_ns, 3600'000'000'000);

  auto opened = run(gate_->open(alice_, kTargets, "b", {"127.0.0.1:1", "mcp", "test 1", ""}));
  ASSERT_TRUE(opened) << opened.error().what;
  session_ = *opened;
  EXPECT_EQ(session_->who->access, std::vector<std::string>{"prod"});
  EXPECT_TRUE(session_->signed_in->access.empty());
  finish(run(ask("read_ticket", "{}")));
  EXPECT_FALSE(run(gate_->open(person("alice", {"engineers"}, "bot"), kTargets, "b", {"127.0.0.1:1", "mcp", "test 1", ""}))) << "an agent came in on the person's grant";

  std::string ended;
  session_->end = [&](std::string why) { ended = std::move(why); };
  gate_->recheck();
  EXPECT_EQ(ended, "");
  EXPECT_NE(why_not(run(approvals_->revoke(asked->id, person("mallory", {"engineers"}), false, ""))).find("revoked by who has it"), std::string::npos);
  ASSERT_TRUE(run(approvals_->revoke(asked->id, bob_, false, "enough")));
  EXPECT_EQ(denied(run(ask("read_ticket", "{}"))).reason, "no rule allows it") << "the very next command is judged without it";
  gate_->recheck();
  EXPECT_EQ(ended, "the access under rule prod has ended");
  ended.clear();
  gate_->recheck();
  EXPECT_EQ(ended, "") << "a session is ended once";
}

TEST_F(GateAccess, ByBreakGlassIsThereAtOnceAndReviewedBySomebodyElse) {
  EXPECT_NE(why_not(ask_for(alice_, "fire")).find("break-glass credential"), std::string::npos);
  auto glass = std::make_shared<identity::Principal>(*alice_);
  glass->method = "break-glass";
  auto asked = ask_for(glass, "fire");
  ASSERT_TRUE(asked) << asked.error().what;
  EXPECT_EQ(asked->state, ApprovalState::Granted);
  EXPECT_TRUE(run(gate_->open(alice_, kTargets, "b", {"127.0.0.1:1", "mcp", "test 1", ""})));
  const auto counts = run(approvals_->counts());
  EXPECT_EQ(counts.reviews, 1u);
  EXPECT_EQ(counts.grants, 1u);
  EXPECT_EQ(counts.break_glass, 1u);
  const auto open = run(approvals_->list(true, 10));
  ASSERT_TRUE(open && open->size() == 1);
  const auto& review = open->front();
  EXPECT_EQ(review.kind, RequestKind::Review);
  EXPECT_EQ(review.about, asked->id);
  EXPECT_FALSE(run(approvals_->vote(review.id, person("alice", {"security"}), true, ""))) << "she reviewed herself";
  auto unjustified = run(approvals_->vote(review.id, sam_, false, "no fire"));
  ASSERT_TRUE(unjustified) << unjustified.error().what;
  EXPECT_EQ(run(approvals_->get(asked->id))->state, ApprovalState::Revoked);
  EXPECT_FALSE(run(gate_->open(alice_, kTargets, "b", {"127.0.0.1:1", "mcp", "test 1", ""})));
}

TEST_F(GateAccess, SurvivesARestartAndIsRenewedFromItsEnd) {
  auto asked = ask_for(alice_);
  ASSERT_TRUE(run(approvals_->vote(asked->id, bob_, true, "")));
  approvals_.reset();
  approvals_ = std::move(*Approvals::open(*store_, *log_));
  gate_ = std::make_unique<Gate>(context_, *log_, *port_, *approvals_, policy(kConfig, *catalog_), catalog_);
  configure();
  auto granted = run(approvals_->vote(asked->id, sam_, true, ""));
  ASSERT_TRUE(granted) << granted.error().what;
  auto again = run(approvals_->renew(asked->id, alice_, 0, "not done", ""));
  ASSERT_TRUE(again) << again.error().what;
  ASSERT_TRUE(run(approvals_->vote(again->id, bob_, true, "")));
  auto renewed = run(approvals_->vote(again->id, sam_, true, ""));
  ASSERT_TRUE(renewed) << renewed.error().what;
  EXPECT_EQ(renewed->access.begins_wall_ns, granted->access.ends_wall_ns);
  EXPECT_EQ(renewed->about, asked->id);
}

TEST_F(GateTest, RawIsNeverAllowed) {
  auto raw = [this]() -> boost::asio::awaitable<Verdict> {
    const Action action = Raw{"mcp", "tools/destroy"};
    co_return co_await gate_->ask(session_, action, "{}", {}, nullptr);
  };
  EXPECT_NE(denied(run(raw())).reason.find("unknown is not allowed"), std::string::npos);
}

TEST_F(GateTest, WhatIsMaskedInTheAnswerIsMaskedInTheText) {
  auto verdict = run(ask("read_ticket", "{}"));
  ASSERT_TRUE(std::holds_alternative<Allowed>(verdict));
  auto& running = std::get<Allowed>(verdict).running;
  std::string text = "write to jane@example.com";
  gate_->mask(running, text);
  EXPECT_EQ(text.find("jane"), std::string::npos) << text;
  gate_->observe(running, text);
  finish(std::move(verdict));
}

}  // namespace
}  // namespace sallyport::enforce
