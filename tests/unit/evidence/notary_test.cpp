// What the notary signs and what it refuses, across restarts.
#include "evidence/notary.h"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "evidence/cbor.h"
#include "log_case.h"

namespace sallyport::evidence {
namespace {

struct Case {
  Folder folder;
  std::pair<std::string, std::string> keys = generate_note_key("node.test/evidence");
  NoteKey verifier = *parse_verifier_key(keys.second);
  std::unique_ptr<Notary> open() {
    auto key = memory_key("node.test/evidence", keys.first);
    auto out = Notary::open(std::move(*key), folder.path + "/head");
    EXPECT_TRUE(out) << out.error().what;
    return out ? std::move(*out) : nullptr;
  }
  Checkpoint head(const Result<std::string>& note) {
    EXPECT_TRUE(note) << note.error().what;
    const auto text = open_note(*note, verifier);
    EXPECT_TRUE(text);
    return *parse_checkpoint(*text);
  }
};

CompactRange grown(std::uint64_t from, std::uint64_t to, char salt = 'a') {
  CompactRange out(from);
  for (auto i = from; i < to; ++i) out.append(leaf_hash(as_bytes(salt + std::to_string(i))));
  return out;
}

Bytes announcement(std::uint64_t index, const EpochKey& epoch, Kind kind = Kind::KeyEpoch) {
  Bytes out{1};
  cbor::put_map(out, 7);
  for (const auto& [key, value] : std::map<std::uint64_t, std::uint64_t>{{1, index}, {2, 5}, {3, 5}}) {
    cbor::put_uint(out, key);
    cbor::put_uint(out, value);
  }
  cbor::put_uint(out, 4);
  cbor::put_bytes(out, Id16{});
  cbor::put_uint(out, 7);
  cbor::put_uint(out, static_cast<std::uint64_t>(kind));
  cbor::put_uint(out, static_cast<std::uint64_t>(Field::EpochKey));
  cbor::put_bytes(out, epoch.key);
  cbor::put_uint(out, static_cast<std::uint64_t>(Field::Epoch));
  cbor::put_uint(out, epoch.number);
  return out;
}

/// The verifier key of the epoch's signature line.
NoteKey epoch_verifier(const EpochKey& epoch) {
  auto key = NoteKey{"node.test/evidence/epoch-" + std::to_string(epoch.number), {}, epoch.key};
  const auto text = key.name + "\n\x01" + std::string(as_text(epoch.key));
  const auto digest = sha256(as_bytes(text));
  std::copy_n(digest.begin(), 4, key.id.begin());
  return key;
}

TEST(Notary, ComputesEachHeadItselfFromWhatItSignedBefore) {
  Case c;
  auto notary = c.open();
  EXPECT_EQ(c.head(notary->sign(grown(0, 5))).root, grown(0, 5).root());
  EXPECT_EQ(c.head(notary->sign(grown(5, 12))).root, grown(0, 12).root());
  EXPECT_EQ(c.head(notary->sign(CompactRange(12))).size, 12U);
}

TEST(Notary, RefusesWhatDoesNotGoOnFromItsLastHeadAlsoAfterARestart) {
  Case c;
  auto notary = c.open();
  ASSERT_TRUE(notary->sign(grown(0, 12)));
  for (int restart = 0; restart < 2; ++restart) {
    for (const auto& [from, to] : {std::pair{0, 5}, {0, 12}, {0, 20}, {11, 20}, {13, 20}}) {
      const auto refused = notary->sign(grown(static_cast<std::uint64_t>(from), static_cast<std::uint64_t>(to), 'b'));
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().kind, ErrorKind::Denied);
    }
    EXPECT_EQ(notary->last()->size(), 12U);
    notary.reset();
    notary = c.open();
  }
  EXPECT_EQ(c.head(notary->sign(grown(12, 13))).root, grown(0, 13).root());
}

TEST(Notary, IsAloneWithItsMemoryAndDoesNotTakeADamagedOneForEmpty) {
  Case c;
  auto notary = c.open();
  ASSERT_TRUE(notary->sign(grown(0, 3)));
  EXPECT_FALSE(Notary::open(std::move(*memory_key("node.test/evidence", c.keys.first)), c.folder.path + "/head"));
  notary.reset();
  auto bytes = *read_file(c.folder.path + "/head");
  for (std::size_t slot : {0U, 4096U})
    if (bytes.size() > slot + 20) bytes[slot + 20] ^= 1;
  ASSERT_TRUE(replace_file(c.folder.path + "/head", bytes));
  const auto again = Notary::open(std::move(*memory_key("node.test/evidence", c.keys.first)), c.folder.path + "/head");
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().what.find("restore it"), std::string::npos);
}

TEST(Notary, BeginsAnEpochOnlyOnTheEntryThatAnnouncesItsKeyAndErasesTheOldOne) {
  Case c;
  auto notary = c.open();
  ASSERT_TRUE(notary->sign(grown(0, 4)));
  const auto first = *notary->next_epoch();
  EXPECT_EQ(first.number, 1U);
  auto other = first;
  other.key[0] ^= 1;
  for (const auto& wrong : {announcement(5, first), announcement(4, other), announcement(4, first, Kind::Heartbeat), announcement(4, {2, first.key})}) {
    const auto refused = notary->begin_epoch(wrong);
    ASSERT_FALSE(refused);
    EXPECT_EQ(notary->last()->size(), 4U);
  }
  // The head over the announcement is signed without the new key, the next one with it.
  const auto announced = notary->begin_epoch(announcement(4, first));
  EXPECT_EQ(c.head(announced).size, 5U);
  EXPECT_FALSE(open_note(*announced, epoch_verifier(first)));
  const auto with = notary->sign(grown(5, 6));
  EXPECT_TRUE(open_note(*with, epoch_verifier(first)));

  const auto second = *notary->next_epoch();
  EXPECT_EQ(second.number, 2U);
  const auto keys_before = *read_file(c.folder.path + "/head-epochs");
  notary.reset();
  notary = c.open();
  EXPECT_EQ(notary->next_epoch()->key, second.key);
  ASSERT_TRUE(notary->begin_epoch(announcement(6, second)));
  const auto later = notary->sign(grown(7, 8));
  EXPECT_FALSE(open_note(*later, epoch_verifier(first)));
  EXPECT_TRUE(open_note(*later, epoch_verifier(second)));
  // Nothing of the first epoch's seed is left in its folder.
  const auto seed = std::string(as_text(ByteView(keys_before).subspan(16, 32)));
  for (const auto& file : std::filesystem::directory_iterator(c.folder.path)) {
    const auto bytes = *read_file(file.path());
    EXPECT_EQ(as_text(bytes).find(seed), std::string_view::npos) << file.path();
  }
}

TEST(Log, AnnouncesEachEpochKeyBeforeHeadsAreSignedWithIt) {
  Node node;
  node.epoch_ns = 1;
  auto log = node.open();
  const auto epochs = [&] {
    std::size_t n = 0;
    for (const auto& one : stored(node)) n += one.facts.kind == Kind::KeyEpoch;
    return n;
  };
  while (epochs() < 3) std::this_thread::yield();
  log.reset();
  // Whatever the notary signed is in the log, and every announcement the log holds was begun but perhaps the last.
  const auto notes = std::string(as_text(*read_file(node.folder.path + "/checkpoints")));
  EXPECT_NE(notes.find("node.test/evidence/epoch-1 "), std::string::npos);
  EXPECT_NE(notes.find("node.test/evidence/epoch-2 "), std::string::npos);
}

}  // namespace
}  // namespace sallyport::evidence
