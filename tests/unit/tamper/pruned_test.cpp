// Logs that were pruned, held and erased from: what is kept is valid and provable, and whoever takes segments away without the log's
// own word for it is found.
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>

#include "cli/held_packs.h"
#include "evidence/keeping.h"
#include "evidence/reader.h"
#include "evidence/veil.h"
#include "pack_case.h"

namespace sallyport::tamper {
namespace {

using verify::Report;

/// Nothing here is about what a power cut leaves.
struct QuickDisk : FailingDisk {
  int sync(int) override { return 0; }
};

/// A hundred small sessions in segments of 64 KiB, and one that spans nearly all of them.
struct Long : Node {
  explicit Long(FieldSet fields = 0) {
    veil = fields;
    disk = std::make_shared<QuickDisk>();
    segment_bytes = 64U << 10;
    epoch_ns = 1;
    log = open();
    auto wide = log->new_session();
    spanning = wide->id();
    EXPECT_TRUE(log->append_wait(std::move(opened(wide).text(Field::Target, "shop"))));
    for (int i = 0; i < 100; ++i) sessions.push_back(one(i % 2 == 0 ? "shop" : "lab"));
    EXPECT_TRUE(log->append_wait(closed(wide)));
    keep();
  }
  Id16 one(const std::string& target) {
    auto s = log->new_session();
    EXPECT_TRUE(log->append_wait(std::move(opened(s).text(Field::Target, target))));
    Entry asked(Kind::Command, s);
    std::string noise(3000, '\0');
    random_bytes({reinterpret_cast<std::uint8_t*>(noise.data()), noise.size()});
    const auto ref = Recording::whole(*s, hex(as_bytes(noise)), asked);
    asked.uint(Field::Decision, 1).text(Field::Action, "tools/call").payload(Field::Payload, ref);
    const auto at = log->append_wait(std::move(asked));
    EXPECT_TRUE(at);
    EXPECT_TRUE(log->append_wait(outcome(s, *at)));
    EXPECT_TRUE(log->append_wait(closed(s)));
    return s->id();
  }
  /// A keeper with these terms; everything is old enough unless they say otherwise.
  void keep(RetentionTerms terms = {Keep{"default", 0}, {}}) {
    keeping = std::make_unique<Keeping>(*log, folder.path, "node.test/evidence", false, [this](const PrunePlan::Session& session) { return cli::carry_held(folder.path, session); });
    keeping->terms(std::move(terms));
  }
  void stop() {
    keeping.reset();
    if (log) log->stop();
    log.reset();
  }
  void start() {
    stop();
    log = open();
    if (log) keep();
  }
  std::string prune() {
    const auto done = keeping->prune(who, "test 1", false);
    EXPECT_TRUE(done) << (done ? "" : done.error().what);
    return done.value_or("");
  }
  PrunePlan plan(RetentionTerms terms = {Keep{"default", 0}, {}}, std::int64_t now = system_clock().wall_ns()) {
    Holds holds;
    LogView view(folder.path);
    while (log->status().signed_size < log->status().size) std::this_thread::yield();
    EXPECT_TRUE(holds.follow(view, log->status().size));
    auto out = plan_prune(folder.path, terms, holds, log->status().signed_size, now);
    EXPECT_TRUE(out) << (out ? "" : out.error().what);
    return *out;
  }
  Report verified(bool with_keys = false) const { return tamper::verified(folder.path, keys.second, with_keys); }
  std::uint64_t first() const { return (*read_pruned(folder.path))->first(); }
  std::string pruned() const { return folder.path + "/pruned"; }

  const Keeper who{"req_1", "kim", "local", "", "127.0.0.1:1"};
  std::unique_ptr<Log> log;
  std::unique_ptr<Keeping> keeping;
  Id16 spanning{};
  std::vector<Id16> sessions;
};

std::string said_of(const Report& report) { return verify::to_text(report); }

void expect_kept_entries_are_provable(const Long& node, std::uint64_t first, std::uint64_t size) {
  LogView view(node.folder.path);
  const auto head = view.head();
  ASSERT_TRUE(head);
  ASSERT_GE(head->checkpoint.size, size);
  for (auto i = first; i < size; ++i) {
    const auto receipt = view.receipt(i);
    ASSERT_TRUE(receipt) << receipt.error().what;
  }
  EXPECT_EQ(view.receipt(first - 1).error().kind, ErrorKind::Denied);
  const auto now = head->checkpoint.size;
  std::map<std::uint64_t, Digest> roots;
  CompactRange tree = (*read_pruned(node.folder.path))->tree();
  for (auto i = first; i <= now; ++i) {
    roots[i] = tree.root();
    if (i < now) ASSERT_TRUE(view.entries(i, 1, [&](std::uint64_t, ByteView leaf) { tree.append(evidence::leaf_hash(leaf)); }));
  }
  EXPECT_EQ(roots[now], head->checkpoint.root);
  for (auto old = first; old < now; ++old) {
    const auto proof = consistency_proof(old, now, view.nodes());
    ASSERT_TRUE(proof) << old << ": " << proof.error().what;
    EXPECT_TRUE(verify_consistency(old, now, roots[old], roots[now], *proof)) << old;
  }
}

TEST(Pruned, TheRestIsValidProvableAndGoesOn) {
  Long node;
  const auto before = node.segments().size();
  const auto text = node.prune();
  EXPECT_TRUE(text.contains("\"done\":true")) << text;
  const auto first = node.first();
  ASSERT_GT(first, 100U);
  EXPECT_LT(node.segments().size(), before);
  EXPECT_EQ(std::filesystem::path(node.segments()[0]).filename(), segment_name(first));
  expect_kept_entries_are_provable(node, first, node.log->status().signed_size);
  for (int i = 0; i < 2; ++i) {
    node.start();
    ASSERT_TRUE(node.log);
    node.one("shop");
  }
  node.stop();
  const auto report = node.verified(true);
  EXPECT_EQ(report.verdict, Report::Valid) << said_of(report);
  EXPECT_EQ(report.first_entry, first);
  EXPECT_TRUE(said_of(report).contains("were pruned, as entry")) << said_of(report);
  EXPECT_TRUE(said_of(report).contains("signed heads are over fewer entries than were pruned")) << said_of(report);
  expect_kept_entries_are_provable(node, first, report.entries);
  std::uint64_t read = first;
  ASSERT_TRUE(Reader::open(node.folder.path)->each([&](const StoredEntry& entry) { return entry.index == read++; }));
  EXPECT_EQ(read, report.entries);
}

TEST(Pruned, ASecondPruneGoesOnFromTheFirst) {
  Long node;
  node.prune();
  const auto first = node.first();
  for (int i = 0; i < 100; ++i) node.one("lab");
  node.prune();
  EXPECT_GT(node.first(), first);
  node.stop();
  EXPECT_EQ(node.verified().verdict, Report::Valid) << said_of(node.verified());
  node.start();
  expect_kept_entries_are_provable(node, node.first(), node.log->status().signed_size);
}

TEST(Pruned, ASegmentThatACrashLeftWithoutItsFooterGoesAsWell) {
  for (const bool before : {true, false}) {
    Long node;
    if (before) node.prune();  // and the crash leaves the very segment that begins the log
    auto s = node.log->new_session();
    EXPECT_TRUE(node.log->append_wait(opened(s)));
    const auto open = node.log->append_wait(command(s));
    EXPECT_TRUE(open);
    while (node.log->status().signed_size < node.log->status().size) std::this_thread::yield();
    Long crashed;
    crashed.stop();
    // The log lives on: a file of it may be renamed away in the middle of the copy, which is then made anew.
    for (std::error_code gone = std::make_error_code(std::errc::io_error); gone;) {
      std::filesystem::remove_all(crashed.folder.path);
      std::filesystem::copy(node.folder.path, crashed.folder.path, std::filesystem::copy_options::recursive, gone);
    }
    crashed.keys = node.keys;
    crashed.start();
    ASSERT_TRUE(crashed.log);
    const auto cut = crashed.log->status().size;
    for (int i = 0; i < 80; ++i) crashed.one("shop");
    crashed.prune();
    EXPECT_GE(crashed.first(), *open) << "the segment of the crash is in the way";
    EXPECT_LE(crashed.first(), cut + 320);
    crashed.stop();
    EXPECT_EQ(crashed.verified().verdict, Report::Valid) << said_of(crashed.verified());
    crashed.start();
    ASSERT_TRUE(crashed.log);
    expect_kept_entries_are_provable(crashed, crashed.first(), crashed.log->status().signed_size);
  }
}

TEST(Pruned, WithoutTilesTheProofsOfKeptEntriesStand) {
  Long node;
  node.prune();
  node.stop();
  std::filesystem::remove_all(node.folder.path + "/tiles");
  expect_kept_entries_are_provable(node, node.first(), node.verified().entries);
  node.start();
  expect_kept_entries_are_provable(node, node.first(), node.log->status().signed_size);
}

TEST(Pruned, APackHoldsWhatIsKeptAndNoRangeBeginsBefore) {
  Long node;
  node.prune();
  node.stop();
  const auto first = node.first();
  auto report = judged(exported(node.folder.path), node.keys.second);
  EXPECT_TRUE(report.valid) << said(report);
  verify::Query query;
  query.sessions = {hex(node.spanning)};
  report = judged(exported(node.folder.path, query, first + 20), node.keys.second);
  EXPECT_TRUE(report.valid) << said(report);
  const auto reader = evidence::Reader::open(node.folder.path);
  cli::PackQuestion question;
  question.from_ns = 1, question.query.from = "1970-01-01";
  EXPECT_EQ(cli::make_pack(*reader, question, {node.folder.path + "/no.zip", "test", std::make_shared<FileOps>(), {}}).error().kind, ErrorKind::Denied) << "what was pruned could belong to it";
  question = {};
  question.from_index = first - 1;
  const auto refused = cli::make_pack(*reader, question, {node.folder.path + "/no.zip", "test", std::make_shared<FileOps>(), {}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Denied);
  EXPECT_TRUE(refused.error().what.contains(fmt::format("can begin with entry {}", first))) << refused.error().what;
}

TEST(Pruned, AHeldSessionIsCarriedOverWholeAndGoesWithItsHold) {
  Long node(bit_of(Field::Target));
  const auto held = node.sessions[3];
  std::uint64_t entries = 0;
  ASSERT_TRUE(Reader::open(node.folder.path)->each([&](const StoredEntry& entry) { return entries += entry.session == held, true; }));
  ASSERT_EQ(entries, 4U);
  ASSERT_TRUE(node.keeping->hold(node.who, {held, "", ""}, "case 7", false));
  EXPECT_EQ(node.keeping->erase(node.who, held, "request 1").error().kind, ErrorKind::Denied);
  EXPECT_TRUE(node.prune().contains("\"carried\":[\"" + hex(held) + "\"]"));
  const auto path = node.folder.path + "/held/" + hex(held) + ".zip";
  const auto report = judged(bytes_of(path), node.keys.second);
  EXPECT_TRUE(report.valid) << said(report);
  const auto manifest = Taken(bytes_of(path)).manifest();
  EXPECT_EQ(manifest.sealed, 1U);
  EXPECT_EQ(manifest.fields_sealed, 1U);
  ASSERT_EQ(manifest.sessions.size(), 1U);
  EXPECT_EQ(manifest.sessions[0].entries, 4U);
  EXPECT_TRUE(manifest.sessions[0].complete);
  // The hold outlives the segment that its entry was in, a restart, and further prunes.
  for (int i = 0; i < 100; ++i) node.one("lab");
  node.start();
  node.prune();
  EXPECT_TRUE(std::filesystem::exists(path));
  const auto holds = node.keeping->holds();
  ASSERT_TRUE(holds);
  EXPECT_TRUE(holds->contains(hex(held)) && holds->contains("case 7")) << *holds;
  ASSERT_TRUE(node.keeping->hold(node.who, {held, "", ""}, "case 7 closed", true));
  EXPECT_EQ(*node.keeping->holds(), "{\"holds\":[]}");
  node.prune();
  EXPECT_FALSE(std::filesystem::exists(path));
  node.stop();
  EXPECT_EQ(node.verified().verdict, Report::Valid) << said_of(node.verified());
}

TEST(Pruned, AHoldIsWrittenAgainBeforeItsEntryGoes) {
  Long node;
  const auto held = node.sessions[60];
  ASSERT_TRUE(node.keeping->hold(node.who, {held, "", ""}, "case 8", false));
  for (int i = 0; i < 200; ++i) node.one("lab");
  Holds holds;
  LogView view(node.folder.path);
  ASSERT_TRUE(holds.follow(view, node.log->status().size));
  const auto at = holds.all().at(0).index;
  node.prune();
  ASSERT_GT(node.first(), at);
  node.start();
  EXPECT_TRUE(node.keeping->holds()->contains(hex(held)));
  EXPECT_EQ(node.keeping->erase(node.who, held, "request 1").error().kind, ErrorKind::Denied);
}

TEST(Pruned, WhatIsYoungOpenOrHeldKeepsItsSegmentAndSaysSo) {
  Long node;
  const auto day = 86'400'000'000'000;
  auto plan = node.plan({Keep{"default", 0}, {{"lab", {"env=lab", day}}}});
  EXPECT_FALSE(plan.pruned);
  ASSERT_FALSE(plan.blocks.empty());
  EXPECT_TRUE(plan.blocks[0].contains("is kept until") && plan.blocks[0].contains("(env=lab)")) << plan.blocks[0];
  plan = node.plan({Keep{"default", 0}, {{"lab", {"env=lab", day}}}}, system_clock().wall_ns() + 2 * day);
  EXPECT_TRUE(plan.pruned);
  EXPECT_GT(plan.classes.at("env=lab").sessions, 5U);
  EXPECT_EQ(plan.classes.at("env=lab").entries, plan.classes.at("env=lab").sessions * 4);
  std::uint64_t entries = 0;
  for (const auto& [name, share] : plan.classes) entries += share.entries;
  EXPECT_GE(entries, plan.entries);
  plan = node.plan({Keep{"default", day}, {{"lab", {"env=lab", 0}}, {"shop", {"env=shop", 0}}}});
  EXPECT_FALSE(plan.pruned) << "node.start is no session's";
  EXPECT_TRUE(plan.blocks[0].contains("without a session are kept until")) << plan.blocks[0];
  ASSERT_TRUE(node.keeping->hold(node.who, {std::nullopt, "2020-01-01", ""}, "audit", false));
  plan = node.plan();
  EXPECT_FALSE(plan.pruned);
  EXPECT_TRUE(plan.blocks[0].contains("lie in a time that is held")) << plan.blocks[0];
  EXPECT_EQ(node.keeping->erase(node.who, node.sessions[0], "request 1").error().kind, ErrorKind::Denied);
  EXPECT_EQ(node.keeping->hold(node.who, {std::nullopt, "2020-01-02", ""}, "other bounds", true).error().kind, ErrorKind::Denied);
  ASSERT_TRUE(node.keeping->hold(node.who, {std::nullopt, "2020-01-01T00:00:00Z", ""}, "audit over", true));
  EXPECT_TRUE(node.plan().pruned);
}

TEST(Pruned, TheClassOfAVeiledTargetIsKnownUntilItsKeyIsErased) {
  Long node(bit_of(Field::Target));
  const auto day = 86'400'000'000'000;
  const auto labs = [&] { return node.plan({Keep{"default", 0}, {{"lab", {"env=lab", day}}}}, system_clock().wall_ns() + 2 * day).classes.at("env=lab").sessions; };
  const auto before = labs();
  EXPECT_GT(before, 5U);
  ASSERT_TRUE(node.keeping->erase(node.who, node.sessions[0], "request 1"));
  EXPECT_EQ(labs(), before + 1) << "of a target that nobody knows any more the longest class counts";
}

TEST(Pruned, AnOpenSessionKeepsItsSegmentAndAllBehind) {
  Node node;
  node.disk = std::make_shared<QuickDisk>();
  node.segment_bytes = 64U << 10;
  auto log = node.open();
  auto idle = log->new_session();
  ASSERT_TRUE(log->append_wait(opened(idle)));
  for (int i = 0; i < 400; ++i) ASSERT_TRUE(log->append_wait(std::move(Entry(Kind::AdminAction).text(Field::Reason, std::string(900, 'x')))));
  ASSERT_GT(node.segments().size(), 4U);
  Keeping keeping(*log, node.folder.path, "node.test/evidence", false, {});
  EXPECT_EQ(keeping.prune({}, "x", true).error().kind, ErrorKind::Denied) << "no retention is set";
  keeping.terms({Keep{"default", 0}, {}});
  auto plan = keeping.prune({}, "x", true);
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->contains("\"segments\":0") && plan->contains("session " + hex(idle->id()) + " is open")) << *plan;
  EXPECT_EQ(keeping.erase({}, idle->id(), "x").error().kind, ErrorKind::Denied);
  ASSERT_TRUE(log->append_wait(closed(idle)));
  plan = keeping.prune({}, "x", true);
  EXPECT_FALSE(plan->contains("\"segments\":0")) << *plan;
}

TEST(Pruned, NoPayloadIsCutInTwo) {
  Node node;
  node.disk = std::make_shared<QuickDisk>();
  node.segment_bytes = 64U << 10;
  auto log = node.open();
  auto stream = log->new_session();
  ASSERT_TRUE(log->append_wait(opened(stream)));
  boost::asio::io_context context;
  Port port(*log, context);
  Recording recording(*stream);
  bool stored = false;
  std::vector<Chunk> chunks;
  std::string noise(70'000, '\0');
  random_bytes({reinterpret_cast<std::uint8_t*>(noise.data()), noise.size()});
  recording.add(noise, chunks);
  boost::asio::co_spawn(context, port.append_chunks(stream, std::move(chunks)), [&](std::exception_ptr, Result<void> done) { stored = done.has_value(); });
  context.run();
  ASSERT_TRUE(stored);
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(log->append_wait(std::move(Entry(Kind::AdminAction).text(Field::Reason, std::string(900, 'x')))));
  std::vector<Chunk> rest;
  Entry asked(Kind::Command, stream);
  const auto ref = recording.finish(rest);
  for (auto& one : rest) asked.add_chunk(std::move(one));
  asked.uint(Field::Decision, 2).text(Field::Action, "tools/call").payload(Field::Payload, ref);
  const auto at = log->append_wait(std::move(asked));
  ASSERT_TRUE(at);
  ASSERT_TRUE(log->append_wait(closed(stream)));
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(log->append_wait(std::move(Entry(Kind::AdminAction).text(Field::Reason, std::string(900, 'x')))));
  Keeping keeping(*log, node.folder.path, "node.test/evidence", false, {});
  keeping.terms({Keep{"default", 0}, {}});
  const auto plan = plan_prune(node.folder.path, {Keep{"default", 0}, {}}, {}, 256, system_clock().wall_ns());
  ASSERT_TRUE(plan);
  EXPECT_TRUE(!plan->pruned || plan->pruned->first() <= 2) << "no prune can end between its first chunk and its entry";
  EXPECT_TRUE(plan->blocks.back().contains("goes across")) << plan->blocks.back();
  ASSERT_TRUE(keeping.prune({}, "x", false));
  const auto first = (*read_pruned(node.folder.path))->first();
  EXPECT_GT(first, *at) << "a prune that ends before has the payload's chunks without its entry";
  log->stop();
  EXPECT_EQ(verified(node.folder.path, node.keys.second).verdict, Report::Valid) << said_of(verified(node.folder.path, node.keys.second));
}

TEST(Erased, ThePayloadIsGoneAndEveryProofStays) {
  Long node;
  const auto gone = node.sessions[10];
  ASSERT_TRUE(node.keeping->erase(node.who, gone, "GDPR Art. 17, request 12"));
  EXPECT_EQ(load_session_key(node.folder.path, "node.test/evidence", gone).error().kind, ErrorKind::Denied);
  EXPECT_TRUE(node.keeping->erase(node.who, gone, "again").error().what.contains("was erased before"));
  EXPECT_EQ(node.keeping->erase(node.who, Id16{}, "nobody").error().kind, ErrorKind::Denied);
  EXPECT_EQ(node.keeping->erase(node.who, node.sessions[11], "").error().kind, ErrorKind::Malformed);
  node.stop();
  const auto report = node.verified(true);
  EXPECT_EQ(report.verdict, Report::Valid) << said_of(report);
  EXPECT_EQ(report.erased_payloads, 1U);
  EXPECT_EQ(report.opened_payloads, 99U);
  bool told = false;
  ASSERT_TRUE(Reader::open(node.folder.path)->each([&](const StoredEntry& entry) {
    if (entry.kind == Kind::Erase) told = entry.text(Field::Reason) == "GDPR Art. 17, request 12" && entry.text(Field::Subject) == "kim" && std::get<Bytes>(entry.fields.at(Field::RelatedSession)) == Bytes(gone.begin(), gone.end());
    return true;
  }));
  EXPECT_TRUE(told);
}

TEST(Erased, WhatACrashCutOffIsFinishedAtTheNextStartIfItIsOnRecord) {
  for (const bool on_record : {true, false}) {
    Long node;
    const auto gone = node.sessions[10];
    const auto size = node.log->status().size;
    if (on_record) ASSERT_TRUE(node.log->append_wait(std::move(Entry(Kind::Erase).text(Field::Reason, "x").bytes(Field::RelatedSession, gone))));
    write_file(node.folder.path + "/keys/erasing", as_bytes(fmt::format("{} {}\n", hex(gone), size)));
    node.start();
    ASSERT_TRUE(node.keeping->finish());
    EXPECT_FALSE(std::filesystem::exists(node.folder.path + "/keys/erasing"));
    EXPECT_EQ(load_session_key(node.folder.path, "node.test/evidence", gone).has_value(), !on_record);
  }
}

/// A log that was pruned and stopped, and what it was before.
struct PrunedLog : Long {
  PrunedLog() {
    copy(folder.path, before.path);
    prune();
    stop();
  }
  void bring_back(bool all) const {
    const auto number = first();
    for (const auto& item : std::filesystem::directory_iterator(before.path + "/segments")) {
      const auto name = item.path().filename().string();
      if (name < segment_name(number) && (all || name > segment_name(0))) std::filesystem::copy_file(item.path(), folder.path + "/segments/" + name);
    }
  }
  Folder before;
};

TEST(Pruned, ACrashBeforeSegmentsGoLeavesALogThatIsValidAndIsFinished) {
  for (const bool all : {true, false}) {
    PrunedLog node;
    const auto left = node.segments().size();
    node.bring_back(all);
    const auto report = node.verified();
    EXPECT_EQ(report.verdict, Report::Valid) << said_of(report);
    EXPECT_TRUE(said_of(report).contains("segments of pruned entries are still there")) << said_of(report);
    node.start();
    EXPECT_EQ(node.segments().size(), left + 1);
    node.stop();
    EXPECT_EQ(node.verified().verdict, Report::Valid);
  }
}

TEST(Pruned, ACrashBeforeItsFileIsWrittenLeavesAWholeLogThatCanBePrunedAnew) {
  PrunedLog node;
  const auto first = node.first();
  node.bring_back(true);
  std::filesystem::remove(node.pruned());
  const auto report = node.verified();
  EXPECT_EQ(report.verdict, Report::Valid) << said_of(report);
  EXPECT_EQ(report.first_entry, 0U);
  EXPECT_TRUE(said_of(report).contains("what it names is still there")) << said_of(report);
  node.start();
  node.prune();
  EXPECT_EQ(node.first(), first);
  node.stop();
  EXPECT_EQ(node.verified().verdict, Report::Valid);
}

TEST(PrunedTamper, SegmentsTakenAwayWithAForgedFileAreMissed) {
  Long node;
  // All of it is right, but the log does not tell of it.
  const auto plan = node.plan();
  ASSERT_TRUE(plan.pruned);
  node.stop();
  ASSERT_TRUE(remove_pruned_segments(node.folder.path, plan.pruned->first()));
  EXPECT_TRUE(has(node.verified(), "segment-missing"));
  write_file(node.pruned(), encode_pruned(*plan.pruned));
  const auto report = node.verified();
  EXPECT_EQ(report.verdict, Report::Invalid);
  EXPECT_TRUE(has(report, "segment-missing") && has(report, "pruned")) << said_of(report);
}

TEST(PrunedTamper, APruneThatIsUnderNoSignedHeadIsNone) {
  PrunedLog node;
  for (const std::string head : {"/checkpoint", "/checkpoints"}) write_file(node.folder.path + head, bytes_of(node.before.path + head));
  const auto report = node.verified();
  EXPECT_EQ(report.verdict, Report::Invalid) << said_of(report);
  EXPECT_TRUE(has(report, "pruned") && has(report, "segment-missing")) << said_of(report);
}

TEST(PrunedTamper, MoreSegmentsTakenAwayThanThePruneNamesAreMissed) {
  PrunedLog node;
  std::filesystem::remove(node.segments()[0]);
  EXPECT_TRUE(has(node.verified(), "segment-missing")) << said_of(node.verified());
  // Also with a file that fits what is left.
  auto file = bytes_of(node.segments()[0]);
  const auto header = decode_header(file);
  auto pruned = **read_pruned(node.folder.path);
  pruned.footer.size = header->first_index;
  pruned.segment = header->previous, pruned.length = header->previous_length, pruned.digest = header->previous_digest;
  pruned.footer.range.assign(static_cast<std::size_t>(std::popcount(header->first_index)), Digest{});
  write_file(node.pruned(), encode_pruned(pruned));
  const auto report = node.verified();
  EXPECT_TRUE(has(report, "segment-missing") && has(report, "pruned") && has(report, "head-root")) << said_of(report);
}

TEST(PrunedTamper, WithoutItsFileThePruneIsALoss) {
  PrunedLog node;
  std::filesystem::remove(node.pruned());
  EXPECT_TRUE(has(node.verified(), "segment-missing"));
  const auto opened = node.try_open();
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().what.contains("the segments before it are missing")) << opened.error().what;
}

TEST(PrunedTamper, AGatewayWhoseNotaryWasRolledBackBehindThePruneDoesNotStart) {
  PrunedLog node;
  for (const std::string part : {"/signer-head", "/signer-head-epochs", "/checkpoint"}) std::filesystem::remove(node.folder.path + part);
  const auto opened = node.try_open();
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().what.contains("the notary knows of 0 only")) << opened.error().what;
}

TEST(PrunedTamper, AGatewayDoesNotStartWithAnotherBeginning) {
  PrunedLog node;
  const auto good = **read_pruned(node.folder.path);
  const auto refused = [&](const Pruned& changed, const std::string& why) {
    write_file(node.pruned(), encode_pruned(changed));
    const auto files = node.segments();
    const auto opened = node.try_open();
    ASSERT_FALSE(opened) << why;
    EXPECT_TRUE(opened.error().what.contains(why)) << opened.error().what;
    EXPECT_EQ(node.segments(), files) << "nothing was removed";
  };
  auto changed = good;
  ++changed.length;
  refused(changed, "does not follow the segments that were pruned");
  changed = good;
  changed.footer.size = decode_header(bytes_of(node.segments()[1]))->first_index;
  changed.footer.range.assign(static_cast<std::size_t>(std::popcount(changed.footer.size)), Digest{});
  refused(changed, "does not follow the segments that were pruned");
  write_file(node.pruned(), as_bytes("nonsense"));
  EXPECT_TRUE(node.try_open().error().what.contains("is damaged"));
  write_file(node.pruned(), encode_pruned(good));
  EXPECT_TRUE(node.try_open());
}

TEST(PrunedTamper, AnyChangedByteOfItsFileMakesItInvalid) {
  PrunedLog node;
  const auto good = bytes_of(node.pruned());
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto changed = good;
    changed[i] ^= static_cast<std::uint8_t>(1U << i % 8);
    write_file(node.pruned(), changed);
    const auto report = node.verified();
    EXPECT_EQ(report.verdict, Report::Invalid) << i;
    EXPECT_TRUE(has(report, "pruned")) << i << said_of(report);
  }
  auto longer = good;
  longer.push_back(0);
  write_file(node.pruned(), longer);
  EXPECT_TRUE(has(node.verified(), "pruned"));
}

TEST(PrunedTamper, ChangedStatesOfCarriedSessionsAreFound) {
  PrunedLog node;
  const auto good = **read_pruned(node.folder.path);
  ASSERT_TRUE(std::ranges::any_of(good.footer.open, [&](const OpenSession& one) { return one.id == node.spanning; }));
  const std::vector<std::function<void(Footer&)>> changes = {
      [](Footer& f) { ++f.open[0].entries; }, [](Footer& f) { ++f.open[0].commands; }, [](Footer& f) { f.open[0].chunks = 7; },
      [](Footer& f) { f.open[0].open_commands = {3}; }, [](Footer& f) { f.open.clear(); },
      [](Footer& f) { f.open.push_back(f.open[0]), f.open.back().id.fill(0xFF); }};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    auto changed = good;
    changes[i](changed.footer);
    write_file(node.pruned(), encode_pruned(changed));
    const auto report = node.verified();
    EXPECT_TRUE(has(report, "pruned")) << i << said_of(report);
  }
}

TEST(PrunedTamper, AnyChangedByteOfTheFirstKeptHeaderMakesItInvalid) {
  PrunedLog node;
  const auto path = node.segments()[0];
  const auto good = bytes_of(path);
  for (std::size_t i = 0; i < kSegmentHeader; i += i < 256 ? 1 : 97) {
    auto changed = good;
    changed[i] ^= 1;
    write_file(path, changed);
    EXPECT_EQ(node.verified().verdict, Report::Invalid) << i;
  }
}

TEST(PrunedTamper, AnEarlierHeadKeptElsewhereIsCountedAndALaterOneCompared) {
  PrunedLog node;
  const auto early = node.folder.path + "/early";
  std::string note;
  {
    const auto all = std::string(as_text(bytes_of(node.before.path + "/checkpoints")));
    note = all.substr(0, all.find("\n\n", all.find("\n\n") + 2) + 1);
  }
  write_file(early, as_bytes(note));
  EXPECT_EQ(tamper::verified(node.folder.path, node.keys.second, false, {early}).verdict, Report::Valid);
  const auto bad = sign_note(*parse_signer_key(node.keys.first), checkpoint_text({"node.test/evidence", node.first() + 3, Digest{}}));
  write_file(early, as_bytes(bad));
  EXPECT_TRUE(has(tamper::verified(node.folder.path, node.keys.second, false, {early}), "forked"));
}

}  // namespace
}  // namespace sallyport::tamper
