// Packs that somebody changed who can repair every checksum, digest, count and text, but not the signed head.
#include <fmt/format.h>

#include "pack_case.h"

namespace sallyport::tamper {
namespace {

using Report = verify::PackReport;

struct Forged : testing::Test {
  Kept log;
  std::vector<Stored> entries = stored(log);
  Taken pack = Taken(made("opened"));

  Bytes made(const char* payloads, std::optional<std::uint64_t> from = {}) const {
    verify::Query query;
    query.payloads = payloads;
    return exported(log.folder.path, query, from);
  }
  Report judge() const { return judged(pack.zip(), log.keys.second); }
  std::string part() const { return pack.first("entries/"); }
  std::uint64_t index_of(Kind kind) const {
    return static_cast<std::uint64_t>(std::ranges::find(entries, kind, [](const Stored& one) { return one.facts.kind; }) - entries.begin());
  }
  /// Where the record of an entry stands in a part that discloses all.
  std::pair<std::size_t, std::size_t> record(std::uint64_t index) const {
    std::size_t at = 0;
    for (std::uint64_t i = 0; i < index; ++i) at += 5 + entries[i].leaf.size();
    return {at, 5 + entries[index].leaf.size()};
  }
};
using PackForged = Forged;

TEST_F(PackForged, WhatIsNotChangedIsValid) { EXPECT_TRUE(judged(pack.mend().zip(), log.keys.second).valid) << said(judge()); }

TEST_F(PackForged, AnEntryEdited) {
  const auto [at, size] = record(index_of(Kind::SessionOpen));
  auto& part = pack[this->part()];
  part[part.find("ann", at)] = 'b';
  EXPECT_TRUE(has(judge(), "pack-digest"));
  EXPECT_TRUE(has(judged(pack.mend().zip(), log.keys.second), "pack-proof"));
  // An archived head tells where.
  EXPECT_TRUE(has(judge(), "pack-head"));
}

TEST_F(PackForged, AnEntryDeleted) {
  const auto [at, size] = record(5);
  pack[part()].erase(at, size);
  const auto report = judged(pack.mend().zip(), log.keys.second);
  EXPECT_TRUE(has(report, "pack-entry"));   // the next one's index is not its place
  EXPECT_TRUE(has(report, "pack-proof"));
}

TEST_F(PackForged, EntriesInAnotherOrder) {
  const auto [a, size_a] = record(5);
  const auto [b, size_b] = record(6);
  auto& part = pack[this->part()];
  const auto one = part.substr(a, size_a), two = part.substr(b, size_b);
  part.replace(a, size_a + size_b, two + one);
  const auto report = judged(pack.mend().zip(), log.keys.second);
  EXPECT_TRUE(has(report, "pack-entry"));
  EXPECT_TRUE(has(report, "pack-proof"));
}

TEST_F(PackForged, AnEntryWithheldThatWasDisclosed) {
  const auto index = index_of(Kind::Command);
  const auto [at, size] = record(index);
  const auto hash = evidence::leaf_hash(entries[index].leaf);
  pack[part()].replace(at, size, std::string(1, '\0') + std::string(as_text(hash)));
  const auto report = judged(pack.mend().zip(), log.keys.second);
  EXPECT_TRUE(has(report, "pack-manifest"));  // counts
  EXPECT_FALSE(has(report, "pack-proof"));    // the leaf is the same one
  // With every count and text repaired: a question without conditions withholds nothing, and the session is not whole.
  verify::PackStory story;
  for (std::uint64_t i = 0; i < entries.size(); ++i) {
    verify::Entry entry;
    ASSERT_EQ(verify::read_entry(entries[i].leaf, entry), "");
    if (i == index) story.withheld();
    else story.disclosed(entry);
  }
  pack.mend([&](verify::Manifest& m) { story.fill(m); });
  pack["controls.json"] = verify::write_controls(story);
  const auto head = *parse_checkpoint(pack["checkpoint"].substr(0, pack["checkpoint"].find("\n\n") + 1));
  pack["report.html"] = verify::report_html(pack.manifest(), head.root, story, {});
  const auto repaired = judged(pack.mend().zip(), log.keys.second);
  EXPECT_FALSE(has(repaired, "pack-report")) << said(repaired);
  EXPECT_FALSE(has(repaired, "pack-digest"));
  EXPECT_TRUE(has(repaired, "pack-manifest"));
  EXPECT_TRUE(has(repaired, "session-incomplete"));
}

TEST_F(PackForged, ALieAboutWhatIsWithheldOrDisclosed) {
  for (const auto& lie : std::vector<std::function<void(verify::Manifest&)>>{
           [](auto& m) { ++m.withheld; }, [](auto& m) { --m.disclosed; }, [](auto& m) { ++m.commands; }, [](auto& m) { --m.outcomes; }, [](auto& m) { ++m.kinds["command"]; },
           [](auto& m) { m.sessions[0].complete = false; }, [](auto& m) { ++m.sessions[1].entries; }, [](auto& m) { m.sessions[2].id[0] ^= 1; }, [](auto& m) { m.sessions.pop_back(); },
           [](auto& m) { m.gaps.push_back(1); }, [](auto& m) { ++m.checkpoints; }, [](auto& m) { ++m.size; }, [](auto& m) { --m.b; }, [](auto& m) { m.origin = "other/evidence"; },
           [](auto& m) { m.query.from_index = "1"; }, [](auto& m) { m.query.to_index = "3"; }, [](auto& m) { m.query.user = "bob"; }, [](auto& m) { m.query.kind = "command"; },
           [](auto& m) { m.query.payloads = "sealed"; }, [](auto& m) { m.sessions[0].erased = true; }, [](auto& m) { m.timestamps.push_back(3); }, [](auto& m) { m.format = 2; }, [](auto& m) { m.missing_policies.emplace_back(); }}) {
    auto copy = pack;
    const auto report = judged(copy.mend(lie).zip(), log.keys.second);
    EXPECT_TRUE(has(report, "pack-manifest") || has(report, "payload-missing")) << copy["manifest.json"] << said(report);
  }
}

TEST_F(PackForged, AnotherTextInPlaceOfOneThatIsMade) {
  for (const char* name : {"report.html", "controls.json", "README.txt"}) {
    auto copy = pack;
    copy[name][copy[name].size() / 2] ^= 1;
    EXPECT_TRUE(only(judged(copy.zip(), log.keys.second), "pack-digest") || has(judged(copy.zip(), log.keys.second), "pack-report"));
    EXPECT_TRUE(only(judged(copy.mend().zip(), log.keys.second), "pack-report")) << name;
  }
  auto other = pack;
  other["report.html"] += "more";
  const auto report = judged(other.mend([](auto& m) { m.report = 2; }).zip(), log.keys.second);
  EXPECT_TRUE(report.valid) << said(report);
  EXPECT_NE(to_text(report).find("not compared"), std::string::npos);
}

TEST_F(PackForged, APayloadChangedSwappedOrTakenAway) {
  const auto first = pack.first("payloads/"), second = pack.members.upper_bound(first)->first;
  auto changed = pack;
  changed[first].back() ^= 1;
  EXPECT_TRUE(only(judged(changed.mend().zip(), log.keys.second), "payload-content"));
  auto salted = pack;
  salted[first][0] ^= 1;
  EXPECT_TRUE(only(judged(salted.mend().zip(), log.keys.second), "payload-content"));
  auto longer = pack;
  longer[first] += "x";
  EXPECT_TRUE(only(judged(longer.mend().zip(), log.keys.second), "payload-content"));
  auto swapped = pack;
  std::swap(swapped[first], swapped[second]);
  EXPECT_TRUE(only(judged(swapped.mend().zip(), log.keys.second), "payload-content"));
  for (const auto& name : {first, second}) {
    auto gone = pack;
    gone.members.erase(name);
    EXPECT_TRUE(has(judged(gone.mend().zip(), log.keys.second), "payload-missing"));
  }
  auto sealed = Taken(made("sealed"));
  sealed[sealed.first("sealed/")][20] ^= 1;
  EXPECT_TRUE(only(judged(sealed.mend().zip(), log.keys.second), "payload-altered"));
  auto added = pack;
  added.members["sealed/" + first.substr(9, 20)] = "x";
  EXPECT_TRUE(has(judged(added.mend().zip(), log.keys.second), "pack-context"));
  auto strange = pack;
  strange.members[fmt::format("payloads/{:020}-payload", 0)] = std::string(20, 'x');
  EXPECT_TRUE(has(judged(strange.mend().zip(), log.keys.second), "pack-context"));
}

TEST_F(PackForged, TheProofAndTheHeads) {
  auto other = pack;
  other["checkpoint-proof"][8] = 1;
  EXPECT_TRUE(has(judged(other.mend().zip(), log.keys.second), "pack-proof"));
  auto part = Taken(made("none", 4));
  ASSERT_TRUE(judged(part.zip(), log.keys.second).valid);
  part["checkpoint-proof"][40] ^= 1;
  EXPECT_TRUE(has(judged(part.mend().zip(), log.keys.second), "pack-proof"));
  auto head = pack;
  head["checkpoint"][head["checkpoint"].find('\n') + 1] ^= 1;
  EXPECT_TRUE(has(judged(head.mend().zip(), log.keys.second), "pack-head"));
  EXPECT_TRUE(has(judged(pack.zip(), Kept().keys.second), "pack-head"));
  auto heads = pack;
  heads["checkpoints"] += heads["checkpoints"];
  EXPECT_TRUE(has(judged(heads.mend().zip(), log.keys.second), "pack-head"));
  auto fewer = pack;
  fewer.members.erase("checkpoints");
  EXPECT_TRUE(has(judged(fewer.mend().zip(), log.keys.second), "pack-manifest"));
}

TEST_F(PackForged, MembersTheFormatDoesNotKnowOrThatAreMissing) {
  for (const char* name : {"extra", "entries/1", "entries/00000000000000000099x", "policies/00.yaml", "payloads/00000000000000000000", "../x", "names2", "context/", "sealed/00000000000000000001-payload"}) {
    auto copy = pack;
    copy.members[name] = "x";
    EXPECT_TRUE(has(judged(copy.mend().zip(), log.keys.second), "pack-form")) << name;
  }
  for (const char* name : {"README.txt", "checkpoint", "checkpoint-proof", "controls.json", "manifest.json", "report.html"}) {
    auto copy = pack;
    copy.members.erase(name);
    if (std::string_view(name) != "manifest.json") copy.mend();
    EXPECT_TRUE(has(judged(copy.zip(), log.keys.second), "pack-form")) << name;
  }
  auto policy = pack;
  policy.members["policies/" + hex(sha256(as_bytes("x"))) + ".yaml"] = "x";
  EXPECT_TRUE(has(judged(policy.mend().zip(), log.keys.second), "pack-context"));
  auto leaves = pack;
  leaves.members[fmt::format("entries/{:020}", entries.size())] = std::string(33, '\0');
  EXPECT_TRUE(has(judged(leaves.mend().zip(), log.keys.second), "pack-entry"));
  leaves = pack;
  leaves[part()] += '\2';
  EXPECT_TRUE(has(judged(leaves.mend().zip(), log.keys.second), "pack-entry"));
  leaves[part()].back() = '\0';
  EXPECT_TRUE(has(judged(leaves.mend().zip(), log.keys.second), "pack-entry"));
}

TEST_F(PackForged, OpeningsOfNamesAreTheirPseudonymsOrRefused) {
  // The vector was made with Python's hmac: salt 00 01 … 0f, "alice@example.org".
  const std::string line = R"({"salt":"AAECAwQFBgcICQoLDA0ODw==","token":")" "~cNQNYIe02vs5Z07lGlgZ2g" R"(","value":"alice@example.org"})" "\n";
  const auto with = [&](std::string text) {
    auto copy = pack;
    copy.members["names"] = text;
    const auto verdict = judged(copy.mend([](auto& m) { m.names = 1; }).zip(), log.keys.second);
    return verdict.valid ? std::string("valid") : verdict.faults[0].code;
  };
  EXPECT_EQ(with(line), "valid");
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{{"alice", "alicf"}, {"AAEC", "AAED"}, {"\"~", "\"~x"}, {"\n", ""}, {"\n", "\n\n"}, {",\"value\"", ", \"value\""}}) {
    auto bad = line;
    bad.replace(bad.find(from), from.size(), to);
    EXPECT_EQ(with(bad), "pack-name") << bad;
  }
  EXPECT_EQ(with(line + line), "pack-name");
}

TEST(PackReport, EscapesWhatARecordedNameCouldDoToIt) {
  Forge log;
  log.start();
  const auto s = log.session();
  const std::string evil = "</td><script>alert(1)</script>\"'& \xE2\x80\xAE" "evil\xE2\x81\xA6\x01\x7F\xC2\x9B\xF3\xA0\x81\x81";
  log.add(Entry(Kind::SessionOpen, s).text(Field::Subject, evil).text(Field::Agent, evil).text(Field::Target, evil).text(Field::Peer, evil).text(Field::Protocol, evil).text(Field::Software, evil));
  const auto at = log.add(Entry(Kind::Command, s).text(Field::Subject, evil).uint(Field::Decision, 1).texts(Field::Rules, {evil}).text(Field::Approval, evil).text(Field::Action, evil).text(Field::Object, evil).counts(Field::Masked, {{evil, 1}}).text(Field::Reason, evil));
  log.add(Entry(Kind::Outcome, s).uint(Field::Result, 2).text(Field::Error, evil).uint(Field::CommandIndex, at));
  log.add(Entry(Kind::AdminAction).text(Field::Subject, evil).text(Field::Action, evil).text(Field::Reason, evil));
  log.verified();  // writes it
  const auto report = judged(exported(log.folder.path), log.verifier);
  ASSERT_TRUE(report.valid) << said(report);
  EXPECT_EQ(report.html.find("<script"), std::string::npos);
  for (const char* hidden : {"\xE2\x80\xAE", "\xE2\x81\xA6", "\x01", "\x7F", "\xC2\x9B", "\xF3\xA0\x81\x81"}) EXPECT_EQ(report.html.find(hidden), std::string::npos);
  EXPECT_NE(report.html.find("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp; <b class=u>U+202E</b>evil<b class=u>U+2066</b>"), std::string::npos);
  EXPECT_NE(report.html.find("Content-Security-Policy\" content=\"default-src 'none'"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::tamper
