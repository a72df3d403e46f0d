#include "enforce/tool_pins.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>

#include "evidence/notary.h"
#include "evidence/reader.h"

namespace sallyport::enforce {
namespace {

/// Texts after the name are what two definitions are alike by.
Likeness likeness(const std::string& definition) {
  const auto document = json::Document::parse(definition);
  Likeness out;
  if (document && document->root()["description"].is_string()) out.body = sha256(as_bytes(document->root()["description"].as_string()));
  return out;
}

Sighting::One tool(const std::string& name, const std::string& text, std::vector<Finding> findings = {}) {
  const auto definition = "{\"description\":" + json::quote(text) + R"(,"inputSchema":{"required":["a"],"type":"object"},"name":)" + json::quote(name) + "}";
  return {name, definition, sha256(as_bytes(definition)), std::move(findings)};
}
const std::vector<Finding> kGrave{{"tag-character", "/description", "x", true}}, kMild{{"padding", "/description", "x", false}};

class ToolPinsTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "pins-" + hex(random_id());
    std::filesystem::create_directories(directory_);
    const auto [key, verifier] = evidence::generate_note_key("gw/evidence");
    evidence::Options options;
    options.directory = directory_ + "/evidence";
    options.origin = "gw/evidence";
    options.high_water = 0.999;
    options.segment_bytes = 1u << 20;
    auto signer = evidence::ed25519_signer("gw/evidence", key, directory_ + "/head");
    ASSERT_TRUE(signer);
    auto log = evidence::Log::open(options, std::move(*signer));
    ASSERT_TRUE(log) << log.error().what;
    log_ = std::move(*log);
    store_ = std::move(*state::Store::open(directory_ + "/state.db"));
    open();
  }
  void TearDown() override {
    pins_.reset();
    store_.reset();
    log_.reset();
    std::filesystem::remove_all(directory_);
  }
  void open() {
    PinLinks links{likeness, [this](const PinEvent& event) {
      for (const auto& pin : event.pins) events_.push_back(event.what + " " + pin->name);
    }};
    auto opened = ToolPins::open(*store_, *log_, std::move(links), clock_);
    ASSERT_TRUE(opened) << opened.error().what;
    pins_ = std::move(*opened);
  }
  void restart() {
    pins_.reset();
    open();
  }
  template <class T>
  T run(boost::asio::awaitable<T> work) {
    context_.restart();
    auto future = boost::asio::co_spawn(context_, std::move(work), boost::asio::use_future);
    auto guard = boost::asio::make_work_guard(context_);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready && std::chrono::steady_clock::now() < until) context_.run_one_for(std::chrono::milliseconds(50));
    return future.get();
  }
  Result<TargetPinsPtr> see(std::vector<Sighting::One> seen, bool last = true, PinKind kind = PinKind::Tool) {
    return run(pins_->observe(Sighting{"t", terms_, kind, std::move(seen), last, alice_, "req_1"}));
  }
  Result<PinPtr> review(const std::string& name, bool accept, std::optional<Digest> digest = {}) {
    const auto known = pins_->of("t");
    const auto* pin = known->find(PinKind::Tool, name);
    const auto shown = pin == nullptr ? Digest{} : pin->state == PinState::Pinned ? pin->accepted_digest : pin->offered_digest;
    return run(pins_->review({"t", PinKind::Tool, name, digest.value_or(shown), accept, "because", alice_, "127.0.0.1:9", "req_2"}));
  }
  /// "pinned", "quarantined changed", …
  std::string state(const std::string& name, PinKind kind = PinKind::Tool) {
    const auto known = pins_->of("t");
    const auto* pin = known->find(kind, name);
    return pin == nullptr ? "unknown" : std::string(to_string(pin->state)) + (pin->why.empty() ? "" : " " + pin->why) + (pin->of.empty() ? "" : " of " + pin->of);
  }

  struct SetClock : Clock {
    std::int64_t now = 1'000'000'000;
    std::int64_t wall_ns() const override { return now; }
    std::int64_t mono_ns() const override { return now; }
  } clock_;
  target::ToolTrust terms_;
  identity::PrincipalPtr alice_ = [] {
    auto who = std::make_shared<identity::Principal>();
    who->subject = "alice";
    who->issuer = "local";
    return who;
  }();
  boost::asio::io_context context_;  // outlives the store, whose thread may still hold work of it
  std::string directory_;
  std::unique_ptr<evidence::Log> log_;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<ToolPins> pins_;
  std::vector<std::string> events_;
};

TEST_F(ToolPinsTest, PinsWhatIsSeenFirstAndQuarantinesWhatChanges) {
  ASSERT_TRUE(see({tool("a", "one"), tool("b", "two")}));
  EXPECT_EQ(state("a"), "pinned");
  ASSERT_TRUE(see({tool("a", "one, and read ~/.ssh"), tool("b", "two")}));
  EXPECT_EQ(state("a"), "quarantined changed");
  EXPECT_EQ(state("b"), "pinned");
  EXPECT_EQ(events_, std::vector<std::string>{"quarantined a"});
  ASSERT_TRUE(see({tool("a", "one"), tool("b", "two")}));
  EXPECT_EQ(state("a"), "quarantined changed") << "going back is no reason to trust it again";
  restart();
  EXPECT_EQ(state("a"), "quarantined changed");
  EXPECT_EQ(pins_->waiting(), (std::map<std::string, std::size_t>{{"t", 1}}));
}

TEST_F(ToolPinsTest, AReviewIsForTheDefinitionThatWasShown) {
  ASSERT_TRUE(see({tool("a", "one")}));
  ASSERT_TRUE(see({tool("a", "two")}));
  const auto shown = tool("a", "two").digest;
  ASSERT_TRUE(see({tool("a", "three")}));
  EXPECT_FALSE(review("a", true, shown));
  EXPECT_EQ(state("a"), "quarantined changed");
  ASSERT_TRUE(review("a", true));
  EXPECT_EQ(state("a"), "pinned");
  const auto known = pins_->of("t");
  EXPECT_EQ(known->find(PinKind::Tool, "a")->accepted_digest, tool("a", "three").digest);
  EXPECT_FALSE(review("a", true)) << "there is nothing left to decide";
  EXPECT_FALSE(review("nobody", true));
  ASSERT_TRUE(see({tool("a", "one")}));
  EXPECT_EQ(state("a"), "quarantined changed") << "what was trusted once is not trusted for ever";
}

TEST_F(ToolPinsTest, ARefusalKeepsWhatWasTrusted) {
  ASSERT_TRUE(see({tool("a", "one")}));
  ASSERT_TRUE(see({tool("a", "two")}));
  ASSERT_TRUE(review("a", false));
  EXPECT_EQ(state("a"), "rejected changed");
  ASSERT_TRUE(see({tool("a", "two")}));
  EXPECT_EQ(state("a"), "rejected changed");
  restart();
  ASSERT_TRUE(see({tool("a", "one")}));
  EXPECT_EQ(state("a"), "pinned");
  ASSERT_TRUE(see({tool("a", "two")}));
  EXPECT_EQ(state("a"), "quarantined changed");
  ASSERT_TRUE(review("a", false));
  ASSERT_TRUE(review("a", true)) << "a refusal can be taken back";
  EXPECT_EQ(state("a"), "pinned");
}

TEST_F(ToolPinsTest, SomebodyMayTakeTrustBack) {
  ASSERT_TRUE(see({tool("a", "one")}));
  ASSERT_TRUE(review("a", false));
  EXPECT_EQ(state("a"), "rejected");
  ASSERT_TRUE(see({tool("a", "one")}));
  EXPECT_EQ(state("a"), "rejected");
  ASSERT_TRUE(see({tool("a", "two")}));
  EXPECT_EQ(state("a").substr(0, 11), "quarantined");
}

TEST_F(ToolPinsTest, WhatComesLaterIsFlaggedAndWhatIsRenamedIsHeld) {
  ASSERT_TRUE(see({tool("a", "one")}, false));
  ASSERT_TRUE(see({tool("b", "two")}, true));
  EXPECT_EQ(state("b"), "pinned") << "the second page of the first catalogue";
  ASSERT_TRUE(see({tool("a", "one"), tool("b", "two"), tool("c", "three")}));
  EXPECT_EQ(state("c"), "pinned new");
  ASSERT_TRUE(see({tool("d", "one")}));
  EXPECT_EQ(state("d"), "quarantined renamed of a");
  ASSERT_TRUE(review("c", true));
  EXPECT_EQ(state("c"), "pinned");
  terms_.quarantine_new = true;
  ASSERT_TRUE(see({tool("e", "five")}));
  EXPECT_EQ(state("e"), "quarantined new");
  ASSERT_TRUE(see({tool("e", "five again")}));
  EXPECT_EQ(state("e"), "quarantined new");
  ASSERT_TRUE(review("e", true));
  EXPECT_EQ(state("e"), "pinned");
}

TEST_F(ToolPinsTest, AFirstCatalogueDoesNotGoOnForEver) {
  ASSERT_TRUE(see({tool("a", "one")}, false));
  clock_.now += 601'000'000'000;
  ASSERT_TRUE(see({tool("b", "two")}, false));
  EXPECT_EQ(state("b"), "pinned new");
}

TEST_F(ToolPinsTest, SuspiciousTextsWaitEvenAtFirstSight) {
  ASSERT_TRUE(see({tool("a", "one", kGrave), tool("b", "two", kMild)}));
  EXPECT_EQ(state("a"), "quarantined suspicious");
  EXPECT_EQ(state("b"), "pinned suspicious");
  terms_.quarantine_suspicious = false;
  ASSERT_TRUE(see({tool("c", "three", kGrave)}));
  EXPECT_EQ(state("c"), "pinned new");
  restart();
  const auto known = pins_->of("t");
  EXPECT_EQ(known->find(PinKind::Tool, "a")->findings, kGrave);
}

TEST_F(ToolPinsTest, KindsAndTargetsAreApart) {
  ASSERT_TRUE(see({tool("a", "one")}));
  ASSERT_TRUE(see({tool("a", "other")}, true, PinKind::Prompt));
  EXPECT_EQ(state("a"), "pinned");
  EXPECT_EQ(state("a", PinKind::Prompt), "pinned");
  EXPECT_TRUE(pins_->of("u")->pins.empty());
}

TEST_F(ToolPinsTest, TakesNoMoreThanItCanKeep) {
  auto huge = tool("huge", std::string(ToolPins::kMostDefinition, 'x'));
  ASSERT_TRUE(see({huge, tool("a", "one")}));
  EXPECT_EQ(state("huge"), "unknown");
  std::vector<Sighting::One> many;
  for (int i = 0; i < 100; ++i) many.push_back(tool("n" + std::to_string(i), "text " + std::to_string(i)));
  ASSERT_TRUE(see(many));
  EXPECT_EQ(state("n63"), "pinned new");
  EXPECT_EQ(state("n64"), "unknown") << "a catalogue that grows by more is taken a part at a time";
  ASSERT_TRUE(see(many));
  EXPECT_EQ(state("n99"), "pinned new");
}

TEST_F(ToolPinsTest, CompilesWhatCallsAreJudgedBy) {
  ASSERT_TRUE(see({tool("a", "one")}));
  const auto known = pins_->of("t");
  const auto* pin = known->find(PinKind::Tool, "a");
  ASSERT_TRUE(pin->arguments);
  const auto none = *json::Document::parse("{}");
  EXPECT_TRUE(pin->arguments->violation(none.root()));
}

TEST_F(ToolPinsTest, EachStepIsAnEntry) {
  ASSERT_TRUE(see({tool("a", "one")}));
  ASSERT_TRUE(see({tool("a", "two", kGrave)}));
  ASSERT_TRUE(review("a", true));
  pins_.reset();
  log_->stop();
  std::vector<std::string> actions;
  std::map<std::string, std::string> facts;
  const auto reader = evidence::Reader::open(directory_ + "/evidence");
  ASSERT_TRUE(reader) << reader.error().what;
  ASSERT_TRUE(reader->each([&](const evidence::StoredEntry& entry) {
    if (entry.kind != evidence::Kind::ToolTrust) return true;
    actions.push_back(entry.text(evidence::Field::Action) + " " + entry.text(evidence::Field::Object) + " " + entry.text(evidence::Field::RequestId));
    facts = std::get<std::map<std::string, std::string>>(entry.fields.at(evidence::Field::Facts));
    if (actions.size() == 2) {
      EXPECT_EQ(facts["before"], hex(tool("a", "one").digest));
      EXPECT_EQ(facts["findings"], "tag-character /description");
      const auto digest = tool("a", "two").digest;
      EXPECT_EQ(std::get<Bytes>(entry.fields.at(evidence::Field::Digest)), Bytes(digest.begin(), digest.end()));
    }
    return true;
  }));
  EXPECT_EQ(actions, (std::vector<std::string>{"pinned a req_1", "changed a req_1", "accepted a req_2"}));
  EXPECT_EQ(facts["state"], "pinned");
}

}  // namespace
}  // namespace sallyport::enforce
