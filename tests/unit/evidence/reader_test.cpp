#include <fstream>

#include "evidence/reader.h"
#include "evidence/session_keys.h"
#include "log_case.h"

namespace sallyport::evidence {
namespace {

/// A log with one session that holds a payload; `more` runs while it is open.
Id16 fill(Node& node, const std::string& plain, const std::function<void(Log&)>& more = {}) {
  auto log = node.open();
  auto s = log->new_session();
  EXPECT_TRUE(log->append_wait(opened(s)));
  Entry asked(Kind::Command, s);
  const auto ref = Recording::whole(*s, plain, asked);
  asked.uint(Field::Decision, 1).texts(Field::Rules, {"r1", "r2"}).text(Field::Action, "tools/call").map(Field::Facts, {{"k", "v"}}).payload(Field::Payload, ref);
  const auto at = log->append_wait(std::move(asked));
  EXPECT_TRUE(at);
  EXPECT_TRUE(log->append_wait(std::move(Entry(Kind::Outcome, s).counts(Field::Masked, {{"pii:email", 2}}).uint(Field::Result, 1).uint(Field::CommandIndex, *at))));
  if (more) more(*log);
  EXPECT_TRUE(log->append_wait(closed(s)));
  log->stop();
  return s->id();
}

std::vector<StoredEntry> all(const Node& node) {
  std::vector<StoredEntry> out;
  auto reader = Reader::open(node.folder.path);
  EXPECT_TRUE(reader) << (reader ? "" : reader.error().what);
  if (!reader) return out;
  const auto read = reader->each([&](const StoredEntry& entry) { return out.push_back(entry), true; });
  EXPECT_TRUE(read) << (read ? "" : read.error().what);
  return out;
}

TEST(Reader, GivesEveryEntryInOrderWithItsFields) {
  Node node;
  const auto id = fill(node, "x");
  fill(node, "y");
  const auto entries = all(node);
  ASSERT_EQ(entries.size(), 12U);
  for (std::size_t i = 0; i < entries.size(); ++i) EXPECT_EQ(entries[i].index, i);
  EXPECT_EQ(entries[1].text(Field::Subject), "ann");
  EXPECT_EQ(entries[1].session, id);
  EXPECT_EQ(entries[2].kind, Kind::Command);
  EXPECT_EQ(entries[2].sequence, 1U);
  ASSERT_NE(entries[2].payload(), nullptr);
  EXPECT_EQ(entries[3].uint(Field::CommandIndex), 2U);
  const auto json = to_json(entries[2]);
  for (const char* part : {R"("kind":"command")", R"("rules":["r1","r2"])", R"("facts":{"k":"v"})", R"("action":"tools/call")"}) EXPECT_TRUE(json.contains(part)) << json;
  EXPECT_TRUE(to_json(entries[3]).contains(R"("masked":{"pii:email":2})")) << to_json(entries[3]);
  EXPECT_TRUE(to_json(entries[4]).contains(R"("totals":{"entries":4,"commands":1,"outcomes":1,"chunks":1})")) << to_json(entries[4]);
}

TEST(Reader, OpensAPayloadOfAnyLengthAndSaysWhenItsKeyIsErasedOrAChunkIsAnother) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{65536}, std::size_t{65537}, std::size_t{300'000}}) {
    Node node;
    std::string plain(size, '\0');
    for (std::size_t i = 0; i < size; ++i) plain[i] = static_cast<char>(i * 2654435761U >> 13);
    const auto id = fill(node, plain);
    const auto reader = Reader::open(node.folder.path);
    ASSERT_TRUE(reader);
    const auto ref = *all(node)[2].payload();
    auto chunks = reader->chunks(id);
    ASSERT_TRUE(chunks);
    EXPECT_EQ(chunks->size(), size <= 65536 ? 1U : size / 65536 + 1);
    const auto text = reader->payload(id, ref, *chunks);
    ASSERT_TRUE(text) << text.error().what;
    EXPECT_TRUE(*text == plain);
    chunks->begin()->second.back() ^= 1;
    EXPECT_EQ(reader->payload(id, ref, *chunks).error().kind, ErrorKind::Malformed);
    chunks->erase(chunks->begin());
    EXPECT_EQ(reader->payload(id, ref, *chunks).error().kind, ErrorKind::Malformed);
    ASSERT_TRUE(*erase_session_key(node.folder.path, id));
    EXPECT_EQ(reader->payload(id, ref, *reader->chunks(id)).error().kind, ErrorKind::Denied);
  }
}

TEST(Reader, ReadsALogThatIsBeingWrittenUpToItsLastWholeBatch) {
  Node node;
  std::size_t seen = 0;
  fill(node, "x", [&](Log&) { seen = all(node).size(); });
  EXPECT_EQ(seen, 4U);
  const auto path = node.segments()[0];
  auto bytes = *read_file(path);
  bytes.resize(bytes.size() - 60);
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  EXPECT_EQ(all(node).size(), 6U) << "its footer is cut off, its entries are there";
}

TEST(Reader, RefusesALogWithAMissingOrADamagedSegmentAndNamesIt) {
  for (const bool damage : {false, true}) {
    Node node;
    for (int i = 0; i < 3; ++i) fill(node, "x");
    const auto path = node.segments()[1];
    if (damage) {
      auto bytes = *read_file(path);
      bytes[kSegmentHeader + 60] ^= 1;
      std::ofstream(path, std::ios::binary | std::ios::trunc).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    } else {
      std::filesystem::remove(path);
    }
    const auto reader = Reader::open(node.folder.path);
    ASSERT_TRUE(reader);
    std::size_t seen = 0;
    const auto read = reader->each([&](const StoredEntry&) { return ++seen, true; });
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().kind, ErrorKind::Malformed);
    EXPECT_TRUE(read.error().what.contains(damage ? path : node.segments()[1])) << read.error().what;
    EXPECT_EQ(seen, 6U) << "what comes before is read";
  }
  EXPECT_EQ(Reader::open("/tmp/there-is-no-such-folder").error().kind, ErrorKind::Unavailable);
}

TEST(Reader, StopsWhenItsVisitorHasEnough) {
  Node node;
  for (int i = 0; i < 2; ++i) fill(node, "x");
  std::size_t seen = 0;
  EXPECT_TRUE(Reader::open(node.folder.path)->each([&](const StoredEntry&) { return ++seen < 3; }));
  EXPECT_EQ(seen, 3U);
}

}  // namespace
}  // namespace sallyport::evidence
