// Logs that break a rule between entries and are signed all the same: each is invalid, with the rule's code and the entry's place.
#include "forge.h"

namespace sallyport::tamper {
namespace {

#define EXPECT_FAULT(report, code_, at)                                                                   \
  do {                                                                                                    \
    const auto r = (report);                                                                              \
    EXPECT_EQ(r.verdict, verify::Report::Invalid);                                                        \
    EXPECT_TRUE(has(r, code_)) << verify::to_text(r);                                                     \
    if (!r.faults.empty()) EXPECT_EQ(r.faults.front().index, std::optional<std::uint64_t>(at)) << verify::to_text(r); \
  } while (false)

TEST(Rules, AForgedLogThatKeepsThemAllIsValid) {
  Forge log;
  log.start();
  auto s = log.session();
  log.add(opened(s));
  log.archive();
  const auto c = log.add(command(s));
  log.add(outcome(s, c));
  log.add(closed(s));
  const auto report = log.verified();
  EXPECT_EQ(report.verdict, verify::Report::Valid) << verify::to_text(report);
  EXPECT_EQ(report.entries, 5U);
  EXPECT_EQ(report.heads, 2U);
}

TEST(Rules, ACommandWithoutOutcomeIsAFaultInAClosedSessionAndNoneInAnOpenOne) {
  Forge log;
  log.start();
  auto s = log.session();
  log.add(command(s));
  auto open = log.verified();
  EXPECT_EQ(open.verdict, verify::Report::Valid) << verify::to_text(open);
  EXPECT_EQ(open.open_sessions, 1U);
  log.add(closed(s));
  EXPECT_FAULT(log.verified(), "session-outcomes", 2U);
}

TEST(Rules, AnOutcomeBelongsToOneAllowedCommandOfItsSession) {
  for (const int bad : {0, 1, 2, 3}) {
    Forge log;
    log.start();
    auto s = log.session(), other = log.session();
    const auto c = log.add(command(bad == 0 ? other : s, bad == 1 ? Decision::Blocked : Decision::Allowed));
    log.add(outcome(s, bad == 3 ? 0 : c));
    if (bad == 2) log.add(outcome(s, c));
    EXPECT_FAULT(log.verified(), "outcome", bad == 2 ? 3U : 2U);
  }
}

TEST(Rules, SessionsAreDenseCountedAndEndWithTheirClose) {
  const auto with = [](const std::function<void(Forge&, SessionPtr)>& rest) {
    Forge log;
    log.start();
    auto s = log.session();
    log.add(opened(s));
    rest(log, s);
    return log.verified();
  };
  EXPECT_FAULT(with([](Forge& log, SessionPtr s) { log.add(command(s, Decision::Blocked), [](auto& p) { ++p.sequence; }); }), "session-density", 2U);
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_FAULT(with([i](Forge& log, SessionPtr s) { log.add(closed(s), [i](auto& p) { ++(*p.totals)[i]; }); }), "session-totals", 2U);
  const std::array<const char*, 4> said = {"it counts 3 entries in the session, there are 2", "it counts 1 commands in the session, there are 0", "it counts 1 outcomes in the session, there are 0", "it counts 1 chunks in the session, there are 0"};
  for (std::size_t i = 0; i < 4; ++i) {
    const auto report = with([i](Forge& log, SessionPtr s) { log.add(closed(s), [i](auto& p) { ++(*p.totals)[i]; }); });
    EXPECT_EQ(report.fault_count, 1U);
    EXPECT_TRUE(report.faults[0].what.ends_with(said[i])) << report.faults[0].what;
  }
  EXPECT_FAULT(with([](Forge& log, SessionPtr s) { log.add(closed(s)), log.add(command(s, Decision::Blocked)); }), "session", 3U);
  EXPECT_FAULT(with([](Forge& log, SessionPtr s) { log.add(closed(s), [](auto& p) { p.totals.reset(); }); }), "entry-malformed", 2U);
}

TEST(Rules, IndexesAreDenseTimesDoNotFallAndIncarnationsBeginInOrder) {
  const auto with = [](const std::function<void(Forge&)>& rest) {
    Forge log;
    log.start();
    rest(log);
    return log.verified();
  };
  EXPECT_FAULT(with([](Forge& log) { log.add(Entry(Kind::Heartbeat), [](auto& p) { ++p.index; }); }), "entry-index", 1U);
  EXPECT_FAULT(with([](Forge& log) { log.add(Entry(Kind::Heartbeat), [](auto& p) { p.mono = 0; }); }), "time", 1U);
  EXPECT_FAULT(with([](Forge& log) { log.start(); }), "incarnation", 1U);
  EXPECT_FAULT(with([](Forge& log) { log.add(Entry(Kind::NodeStop)), log.add(Entry(Kind::Heartbeat)); }), "incarnation", 2U);
  EXPECT_FAULT(with([](Forge& log) { log.incarnation[0] = 99, log.add(Entry(Kind::Heartbeat)); }), "incarnation", 1U);
  EXPECT_TRUE(verify::to_text(with([](Forge& log) { log.incarnation[0] = 99, log.add(Entry(Kind::Heartbeat)); })).contains("another incarnation than its segment"));
  Forge beyond, headless;
  beyond.add(std::move(Entry(Kind::NodeStart).uint(Field::SignedSize, 1)));
  EXPECT_FAULT(beyond.verified(), "recovery", 0U);
  headless.add(std::move(Entry(Kind::NodeStart).uint(Field::SignedSize, 0).bytes(Field::Incarnation, Id16{1})));
  EXPECT_FAULT(headless.verified(), "incarnation", 0U);
  EXPECT_TRUE(verify::to_text(with([](Forge& log) {
                log.add(Entry(Kind::NodeStop));
                log.incarnation[0] = 99;
                log.start();
              })).contains("does not name the incarnation before it"));
  Forge none;
  none.add(Entry(Kind::Heartbeat));
  EXPECT_FAULT(none.verified(), "incarnation", 0U);
}

TEST(Rules, AnApprovalIsRequestedGrantedByItsQuorumUsedOnceAndForOneCommand) {
  const auto step = [](Kind kind, const char* by = "", std::uint8_t digest = 1, std::uint64_t quorum = 0) {
    Entry entry(kind);
    entry.text(Field::Approval, "apr_1");
    if (quorum != 0) entry.uint(Field::Quorum, quorum);
    entry.text(Field::Approver, by).bytes(Field::Digest, Digest{digest});
    return entry;
  };
  const auto runs = [](const SessionPtr& s) {
    return std::move(Entry(Kind::Command, s).uint(Field::Decision, 1).text(Field::Approval, "apr_1"));
  };
  const auto with = [&](const std::function<void(Forge&, SessionPtr)>& rest) {
    Forge log;
    log.start();
    log.add(step(Kind::ApprovalRequested, "", 1, 2));
    rest(log, log.session());
    return log.verified();
  };
  const auto good = with([&](Forge& log, SessionPtr s) {
    log.add(step(Kind::ApprovalGranted, "bob")), log.add(step(Kind::ApprovalGranted, "eve")), log.add(step(Kind::ApprovalUsed)), log.add(runs(s));
  });
  EXPECT_EQ(good.verdict, verify::Report::Valid) << verify::to_text(good);
  const auto round = [&](const SessionPtr& s, std::uint64_t of) { return std::move(runs(s).uint(Field::CommandIndex, of)); };
  const auto rounds = [&](std::initializer_list<std::uint64_t> of) {
    return with([&](Forge& log, SessionPtr s) {
      log.add(step(Kind::ApprovalGranted, "bob")), log.add(step(Kind::ApprovalGranted, "eve")), log.add(step(Kind::ApprovalUsed)), log.add(runs(s));
      for (const auto before : of) log.add(round(s, before));
    });
  };
  EXPECT_EQ(rounds({5, 6, 7}).verdict, verify::Report::Valid) << "the rounds of one command";
  EXPECT_FAULT(rounds({5, 5}), "approval", 7U);
  EXPECT_FAULT(rounds({5, 3}), "approval", 7U);
  EXPECT_FAULT(rounds({4}), "approval", 6U);
  EXPECT_FAULT(with([&](Forge& log, SessionPtr s) { log.add(runs(s)); }), "approval", 2U);
  EXPECT_FAULT(with([&](Forge& log, SessionPtr) { log.add(step(Kind::ApprovalGranted, "bob")), log.add(step(Kind::ApprovalGranted, "bob")), log.add(step(Kind::ApprovalUsed)); }), "approval", 4U);
  EXPECT_FAULT(with([&](Forge& log, SessionPtr) { log.add(step(Kind::ApprovalGranted, "bob", 2)); }), "approval", 2U);
  EXPECT_FAULT(with([&](Forge& log, SessionPtr) { log.add(step(Kind::ApprovalRequested, "", 1, 1)); }), "approval", 2U);
  EXPECT_FAULT(with([&](Forge& log, SessionPtr s) {
    log.add(step(Kind::ApprovalGranted, "bob")), log.add(step(Kind::ApprovalGranted, "eve")), log.add(step(Kind::ApprovalUsed)), log.add(runs(s)), log.add(runs(s));
  }), "approval", 6U);
  EXPECT_FAULT(with([&](Forge& log, SessionPtr) {
    log.add(step(Kind::ApprovalGranted, "bob")), log.add(step(Kind::ApprovalGranted, "eve")), log.add(step(Kind::ApprovalUsed)), log.add(step(Kind::ApprovalUsed));
  }), "approval", 5U);
}

TEST(Rules, APayloadIsThereWholeAndIsTheOneThatWasRecorded) {
  for (const int bad : {0, 1, 2}) {
    Forge log;
    log.start();
    auto s = log.session();
    auto entry = Entry(Kind::Command, s);
    const auto ref = Recording::whole(*s, "select 1", entry);
    entry.uint(Field::Decision, 2).payload(Field::Payload, ref);
    if (bad == 1) entry.chunks().clear();
    if (bad == 2) entry.chunks()[0].ciphertext[3] ^= 1;
    log.add(entry);
    const auto report = log.verified();
    if (bad == 0) EXPECT_EQ(report.verdict, verify::Report::Valid) << verify::to_text(report);
    else EXPECT_FAULT(report, bad == 1 ? "payload-missing" : "payload-altered", 1U);
  }
}

TEST(Rules, AChunkStandsOnceAndBeforeTheCloseOfItsSession) {
  for (const bool late : {false, true}) {
    Forge log;
    log.start();
    auto s = log.session();
    log.add(opened(s));
    auto entry = Entry(Kind::Heartbeat);
    std::vector<Chunk> chunks;
    Recording stream(*s);
    stream.add("select 1", chunks);
    stream.finish(chunks);
    ASSERT_EQ(chunks.size(), 1U);
    entry.chunks() = chunks;
    if (late) log.add(closed(s));
    else entry.chunks().push_back(chunks[0]);
    log.chunks_of = s->id();
    log.add(entry);
    const auto report = log.verified();
    EXPECT_EQ(report.verdict, verify::Report::Invalid);
    ASSERT_EQ(report.fault_count, 1U) << verify::to_text(report);
    EXPECT_EQ(report.faults[0].code, late ? "session" : "chunk");
    EXPECT_TRUE(report.faults[0].what.contains(late ? "behind the session's close" : "is there twice")) << report.faults[0].what;
  }
}

TEST(Rules, AnEntryIsDeterministicCborOfKnownKeysAndTypes) {
  const auto prefix = *from_hex("01a5" "0101" "021b17979cfe362a0000" "0302" "0450000102030405060708090a0b0c0d0e0f" "0704");
  const auto changed = [&](std::size_t at, const char* with, std::size_t cut = 1) {
    auto leaf = prefix;
    const auto bytes = *from_hex(with);
    leaf.erase(leaf.begin() + static_cast<std::ptrdiff_t>(at), leaf.begin() + static_cast<std::ptrdiff_t>(at + cut));
    leaf.insert(leaf.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin(), bytes.end());
    Forge log;
    log.start();
    log.add_leaf(leaf);
    return log.verified();
  };
  EXPECT_EQ(changed(0, "01").verdict, verify::Report::Valid) << verify::to_text(changed(0, "01"));
  const auto end = prefix.size();
  for (const auto& [at, with, cut] : std::vector<std::tuple<std::size_t, const char*, std::size_t>>{
           {0, "02", 1}, {1, "a6", 1}, {1, "a4", 1}, {1, "bf", 1}, {3, "1801", 1}, {3, "f5", 1}, {2, "02", 1}, {end, "00", 0},
           {end - 1, "00", 1}, {end - 1, "1819", 1}, {1, "a6", end}, {end - 2, "0705", 2}}) {
    const auto report = changed(at, with, std::min(cut, end - at));
    if (std::string_view(with) == "0705") {
      EXPECT_EQ(report.verdict, verify::Report::Valid);  // another kind is another entry, and a well-formed one
      continue;
    }
    EXPECT_FAULT(report, "entry-malformed", 1U);
  }
  for (const char* more : {"182c00", "0860", "086120" "0861" "21", "0c80", "1200", "1204", "1182", "17a261620061610000", "1740", "1884", "1a07", "2581", "1281"}) {
    auto leaf = prefix;
    leaf[1] = 0xA6;
    const auto bytes = *from_hex(more);
    leaf.insert(leaf.end(), bytes.begin(), bytes.end());
    Forge log;
    log.start();
    log.add_leaf(leaf);
    EXPECT_FAULT(log.verified(), "entry-malformed", 1U);
  }
}

TEST(Rules, WhatAnEntrySaysReachesATerminalWithoutControlCharacters) {
  Forge log;
  log.start();
  auto s = log.session();
  log.add(std::move(Entry(Kind::Command, s).uint(Field::Decision, 1).text(Field::Action, "tools/call").text(Field::Object, "a\x1b[2J\xC2\x9B" "1m\nb")));
  log.add(std::move(Entry(Kind::Outcome, s).uint(Field::Result, 1).text(Field::Error, "e").uint(Field::CommandIndex, 1)));
  log.add(std::move(Entry(Kind::Command, s).uint(Field::Decision, 1).text(Field::Approval, "none").text(Field::Object, "a\x1b[2J\xC2\x9B" "1m\nb")));
  const auto report = log.verified();
  EXPECT_EQ(report.verdict, verify::Report::Invalid);
  for (const auto& text : {verify::to_text(report), verify::to_json(report)}) {
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_EQ(text.find("\xC2\x9B"), std::string::npos);
  }
}

}  // namespace
}  // namespace sallyport::tamper
