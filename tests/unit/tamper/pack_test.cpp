// Packs of the exporter under their verifier: any range of any log is proven, cut anywhere it reads the same, and no changed bit passes.
#include <fmt/format.h>

#include "pack_case.h"

namespace sallyport::tamper {
namespace {

TEST(Pack, OfAWholeLogIsValidAndTheSameTwice) {
  const Kept log;
  for (const char* payloads : {"none", "sealed", "opened"}) {
    verify::Query query;
    query.payloads = payloads;
    const auto pack = exported(log.folder.path, query);
    const auto report = judged(pack, log.keys.second);
    ASSERT_TRUE(report.valid) << payloads << "\n" << said(report);
    EXPECT_EQ(report.withheld, 0U);
    EXPECT_EQ(report.sessions, 3U);
    EXPECT_EQ(report.complete_sessions, 3U);
    EXPECT_EQ(report.commands, 6U);
    EXPECT_EQ(report.opened, query.payloads == "opened" ? 3U : 0U);
    EXPECT_EQ(report.sealed, query.payloads == "sealed" ? 3U : 0U);
    EXPECT_EQ(report.absent, query.payloads == "none" ? 3U : 0U);
    EXPECT_EQ(exported(log.folder.path, query), pack);
    EXPECT_EQ(Taken(pack).zip(), pack) << "the test's own zip is the pack's";
    EXPECT_EQ(Taken(pack)["report.html"], report.html);
  }
}

TEST(Pack, OfEveryRangeIsValid) {
  const Kept log;
  const auto size = stored(log).size();
  for (std::uint64_t a = 0; a <= size; a += 2)
    for (std::uint64_t b = a; b <= size + 1; b += 3) {
      const auto report = judged(exported(log.folder.path, {}, a, b), log.keys.second);
      ASSERT_TRUE(report.valid) << a << " to " << b << "\n" << said(report);
      ASSERT_EQ(report.b - report.a, std::min<std::uint64_t>(b, size) - a);
    }
}

TEST(Pack, OfASessionThatBeganBeforeTheRangeHasItsBeginningAsContext) {
  const Kept log;
  const auto entries = stored(log);
  std::uint64_t opened = 0;
  while (entries[opened].facts.kind != Kind::SessionOpen) ++opened;
  auto pack = Taken(exported(log.folder.path, {}, opened + 1));
  const auto name = fmt::format("context/{:020}.tlog-proof", opened);
  ASSERT_TRUE(pack.members.contains(name));
  const auto report = judged(pack.zip(), log.keys.second);
  ASSERT_TRUE(report.valid) << said(report);
  EXPECT_EQ(report.complete_sessions, 2U);
  EXPECT_NE(report.html.find("ann"), std::string::npos);
  pack.members.erase(name);
  EXPECT_TRUE(has(judged(pack.mend().zip(), log.keys.second), "pack-manifest"));
  auto whole = Taken(exported(log.folder.path, {}, opened + 2));
  whole.members[fmt::format("context/{:020}.tlog-proof", opened + 4)] = whole[name];
  EXPECT_TRUE(has(judged(whole.mend([](auto& m) { ++m.contexts; }).zip(), log.keys.second), "pack-context"));
}

TEST(Pack, ReadsTheSameInPiecesOfAnySize) {
  const Kept log;
  verify::Query query;
  query.payloads = "opened";
  const auto pack = exported(log.folder.path, query);
  const auto whole = to_json(judged(pack, log.keys.second));
  for (const std::size_t piece : {1, 2, 3, 7, 31, 64, 1000, 4097}) EXPECT_EQ(to_json(judged(pack, log.keys.second, piece)), whole) << piece;
  for (std::size_t at = 0; at <= pack.size(); at += 1 + pack.size() / 400) {
    std::string why;
    verify::PackChecker checker({*verify::parse_key(log.keys.second, why)});
    checker.feed(ByteView(pack).first(at));
    checker.feed(ByteView(pack).subspan(at));
    ASSERT_TRUE(checker.finish().valid) << "cut at byte " << at;
  }
}

TEST(Pack, WithAnyBitChangedOrCutAnywhereIsInvalid) {
  const Kept log;
  verify::Query query;
  query.payloads = "opened";
  auto pack = exported(log.folder.path, query, 3, 8);
  ASSERT_TRUE(judged(pack, log.keys.second).valid);
  // Every bit of all that is read by rules; of the long texts, which one digest each guards, one bit of each byte.
  std::vector<bool> is_text(pack.size());
  for (const auto& [name, content] : Taken(pack).members) {
    if (name != "README.txt" && name != "controls.json" && name != "report.html" && name != "checkpoints" && !name.starts_with("context/")) continue;
    const auto at = as_text(pack).find(content);
    ASSERT_NE(at, std::string::npos);
    std::fill_n(is_text.begin() + static_cast<std::ptrdiff_t>(at), content.size(), true);
  }
  std::size_t flips = 0;
  for (std::size_t i = 0; i < pack.size(); ++i)
    for (int bit = is_text[i] ? static_cast<int>(i % 8) : 0; bit < 8; bit += is_text[i] ? 8 : 1) {
      pack[i] ^= static_cast<std::uint8_t>(1 << bit);
      ASSERT_FALSE(judged(pack, log.keys.second).valid) << "bit " << bit << " of byte " << i;
      pack[i] ^= static_cast<std::uint8_t>(1 << bit);
      ++flips;
    }
  EXPECT_GT(flips, 25'000U);
  for (std::size_t n = 0; n < pack.size(); n += 5) ASSERT_TRUE(has(judged(ByteView(pack).first(n), log.keys.second), "pack-form")) << n;
  pack.push_back(0);
  EXPECT_TRUE(has(judged(pack, log.keys.second), "pack-form"));
}

/// Payloads larger than what an export writes between two marks of what is whole.
struct Large : Node {
  Large() {
    auto log = open();
    auto s = log->new_session();
    EXPECT_TRUE(log->append_wait(opened(s)));
    for (int i = 0; i < 4; ++i) {
      std::string text(3'000'000, ' ');
      std::uint32_t state = 7 + static_cast<std::uint32_t>(i);
      for (auto& c : text) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
      auto asked = Entry(Kind::Command, s);
      const auto ref = Recording::whole(*s, text, asked);
      asked.uint(Field::Decision, 1).text(Field::Action, "tools/call").payload(Field::Payload, ref);
      const auto at = log->append_wait(std::move(asked));
      EXPECT_TRUE(at);
      EXPECT_TRUE(log->append_wait(outcome(s, *at)));
    }
    EXPECT_TRUE(log->append_wait(closed(s)));
    log->stop();
  }
};

TEST(Pack, ThatWasCutOffGoesOnToTheSameBytesWhereverItWas) {
  const Large log;
  verify::Query query;
  query.payloads = "opened";
  const auto whole = exported(log.folder.path, query);
  ASSERT_TRUE(judged(whole, log.keys.second).valid);
  const auto reader = *evidence::Reader::open(log.folder.path);
  const Folder folder;
  const auto out = folder.path + "/pack.zip";
  int interrupted = 0, resumed = 0, after = 0;
  const auto make = [&](const std::shared_ptr<FileOps>& files) {
    cli::PackQuestion question;
    question.query = query;
    return cli::make_pack(reader, question, {out, "test", files, [&](const cli::PackPlan&, bool again) {
      resumed += again;
      return [](std::uint64_t) {};
    }});
  };
  for (;; ++after) {
    const auto disk = std::make_shared<FailingDisk>();
    disk->left = after;
    disk->short_write = after % 2 == 1;
    if (make(disk)) break;
    ++interrupted;
    const auto made = make(std::make_shared<FileOps>());
    ASSERT_TRUE(made) << made.error().what;
    ASSERT_TRUE(bytes_of(out) == whole) << after;
    std::filesystem::remove(out);
  }
  EXPECT_GE(interrupted, 15);
  EXPECT_GE(resumed, 8);
  EXPECT_TRUE(bytes_of(out) == whole);
  EXPECT_FALSE(std::filesystem::exists(out + ".part.journal"));
}

TEST(Pack, GoesOnUnderTheHeadThatItBeganWith) {
  Large log;
  const auto whole = exported(log.folder.path);
  const Folder folder;
  const auto out = folder.path + "/pack.zip";
  const auto disk = std::make_shared<FailingDisk>();
  disk->left = 12;
  ASSERT_FALSE(cli::make_pack(*evidence::Reader::open(log.folder.path), {}, {out, "test", disk, {}}));
  log.open()->stop();  // more entries, and a newer head
  ASSERT_TRUE(cli::make_pack(*evidence::Reader::open(log.folder.path), {}, {out, "test", std::make_shared<FileOps>(), {}}));
  EXPECT_TRUE(bytes_of(out) == whole);
  EXPECT_FALSE(exported(log.folder.path) == whole);
}

TEST(Pack, OfOneSessionWithholdsTheOthersAndSaysHowMany) {
  const Kept log;
  const auto entries = stored(log);
  verify::Query query;
  for (const auto& one : entries)
    if (one.facts.kind == Kind::SessionOpen && query.sessions.empty()) query.sessions = {hex(one.facts.session)};
  const auto report = judged(exported(log.folder.path, query), log.keys.second);
  ASSERT_TRUE(report.valid) << said(report);
  EXPECT_EQ(report.sessions, 1U);
  EXPECT_EQ(report.complete_sessions, 1U);
  EXPECT_EQ(report.withheld, 10U);
  EXPECT_EQ(report.disclosed + report.withheld, entries.size());
}

TEST(Pack, OfASessionWhoseKeyWasErasedSaysSo) {
  const Kept log;
  const auto entries = stored(log);
  for (const auto& one : entries)
    if (one.facts.kind == Kind::SessionOpen) {
      ASSERT_TRUE(*erase_session_key(log.folder.path, one.facts.session));
      break;
    }
  verify::Query query;
  query.payloads = "opened";
  const auto report = judged(exported(log.folder.path, query), log.keys.second);
  ASSERT_TRUE(report.valid) << said(report);
  EXPECT_EQ(report.erased, 1U);
  EXPECT_EQ(report.opened, 2U);
  EXPECT_NE(report.html.find("its payloads were erased"), std::string::npos);
}

TEST(Pack, HasThePoliciesThatAppliedAndSaysWhichItLacks) {
  Node log;
  const std::string known = "version: 1\n", before = "version: 0\n";
  {
    auto open_log = log.open();
    for (const auto& text : {before, known}) ASSERT_TRUE(open_log->append_wait(std::move(Entry(Kind::ConfigApplied).bytes(Field::PolicyDigest, sha256(as_bytes(text))).text(Field::Reason, "start"))));
    auto s = open_log->new_session();
    ASSERT_TRUE(open_log->append_wait(opened(s)));
    ASSERT_TRUE(open_log->append_wait(std::move(Entry(Kind::Command, s).bytes(Field::PolicyDigest, sha256(as_bytes(known))).uint(Field::Decision, 2))));
    open_log->stop();
  }
  std::filesystem::create_directories(log.folder.path + "/policies");
  write_file(log.folder.path + "/policies/" + hex(sha256(as_bytes(known))) + ".yaml", as_bytes(known));
  const auto pack = exported(log.folder.path);
  const auto report = judged(pack, log.keys.second);
  ASSERT_TRUE(report.valid) << said(report);
  EXPECT_NE(to_text(report).find("the text of policy " + hex(sha256(as_bytes(before))) + " is not in the pack"), std::string::npos);
  // What applied before the range comes with its receipt; what only another command used does not.
  auto late = Taken(exported(log.folder.path, {}, 4));
  EXPECT_EQ(late.manifest().contexts, 2U);
  EXPECT_TRUE(late.manifest().missing_policies.empty());
  late[late.first("policies/")] += "#";
  EXPECT_TRUE(has(judged(late.mend().zip(), log.keys.second), "pack-context"));
}

TEST(Pack, CarriesTimestampsOverItsRangeAndTheFirstThatCoversIt) {
  const Kept log;
  std::filesystem::create_directories(log.folder.path + "/timestamps");
  for (const std::uint64_t size : {2, 5, 9, 12, 16})
    for (const char* end : {".note", ".tsr"}) write_file(log.folder.path + "/timestamps/" + fmt::format("{:020}", size) + end, as_bytes("x"));
  auto pack = Taken(exported(log.folder.path, {}, 4, 10));
  EXPECT_EQ(pack.manifest().timestamps, (std::vector<std::uint64_t>{5, 9, 12}));
  EXPECT_TRUE(judged(pack.zip(), log.keys.second).valid) << said(judged(pack.zip(), log.keys.second));
  pack.members.erase(fmt::format("timestamps/{:020}.tsr", 5));
  pack.members.erase(fmt::format("timestamps/{:020}.note", 5));
  EXPECT_TRUE(has(judged(pack.mend().zip(), log.keys.second), "pack-manifest"));
}

TEST(Pack, OpensSinglePayloads) {
  const Kept log;
  verify::Query query;
  query.payloads = "none";
  for (const auto& one : stored(log))
    if (one.facts.kind == Kind::Command && one.facts.allowed && query.disclose.empty()) query.disclose = {one.facts.index};
  auto pack = Taken(exported(log.folder.path, query));
  const auto report = judged(pack.zip(), log.keys.second);
  ASSERT_TRUE(report.valid) << said(report);
  EXPECT_EQ(report.opened, 1U);
  EXPECT_EQ(report.absent, 2U);
  EXPECT_NE(pack[fmt::format("payloads/{:020}-payload", query.disclose[0])].find("{\"arguments\":xxxx"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::tamper
