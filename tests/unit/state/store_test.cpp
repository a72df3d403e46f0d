#include "state/store.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <thread>

#include "state/schema.h"

namespace sallyport::state {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("sallyport-state-" + hex(random_id()));
  Folder() { fs::create_directory(path); }
  ~Folder() { fs::remove_all(path); }
  std::string file() const { return (path / "state.db").string(); }
};

std::unique_ptr<Database> memory() {
  auto database = Database::open(":memory:");
  EXPECT_TRUE(database);
  auto migrated = migrate(**database);
  EXPECT_TRUE(migrated) << migrated.error().what;
  return std::move(*database);
}

TEST(Statement, KeepsNulBytesEmptyTextAndEmptyBlobsApartFromNull) {
  auto db = memory();
  ASSERT_TRUE(db->exec("CREATE TABLE t (a, b, c, d)"));
  const std::string with_nul("a\0b", 3);
  auto insert = db->prepare("INSERT INTO t VALUES (?, ?, ?, ?)");
  insert.bind(1, with_nul).bind(2, std::string_view()).bind_blob(3, {}).bind_null(4);
  ASSERT_TRUE(insert.run());
  auto row = db->prepare("SELECT a, b, c, d, typeof(b), typeof(c), typeof(d) FROM t");
  ASSERT_TRUE(row.step().value());
  EXPECT_EQ(row.text(0), with_nul);
  EXPECT_FALSE(row.is_null(1));
  EXPECT_FALSE(row.is_null(2));
  EXPECT_TRUE(row.is_null(3));
  EXPECT_EQ(row.text(4), "text");
  EXPECT_EQ(row.text(5), "blob");
  EXPECT_EQ(row.text(6), "null");
  EXPECT_EQ(row.text(3), "");
  EXPECT_EQ(row.integer(3), 0);
  EXPECT_TRUE(row.blob(3).empty());
}

TEST(Statement, ABlobComesBackByteForByte) {
  auto db = memory();
  Bytes all(256);
  for (int i = 0; i < 256; ++i) all[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i);
  auto row = db->prepare("SELECT ?");
  row.bind_blob(1, all);
  ASSERT_TRUE(row.step().value());
  EXPECT_EQ(row.blob(0), all);
}

TEST(Statement, AWrongStatementOrBindingIsAnErrorAtTheFirstStep) {
  auto db = memory();
  auto wrong = db->prepare("SELEKT 1");
  EXPECT_EQ(wrong.step().error().kind, ErrorKind::Unavailable);
  auto index = db->prepare("SELECT ?");
  index.bind(2, "x");
  EXPECT_FALSE(index.step());
  auto empty = db->prepare("");
  EXPECT_FALSE(empty.step());
}

TEST(Statement, TextThatLooksLikeSqlIsOnlyText) {
  auto db = memory();
  auto insert = db->prepare("INSERT INTO totp_steps (user, step) VALUES (?, 1)");
  insert.bind(1, "x'); DROP TABLE totp_steps; --");
  ASSERT_TRUE(insert.run());
  auto row = db->prepare("SELECT user FROM totp_steps");
  ASSERT_TRUE(row.step().value());
  EXPECT_EQ(row.text(0), "x'); DROP TABLE totp_steps; --");
}

TEST(Transaction, RollsBackUnlessCommitted) {
  auto db = memory();
  ASSERT_TRUE(db->exec("CREATE TABLE t (a)"));
  {
    Transaction lost(*db);
    ASSERT_TRUE(db->exec("INSERT INTO t VALUES (1)"));
  }
  {
    Transaction kept(*db);
    ASSERT_TRUE(db->exec("INSERT INTO t VALUES (2)"));
    ASSERT_TRUE(kept.commit());
    EXPECT_FALSE(kept.commit());
  }
  auto row = db->prepare("SELECT group_concat(a) FROM t");
  ASSERT_TRUE(row.step().value());
  EXPECT_EQ(row.text(0), "2");
}

TEST(Schema, AFileIsDurableWithForeignKeysAndPrivateToItsOwner) {
  Folder folder;
  auto store = Store::open(folder.file());
  ASSERT_TRUE(store);
  auto& db = (*store)->database();
  for (auto [pragma, want] : {std::pair{"journal_mode", "wal"}, {"synchronous", "2"}, {"foreign_keys", "1"}}) {
    auto row = db.prepare(std::string("PRAGMA ") + pragma);
    ASSERT_TRUE(row.step().value());
    EXPECT_EQ(row.text(0), want) << pragma;
  }
  EXPECT_EQ(fs::status(folder.file()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST(Schema, ADatabaseOpensAgainWithWhatItHeld) {
  Folder folder;
  {
    auto store = Store::open(folder.file());
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->database().exec("INSERT INTO totp_steps (user, step) VALUES ('alice', 1)"));
  }
  auto store = Store::open(folder.file());
  ASSERT_TRUE(store);
  auto row = (*store)->database().prepare("SELECT user FROM totp_steps");
  ASSERT_TRUE(row.step().value());
  EXPECT_EQ(row.text(0), "alice");
}

TEST(Schema, ADatabaseOfANewerProgramIsRefusedAndLeftAsItWas) {
  Folder folder;
  { ASSERT_TRUE(Store::open(folder.file())); }
  { ASSERT_TRUE((*Database::open(folder.file()))->exec("PRAGMA user_version = 999")); }
  auto store = Store::open(folder.file());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind, ErrorKind::Unavailable);
  EXPECT_NE(store.error().what.find("999"), std::string::npos) << store.error().what;
}

TEST(Schema, ADatabaseOfAnotherProgramIsRefused) {
  Folder folder;
  { ASSERT_TRUE((*Database::open(folder.file()))->exec("CREATE TABLE theirs (a)")); }
  EXPECT_FALSE(Store::open(folder.file()));
}

TEST(Schema, AFileThatIsNoDatabaseAndAMissingFolderAreErrors) {
  Folder folder;
  { FILE* f = fopen(folder.file().c_str(), "w"); fputs("this is not a database, but a text that is long enough", f); fclose(f); }
  EXPECT_FALSE(Store::open(folder.file()));
  EXPECT_FALSE(Store::open((folder.path / "missing" / "state.db").string()));
}

TEST(Schema, OneDigestHasOneLiveApprovalAndOnePersonOneVote) {
  auto db = memory();
  auto approval = [&](const char* id, int state) {
    return db->exec(fmt::format("INSERT INTO approvals (id, state, digest, policy, request_id, requester, requester_subject, requester_issuer, requester_agent, "
                                "requester_display, target, session, summary, reason, terms, created, expires, changed) VALUES ('{}', {}, zeroblob(32), "
                                "zeroblob(32), 'req', 'p', 's', 'i', '', 'd', 't', 'b', 'sum', '', '[]', 1, 2, 1)", id, state));
  };
  ASSERT_TRUE(approval("a", 0));
  EXPECT_FALSE(approval("b", 0));
  EXPECT_FALSE(approval("b", 1));
  EXPECT_TRUE(approval("c", 4));
  auto vote = [&](const char* id, const char* person) {
    return db->exec(fmt::format("INSERT INTO votes (approval, person, display, groups, approve, reason, cast_at) VALUES ('{}', '{}', 'd', '[]', 1, '', 1)", id, person));
  };
  EXPECT_TRUE(vote("a", "bob"));
  EXPECT_FALSE(vote("a", "bob"));
  EXPECT_FALSE(vote("missing", "bob"));
}

TEST(Store, WorkRunsOnTheStoresThreadAndTheCallerResumesOnItsOwn) {
  auto store = Store::open(":memory:");
  ASSERT_TRUE(store);
  boost::asio::io_context worker{1};
  std::thread::id before, inside, after;
  boost::asio::co_spawn(worker, [&]() -> boost::asio::awaitable<void> {
    before = std::this_thread::get_id();
    inside = co_await (*store)->run([](Database&) { return std::this_thread::get_id(); });
    after = std::this_thread::get_id();
  }, boost::asio::detached);
  worker.run();
  EXPECT_EQ(before, std::this_thread::get_id());
  EXPECT_EQ(after, before);
  EXPECT_NE(inside, before);
}

TEST(Store, FinishesWhatWasSentBeforeItCloses) {
  Folder folder;
  {
    auto store = Store::open(folder.file());
    ASSERT_TRUE(store);
    for (int i = 0; i < 100; ++i) {
      boost::asio::post((*store)->context(), [db = &(*store)->database(), i] {
        auto insert = db->prepare("INSERT INTO totp_steps (user, step) VALUES (?, 1)");
        insert.bind(1, std::to_string(i));
        EXPECT_TRUE(insert.run());
      });
    }
  }
  auto store = Store::open(folder.file());
  auto row = (*store)->database().prepare("SELECT count(*) FROM totp_steps");
  ASSERT_TRUE(row.step().value());
  EXPECT_EQ(row.integer(0), 100);
}

}  // namespace
}  // namespace sallyport::state
