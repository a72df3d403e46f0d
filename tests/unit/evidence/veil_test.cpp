// Veiled fields as the writer makes them and the readers open them (docs/formats/entry.md, payload.md).
#include "evidence/veil.h"

#include "evidence/cbor.h"
#include "evidence/reader.h"
#include "evidence/session_keys.h"
#include "evidence/session_summary.h"
#include "log_case.h"

namespace sallyport::evidence {
namespace {

constexpr FieldSet kAll = 0xFF;

std::vector<StoredEntry> all(const Node& node) {
  std::vector<StoredEntry> out;
  const auto reader = Reader::open(node.folder.path);
  EXPECT_TRUE(reader);
  EXPECT_TRUE(reader->each([&](const StoredEntry& entry) { return out.push_back(entry), true; }));
  return out;
}

// Made with Node's crypto, from the numbers of payload.md.
constexpr auto kLeaf = "02ab0103021b17979cfe362a0000031b000000012a05f2010450000102030405060708090a0b0c0d0e0f0550101112131415161718191a1b1c1d1e1f06000708"
                       "0d58208d0e8ea3b8fadd64d5a3609dc59d08b63a9383deb43f6a6d17e1206300acd924" "0e582038497f9e50a8624d06ab6f4eb645f1e17b36375fb017ccff27a7324a8e77b77e"
                       "10647073716c" "1835582006751a2256c94afecac0e4632327a10dd2624c91329374ca33087b6710460736";
constexpr auto kRecord = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fe82fb1dba88cc9510ab98480cf033cfec6d17ecf3b3b9e7b213239deabfae52e"
                         "3fb460128b5528627b34471a2a06f16d04bd9297cafe6286a5a2951491961594f43e1621869ecbac7dd015253e3d45b3";

Digest key_of_page() {
  Digest key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(0x60 + i);
  return key;
}

TEST(Veil, TheExampleOfThePageOpensAndNoChangedBitOfItsRecordDoes) {
  const auto leaf = *from_hex(kLeaf), record = *from_hex(kRecord);
  const auto facts = read_entry(leaf);
  ASSERT_TRUE(facts);
  EXPECT_TRUE(facts->veils);
  auto entry = decode_entry(leaf);
  ASSERT_TRUE(entry);
  EXPECT_TRUE(entry->is_veiled(Field::Target) && entry->is_veiled(Field::Peer) && !entry->is_veiled(Field::Software));
  EXPECT_EQ(entry->text(Field::Peer), "");
  EXPECT_NE(to_json(*entry).find(R"("peer":{"veil":"38497f9e)"), std::string::npos);
  EXPECT_TRUE(std::ranges::equal(std::get<Bytes>(entry->fields.at(Field::Veiled)), sha256(record)));
  for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
    auto changed = record;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    ASSERT_FALSE(open_veils(key_of_page(), changed, *entry)) << bit;
  }
  ASSERT_FALSE(open_veils(Digest{}, record, *entry));
  ASSERT_TRUE(entry->is_veiled(Field::Peer)) << "what does not open stays as it was";
  ASSERT_TRUE(open_veils(key_of_page(), record, *entry));
  EXPECT_EQ(entry->text(Field::Target), "db");
  EXPECT_EQ(entry->text(Field::Peer), "192.0.2.7");
  for (std::size_t n = 0; n < leaf.size(); ++n) EXPECT_FALSE(read_entry(ByteView(leaf).first(n)) && decode_entry(ByteView(leaf).first(n)));
}

TEST(Veil, AnEntryWithoutThoseFieldsAndOneOfTheLogItselfStayAsTheyWere) {
  for (const auto kind : {Kind::NodeStart, Kind::Recovery, Kind::Gap, Kind::ConfigApplied, Kind::SinkFailed, Kind::KeyEpoch}) {
    Entry entry(kind);
    entry.text(Field::Reason, "why");
    const auto before = entry.body();
    entry.veil(kAll, {});
    EXPECT_EQ(entry.body(), before);
    EXPECT_TRUE(entry.veiled().empty());
  }
  Entry none(Kind::Command);
  none.text(Field::Subject, "ann").uint(Field::Decision, 1);
  const auto before = none.body();
  none.veil(kAll, {});
  EXPECT_EQ(none.body(), before);
  Entry held(Kind::Hold);
  held.text(Field::Peer, "192.0.2.7").map(Field::Facts, {{"from", "2026-11-20T10:00:00Z"}}).text(Field::Reason, "order");
  held.veil(kAll, {});
  ASSERT_EQ(open_record({}, held.veiled())->size(), 1U);
  EXPECT_EQ(open_record({}, held.veiled())->front().field, Field::Peer);
}

TEST(Veil, TwoEntriesOfOneValueHaveTwoVeils) {
  const auto made = [] {
    Entry entry(Kind::AuthOk);
    entry.text(Field::Peer, "192.0.2.7");
    entry.veil(kAll, {});
    return entry;
  };
  const auto one = made(), two = made();
  EXPECT_NE(one.body(), two.body());
  EXPECT_EQ(open_record({}, one.veiled())->front().value, open_record({}, two.veiled())->front().value);
  EXPECT_EQ(one.veiled().size(), 112U) << "its length says 64 bytes at most";
}

/// One of everything that is veiled, with people, totals and places around it.
Id16 fill(Node& node) {
  auto log = node.open();
  auto s = log->new_session();
  EXPECT_TRUE(log->append_wait(std::move(Entry(Kind::SessionOpen, s).text(Field::Subject, "ann").text(Field::Target, "shop").text(Field::Peer, "192.0.2.7").text(Field::Software, "psql 15"))));
  const auto place = std::make_shared<std::uint64_t>(UINT64_MAX);
  Entry asked(Kind::Command, s);
  asked.text(Field::Subject, "ann").uint(Field::Decision, 1).text(Field::Action, "query").text(Field::Object, "customers").map(Field::Facts, {{"class", "read"}, {"verbs", "select"}}).tell(place);
  EXPECT_TRUE(log->append_wait(std::move(asked)));
  Entry answered(Kind::Outcome, s);
  answered.uint(Field::Result, 2).text(Field::Error, "no such table").command(place);
  EXPECT_TRUE(log->append_wait(std::move(answered)));
  EXPECT_TRUE(log->append_wait(std::move(Entry(Kind::ApprovalGranted).text(Field::Approval, "a1").text(Field::Action, "command").text(Field::Reason, "it is due").text(Field::Approver, "bob"))));
  EXPECT_TRUE(log->append_wait(std::move(Entry(Kind::SessionClose, s).text(Field::Peer, "192.0.2.8").text(Field::Reason, "client left").text(Field::Approver, "bob"))));
  log->stop();
  return s->id();
}

TEST(Veil, WhatWasVeiledIsReadAgainAndTheLeavesDoNotHoldIt) {
  Node clear, node;
  node.veil = kAll;
  fill(clear);
  const auto session = fill(node);
  const auto plain = all(clear), opened = all(node);
  ASSERT_EQ(plain.size(), opened.size());
  std::size_t veiled = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    auto one = opened[i];
    veiled += one.fields.erase(Field::Veiled);
    // Ids, times and incarnations differ: of the rest everything is the same.
    const auto fields = [](const StoredEntry& entry) {
      const auto text = to_json(entry);
      const auto at = text.find("\"sequence\"");
      return text.substr(at == std::string::npos ? text.find("\"kind\"") : at);
    };
    EXPECT_EQ(fields(one), fields(plain[i]));
  }
  EXPECT_EQ(veiled, 5U);
  for (const auto& leaf : stored(node))
    for (const char* value : {"shop", "192.0.2", "psql", "query", "customers", "class", "select", "no such table", "it is due"})
      EXPECT_EQ(as_text(leaf.leaf).find(value), std::string_view::npos) << value;
  for (const auto& path : node.segments()) EXPECT_EQ(std::string(as_text(*read_file(path))).find("customers"), std::string::npos);
  const auto page = sessions_of(*Reader::open(node.folder.path), {.target = "shop"});
  ASSERT_TRUE(page && page->sessions.size() == 1U);
  EXPECT_EQ(page->sessions[0].peer, "192.0.2.7");
  EXPECT_EQ(Reader::open(node.folder.path)->entry(page->sessions[0].first)->text(Field::Software), "psql 15");
  // With the session's key its fields go; what is of no session stays.
  ASSERT_TRUE(*erase_session_key(node.folder.path, session));
  std::size_t hidden = 0;
  for (const auto& entry : all(node)) {
    hidden += entry.is_veiled(Field::Target) + entry.is_veiled(Field::Object) + entry.is_veiled(Field::Error) + entry.is_veiled(Field::Facts);
    if (entry.kind == Kind::ApprovalGranted) EXPECT_EQ(entry.text(Field::Reason), "it is due");
  }
  EXPECT_EQ(hidden, 4U);
}

TEST(Veil, AFrameThatIsCutAnywhereEndsTheLogBeforeItAndRecoveryGoesOn) {
  Node node;
  node.veil = kAll;
  node.segment_bytes = 64U << 10;
  auto log = node.open();
  EXPECT_TRUE(log->append_wait(std::move(Entry(Kind::AuthOk).text(Field::Peer, "192.0.2.7"))));
  const auto before = log->status().size;
  const auto whole = *read_file(node.segments().front());
  EXPECT_TRUE(log->append_wait(std::move(Entry(Kind::AuthOk).text(Field::Peer, "192.0.2.8"))));
  const auto after = *read_file(node.segments().front());
  log->stop();
  const auto header = *decode_header(after);
  struct Count : ScanVisitor {
    std::size_t entries = 0, records = 0;
    void entry(const EntryFacts& facts, ByteView) override { ++entries, records += !facts.veiled.empty(); }
    void chunk(const Id16&, std::uint64_t, ByteView) override {}
  } first;
  const auto from = scan_segment(whole, header, first).length;
  Count second;
  const auto to = scan_segment(after, header, second).length;
  ASSERT_EQ(first.entries, before);
  ASSERT_GT(second.records, first.records);
  ASSERT_GT(to, from + 112);
  for (auto cut = from; cut < to; ++cut) {
    auto torn = after;
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(cut), torn.end(), std::uint8_t{0});
    if (torn == after) continue;   // only padding was cut
    Count count;
    const auto scan = scan_segment(torn, header, count);
    ASSERT_EQ(count.entries, before) << cut;
    ASSERT_EQ(scan.length, from);
  }
  // And for real: a log whose last write was cut in the record opens, and is whole up to there.
  for (const auto cut : {from + 10, to - 120, to - 60, to - 9}) {
    Node other;
    other.keys = node.keys;
    std::filesystem::create_directories(other.folder.path + "/segments");
    auto torn = whole;
    std::copy(after.begin() + static_cast<std::ptrdiff_t>(from), after.begin() + static_cast<std::ptrdiff_t>(cut), torn.begin() + static_cast<std::ptrdiff_t>(from));
    ASSERT_TRUE(replace_file(other.folder.path + "/segments/" + segment_name(0), torn));
    const auto again = other.open();
    ASSERT_TRUE(again);
    again->stop();
    EXPECT_EQ(stored(other)[before].facts.kind, Kind::Recovery) << cut;
  }
}

TEST(Veil, RecordsStandBehindTheirEntryAndNowhereElse) {
  const auto leaf = [](std::uint64_t index, bool veils) {
    Bytes out = {static_cast<std::uint8_t>(veils ? 2 : 1)};
    cbor::put_map(out, veils ? 7 : 5);
    const auto field = [&](std::uint8_t key, std::uint64_t n) { out.push_back(key), cbor::put_uint(out, n); };
    field(1, index), field(2, 1), field(3, 1);
    out.push_back(4), cbor::put_bytes(out, Id16{});
    field(7, 6);
    if (!veils) return out;
    out.push_back(14), cbor::put_bytes(out, Digest{});
    cbor::put_uint(out, 53), cbor::put_bytes(out, Digest{});
    return out;
  };
  struct Nothing : ScanVisitor {
    void entry(const EntryFacts&, ByteView) override {}
    void chunk(const Id16&, std::uint64_t, ByteView) override {}
  } nothing;
  const auto valid = [&](const std::function<void(FrameBuilder&)>& build) {
    FrameBuilder frame;
    frame.begin({});
    build(frame);
    frame.close(FrameType::Batch, 0, Id16{});
    SegmentHeader header;
    header.origin = "x";
    auto file = encode_header(header);
    file.insert(file.end(), frame.bytes().begin(), frame.bytes().end());
    return scan_segment(file, header, nothing).frames == 1;
  };
  const auto put = [&](FrameBuilder& frame, std::uint64_t index, bool veils) {
    const auto bytes = leaf(index, veils);
    frame.entry(bytes.size());
    frame.payload().insert(frame.payload().end(), bytes.begin(), bytes.end());
  };
  const Bytes record(112);
  EXPECT_TRUE(valid([&](auto& f) { put(f, 0, true), f.veiled(record), put(f, 1, false); }));
  EXPECT_TRUE(valid([&](auto& f) { put(f, 0, true), f.veiled(record), put(f, 1, true), f.veiled(record); }));
  EXPECT_FALSE(valid([&](auto& f) { put(f, 0, true); }));
  EXPECT_FALSE(valid([&](auto& f) { put(f, 0, true), put(f, 1, false), f.veiled(record); }));
  EXPECT_FALSE(valid([&](auto& f) { put(f, 0, false), f.veiled(record); }));
  EXPECT_FALSE(valid([&](auto& f) { put(f, 0, true), f.veiled(record), f.veiled(record); }));
  EXPECT_FALSE(valid([&](auto& f) { f.veiled(record), put(f, 0, true), f.veiled(record); }));
  for (const std::size_t size : {0, 111, 113, 48, 70'128}) EXPECT_FALSE(valid([&](auto& f) { put(f, 0, true), f.veiled(Bytes(size)); })) << size;
}

}  // namespace
}  // namespace sallyport::evidence
