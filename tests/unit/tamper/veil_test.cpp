// Veiled fields under the verifier: nothing is called right that was not computed, no changed bit passes, and of what is withheld it
// is said that it is there.
#include <fmt/format.h>

#include "evidence/veil.h"
#include "pack_case.h"
#include "verify/veil.h"

namespace sallyport::tamper {
namespace {

constexpr FieldSet kFields = verify::kActionField | verify::kObjectField;

/// A log whose first start veiled nothing, and the two after it the action and the object of commands: three commands of each, of which
/// one has an object.
struct Veiled : Kept {
  Veiled() : Kept(kFields) {}
  std::uint64_t first_veiled() const {
    const auto entries = stored(*this);
    return static_cast<std::uint64_t>(std::ranges::find(entries, true, [](const Stored& one) { return one.facts.veils; }) - entries.begin());
  }
  Bytes pack(std::vector<std::string> withhold = {}, bool sealed = false) const {
    verify::Query query;
    query.withhold = std::move(withhold);
    if (sealed) query.fields = "sealed";
    return exported(folder.path, query, first_veiled());
  }
  verify::PackReport judge(const Bytes& pack) const { return judged(pack, keys.second); }
};

TEST(Veil, ALogOfBothVersionsIsValidAndWhatIsHiddenIsSaid) {
  const Veiled log;
  const auto without = log.verified();
  EXPECT_EQ(without.verdict, verify::Report::Valid) << verify::to_text(without);
  EXPECT_EQ(without.veiled_fields, 6U);
  EXPECT_EQ(without.opened_fields, 0U);
  EXPECT_TRUE(verify::to_text(without).contains("6 fields are veiled: that they are there is judged, what they say is not"));
  const auto with = log.verified(true);
  EXPECT_EQ(with.verdict, verify::Report::Valid) << verify::to_text(with);
  EXPECT_EQ(with.opened_fields, 6U);
  EXPECT_FALSE(verify::to_text(with).contains("veiled"));
  const auto entries = stored(log);
  ASSERT_TRUE(erase_session_key(log.folder.path, entries[log.first_veiled()].facts.session));
  const auto erased = log.verified(true);
  EXPECT_EQ(erased.verdict, verify::Report::Valid) << verify::to_text(erased);
  EXPECT_EQ(erased.opened_fields, 3U);
  EXPECT_EQ(erased.erased_fields, 3U);
  EXPECT_TRUE(verify::to_text(erased).contains("3 fields are veiled and cannot be opened: the keys of their sessions were erased"));
}

TEST(Veil, EveryChangedBitOfARecordIsFoundWithoutAnyKey) {
  const Veiled log;
  std::size_t records = 0;
  {
    const auto path = log.segments().back();
    const auto whole = bytes_of(path);
    for (const auto& [at, size] : frames(whole)) {
      std::uint32_t length = 0;
      std::memcpy(&length, &whole[at + 4], 4);
      if (whole[at] != 1) continue;
      for (auto record = at + kFrameHeader; record < at + kFrameHeader + length;) {
        std::uint32_t bytes = 0;
        std::memcpy(&bytes, &whole[record + 1], 4);
        if (whole[record] == 3) {
          ++records;
          for (std::size_t bit = 0; bit < std::size_t{bytes} * 8; ++bit) {
            auto file = whole;
            file[record + 5 + bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
            mend(file, at);
            write_file(path, file);
            const auto report = log.verified();
            ASSERT_TRUE(report.verdict == verify::Report::Invalid && has(report, "veil-altered")) << bit << verify::to_text(report);
          }
        }
        record += 5 + bytes;
      }
    }
    write_file(path, whole);
  }
  EXPECT_EQ(records, 2U);
  EXPECT_EQ(log.verified().verdict, verify::Report::Valid);
}

/// A forged log whose session's key is at hand, with an entry of two veils.
struct Forged : Forge {
  Forged() {
    FileOps ops;
    auto store = *SessionKeys::open(folder.path, kOrigin, ops);
    start();
    s = session();
    EXPECT_TRUE(store.store({s}, 1));
    add(opened(s));
  }
  Entry made() const {
    auto entry = command(s, Decision::Blocked);
    entry.text(Field::Object, "read_ticket");
    entry.veil(kFields, {});
    return entry;
  }
  SessionPtr s;
};

TEST(Veil, AForgedValueARecordLeftOutAndOneThatIsStrangeAreFaults) {
  {
    Forged log;
    log.add(log.made());
    const auto report = log.verified(true);
    EXPECT_EQ(report.verdict, verify::Report::Valid) << verify::to_text(report);
    EXPECT_EQ(report.opened_fields, 2U);
  }
  for (const bool with_keys : {false, true}) {
    // The log's own hand signed a veil of something else, and the right digest: only opening tells.
    Forged log;
    log.bend_leaf = [](Bytes& leaf) { leaf[leaf.size() - 80] ^= 1; };
    log.add(log.made());
    const auto report = log.verified(with_keys);
    EXPECT_EQ(report.verdict, with_keys ? verify::Report::Invalid : verify::Report::Valid) << verify::to_text(report);
    EXPECT_EQ(has(report, "veil-content"), with_keys);
    EXPECT_EQ(report.opened_fields, 0U) << "what was not judged is not called opened";
    EXPECT_TRUE(verify::to_text(report).contains("2 fields are veiled"));
  }
  {
    Forged log;
    log.record = Bytes();
    log.add(log.made());
    EXPECT_TRUE(has(log.verified(), "veil-missing"));
  }
  {
    Forged log;
    log.record = Bytes(112);
    log.add(log.made());
    EXPECT_TRUE(has(log.verified(), "veil-altered"));
  }
  {
    Forged log;
    log.record = Bytes(112);
    log.add(command(log.s, Decision::Blocked));
    EXPECT_TRUE(has(log.verified(), "veil-missing")) << "a record that belongs to no veils";
  }
  {
    // A record of another entry, under its right digest: it opens, and is not what the veils are of.
    Forged log;
    auto other = log.made();
    log.record = other.veiled();
    log.bend_leaf = [&](Bytes& leaf) { std::ranges::copy(sha256(*log.record), leaf.end() - 32); };
    log.add(log.made());
    EXPECT_TRUE(has(log.verified(true), "veil-content"));
  }
}

TEST(Veil, VersionTwoIsOfEntriesWithVeilsAndOnlyWhereTheFormatAllowsThem) {
  const auto entry = [](const std::function<void(Bytes&)>& bend, Kind kind = Kind::AuthOk) {
    Entry made(kind);
    made.text(Field::Peer, "192.0.2.7").text(Field::Action, "x");
    if (kind == Kind::AuthOk) made.veil(verify::kPeerField, {});
    Bytes leaf = {2};
    cbor::put_map(leaf, 5U + made.body_fields());
    const auto field = [&](std::uint8_t k, std::uint64_t n) { leaf.push_back(k), cbor::put_uint(leaf, n); };
    field(1, 0), field(2, 1), field(3, 1), leaf.push_back(4), cbor::put_bytes(leaf, Id16{}), field(7, static_cast<std::uint64_t>(kind));
    leaf.insert(leaf.end(), made.body().begin(), made.body().end());
    bend(leaf);
    verify::Entry out;
    return verify::read_entry(leaf, out);
  };
  EXPECT_EQ(entry([](Bytes&) {}), "");
  EXPECT_NE(entry([](Bytes& leaf) { leaf[0] = 1; }), "");
  EXPECT_NE(entry([](Bytes& leaf) { leaf[0] = 3; }), "");
  EXPECT_NE(entry([](Bytes&) {}, Kind::AdminAction), "") << "version 2 without a veil";
  EXPECT_NE(entry([](Bytes& leaf) { leaf[std::size_t{1} + 1 + 2 + 2 + 2 + 18 + 1] = 1; }), "") << "node.start has none";
  EXPECT_NE(entry([](Bytes& leaf) { leaf[1] -= 1, leaf.resize(leaf.size() - 36); }), "") << "without the digest";
}

TEST(VeilPack, OpensWhatIsNotWithheldAndTheWithheldValueIsNowhereInIt) {
  const Veiled log;
  const auto open = log.pack();
  const auto all = log.judge(open);
  ASSERT_TRUE(all.valid) << said(all);
  EXPECT_EQ(all.opened_fields, 6U);
  EXPECT_EQ(all.withheld_fields, 0U);
  EXPECT_TRUE(all.html.contains("read_ticket"));
  const auto pack = log.pack({"object"});
  const auto report = log.judge(pack);
  ASSERT_TRUE(report.valid) << said(report);
  EXPECT_EQ(report.opened_fields, 4U);
  EXPECT_EQ(report.withheld_fields, 2U);
  EXPECT_TRUE(verify::to_text(report).contains("2 fields are withheld (object): that they are there is proven, what they say is not"));
  EXPECT_EQ(as_text(pack).find("read_ticket"), std::string_view::npos);
  EXPECT_TRUE(report.html.contains("tools/call<br><i>hidden</i>"));
  EXPECT_TRUE(report.html.contains("2 fields of disclosed entries withheld (object)"));
  EXPECT_TRUE(report.html.contains("</b> are disclosed and <b>") && report.html.contains("<b>2 single fields</b> are hidden"));
  EXPECT_TRUE(all.html.contains("</b> are disclosed in full and <b>"));
  const auto none = log.judge(log.pack({"action", "object"}));
  ASSERT_TRUE(none.valid) << said(none);
  EXPECT_EQ(none.withheld_fields, 6U);
  for (const std::size_t piece : {1, 2, 3, 7, 61, 1000}) {
    const auto cut = judged(pack, log.keys.second, piece);
    EXPECT_TRUE(cut.valid) << piece << said(cut);
    EXPECT_EQ(cut.html, report.html);
  }
  EXPECT_EQ(log.pack({"object"}), pack) << "the same question, the same bytes";
}

TEST(VeilPack, SealedFieldsAreInItAsTheyAreInTheLogAndErasedOnesAreCounted) {
  const Veiled log;
  const auto sealed = log.judge(log.pack({}, true));
  ASSERT_TRUE(sealed.valid) << said(sealed);
  EXPECT_EQ(sealed.sealed_fields, 6U);
  EXPECT_FALSE(sealed.html.contains("read_ticket"));
  ASSERT_TRUE(erase_session_key(log.folder.path, stored(log)[log.first_veiled()].facts.session));
  const auto pack = log.pack();
  const auto erased = log.judge(pack);
  ASSERT_TRUE(erased.valid) << said(erased);
  EXPECT_EQ(erased.erased_fields, 3U);
  EXPECT_EQ(erased.opened_fields, 3U);
  EXPECT_TRUE(verify::to_text(erased).contains("3 veiled fields cannot be opened"));
}

TEST(VeilPack, ASessionThatBeganBeforeTheRangeBringsItsOpenedBeginning) {
  Node node;
  node.veil = verify::kTargetField | verify::kPeerField;
  auto log = node.open();
  auto s = log->new_session();
  const auto at = log->append_wait(std::move(opened(s).text(Field::Target, "shop").text(Field::Peer, "192.0.2.7")));
  const auto asked = log->append_wait(command(s));
  ASSERT_TRUE(at && asked && log->append_wait(outcome(s, *asked)) && log->append_wait(closed(s)));
  log->stop();
  for (const bool withhold : {false, true}) {
    verify::Query query;
    if (withhold) query.withhold = {"peer"};
    auto pack = Taken(exported(node.folder.path, query, *at + 1));
    const auto name = fmt::format("context/{:020}.fields", *at);
    ASSERT_TRUE(pack.members.contains(name));
    const auto report = judged(pack.zip(), node.keys.second);
    ASSERT_TRUE(report.valid) << said(report);
    EXPECT_TRUE(report.html.contains("shop"));
    EXPECT_EQ(report.html.contains("192.0.2.7"), !withhold);
    EXPECT_EQ(report.withheld_fields, withhold ? 1U : 0U);
    for (std::size_t bit = 0; bit < pack[name].size() * 8; ++bit) {
      auto changed = pack;
      changed[name][bit / 8] = static_cast<char>(changed[name][bit / 8] ^ (1 << bit % 8));
      ASSERT_TRUE(has(judged(changed.mend().zip(), node.keys.second), "pack-veil")) << bit;
    }
    auto gone = pack;
    gone.members.erase(name);
    EXPECT_TRUE(has(judged(gone.mend().zip(), node.keys.second), "pack-veil"));
    auto moved = pack;
    moved.members[fmt::format("context/{:020}.fields", *at - 1)] = pack[name];
    EXPECT_TRUE(has(judged(moved.mend().zip(), node.keys.second), "pack-context"));
  }
  verify::Query of_target;
  of_target.target = "shop";
  EXPECT_EQ(judged(exported(node.folder.path, of_target), node.keys.second).sessions, 1U) << "--target knows what is veiled";
  of_target.target = "lab";
  EXPECT_EQ(judged(exported(node.folder.path, of_target), node.keys.second).sessions, 0U);
}

/// Where the records of a part stand: offset, type, size of the entry, and of what is beside it.
struct Place {
  std::size_t at = 0, entry = 0, more = 0;
  int type = 0;
};
std::vector<Place> places(const std::string& part) {
  std::vector<Place> out;
  const auto bytes = as_bytes(part);
  for (std::size_t at = 0; at < part.size();) {
    Place one{at, 0, 0, part[at]};
    if (one.type != 0) one.entry = verify::little(bytes, at + 1, 4);
    if (one.type > 1) one.more = verify::little(bytes, at + 5, 4);
    out.push_back(one);
    at += one.type == 0 ? 33 : one.type == 1 ? 5 + one.entry : 9 + one.entry + one.more;
  }
  return out;
}

TEST(VeilPack, EveryChangedBitOfOpenedAndOfSealedFieldsIsRefused) {
  const Veiled log;
  for (const bool sealed : {false, true}) {
    const auto pack = Taken(log.pack({}, sealed));
    const auto part = pack.first("entries/");
    std::size_t bits = 0;
    for (const auto& one : places(pack.members.at(part))) {
      if (one.type < 2) continue;
      const auto from = one.at + 9 + one.entry;
      for (std::size_t bit = 0; bit < one.more * 8; ++bit, ++bits) {
        auto changed = pack;
        auto& byte = changed[part][from + bit / 8];
        byte = static_cast<char>(byte ^ (1 << bit % 8));
        ASSERT_TRUE(has(judged(changed.mend().zip(), log.keys.second), "pack-veil")) << sealed << " " << bit;
      }
    }
    EXPECT_GT(bits, 1000U);
    if (sealed) continue;
    // What frames them: the type and the lengths.
    for (const auto& one : places(pack.members.at(part))) {
      if (one.type < 2) continue;
      for (std::size_t bit = 0; bit < 72; ++bit) {
        auto changed = pack;
        auto& byte = changed[part][one.at + bit / 8];
        byte = static_cast<char>(byte ^ (1 << bit % 8));
        ASSERT_FALSE(judged(changed.mend().zip(), log.keys.second).valid) << bit;
      }
      break;
    }
  }
}

TEST(VeilPack, AForgedValueOneOfAnotherEntryAndALieAboutWhatIsWithheldAreRefused) {
  const Veiled log;
  const auto pack = Taken(log.pack());
  const auto part = pack.first("entries/");
  auto forged = pack;
  auto& text = forged[part];
  text.replace(text.find("read_ticket"), 11, "open_ticket");
  const auto report = judged(forged.mend().zip(), log.keys.second);
  EXPECT_TRUE(has(report, "pack-veil"));
  EXPECT_TRUE(said(report).contains("what is given as its object is not what its veil was made of")) << said(report);
  EXPECT_FALSE(report.html.contains("open_ticket")) << "what is not proven is not shown";
  // The opened fields of one entry beside another one.
  std::vector<Place> twos;
  for (const auto& one : places(pack.members.at(part)))
    if (one.type == 2 && (twos.empty() || one.more == twos[0].more)) twos.push_back(one);
  ASSERT_GE(twos.size(), 2U);
  auto swapped = pack;
  const auto fields = [&](const Place& one) { return pack.members.at(part).substr(one.at + 9 + one.entry, one.more); };
  swapped[part].replace(twos[0].at + 9 + twos[0].entry, twos[0].more, fields(twos[1]));
  swapped[part].replace(twos[1].at + 9 + twos[1].entry, twos[1].more, fields(twos[0]));
  EXPECT_TRUE(has(judged(swapped.mend().zip(), log.keys.second), "pack-veil"));
  // Hidden, and the question did not ask for it: with the counts right as well.
  auto hidden = pack;
  const auto& one = twos[0];
  hidden[part].replace(one.at, 9 + one.entry + one.more, std::string(1, '\1') + pack.members.at(part).substr(one.at + 1, 4) + pack.members.at(part).substr(one.at + 9, one.entry));
  EXPECT_TRUE(has(judged(hidden.mend([](auto& m) { --m.fields_opened, ++m.fields_erased; }).zip(), log.keys.second), "pack-veil"));
  for (const auto& lie : std::vector<std::function<void(verify::Manifest&)>>{
           [](auto& m) { m.format = 1; }, [](auto& m) { m.format = 3; }, [](auto& m) { ++m.fields_opened; }, [](auto& m) { ++m.fields_withheld; }, [](auto& m) { ++m.fields_erased; }, [](auto& m) { ++m.fields_sealed; },
           [](auto& m) { m.query.withhold = {"object"}; }, [](auto& m) { m.query.withhold = {"peer"}; }, [](auto& m) { m.query.withhold = {"object", "action"}; }, [](auto& m) { m.query.withhold = {"subject"}; },
           [](auto& m) { m.query.fields = "sealed"; }, [](auto& m) { m.query.fields = "none"; }}) {
    auto copy = pack;
    EXPECT_FALSE(judged(copy.mend(lie).zip(), log.keys.second).valid) << copy["manifest.json"];
  }
}

TEST(VeilPack, AFieldThatStandsInClearTextIsNotCalledWithheld) {
  const Veiled log;
  const auto reader = *evidence::Reader::open(log.folder.path);
  cli::PackQuestion question;
  question.query.withhold = {"object"};
  const auto made = cli::make_pack(reader, question, {log.folder.path + "/clear.zip", "test", std::make_shared<FileOps>(), {}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::Denied);
  EXPECT_TRUE(made.error().what.contains("has its object in clear text")) << made.error().what;
  // Somebody who says so all the same is found.
  verify::Query query;
  auto whole = Taken(exported(log.folder.path, query));
  EXPECT_TRUE(has(judged(whole.mend([](auto& m) { m.query.withhold = {"object"}; }).zip(), log.keys.second), "pack-veil"));
}

TEST(VeilPack, OfALogWithoutVeilsItIsWhatItWas) {
  const Kept log;
  const auto pack = Taken(exported(log.folder.path));
  EXPECT_TRUE(pack.members.at("manifest.json").contains("},\"format\":1,\"gaps\""));
  EXPECT_FALSE(pack.members.at("manifest.json").contains("withhold"));
  EXPECT_FALSE(pack.members.at("report.html").contains("Single fields"));
}

}  // namespace
}  // namespace sallyport::tamper
