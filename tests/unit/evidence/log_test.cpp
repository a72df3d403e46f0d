#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fstream>
#include <thread>

#include "log_case.h"

namespace sallyport::evidence {
namespace {

using boost::asio::awaitable;

std::uint64_t must(Result<std::uint64_t> result) {
  EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().what);
  return result ? *result : UINT64_MAX;
}

TEST(Log, NumbersEntriesAndSessionsDenselyAndEndsWithNodeStop) {
  Node node;
  auto log = node.open();
  auto s = log->new_session();
  EXPECT_EQ(must(log->append_wait(opened(s))), 1U);
  const auto c = must(log->append_wait(command(s)));
  must(log->append_wait(command(s, Decision::Blocked)));
  must(log->append_wait(outcome(s, c)));
  must(log->append_wait(closed(s)));
  log->stop();
  const auto all = stored(node);
  ASSERT_EQ(all.size(), 7U);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].facts.index, i);
  for (std::size_t i = 1; i < 6; ++i) EXPECT_EQ(all[i].facts.sequence, i - 1);
  EXPECT_EQ(all[0].facts.kind, Kind::NodeStart);
  EXPECT_EQ(all[6].facts.kind, Kind::NodeStop);
  // totals: 5 entries, 2 commands, 1 outcome, 0 chunks; then the reason
  const auto close = hex(all[5].leaf);
  EXPECT_NE(close.find("18208405020100" "1821"), std::string::npos) << close;
}

TEST(Log, TheSignedHeadIsTheRootOfWhatIsStoredAlsoAfterRestarts) {
  Node node;
  for (int i = 0; i < 3; ++i) {
    auto log = node.open();
    auto s = log->new_session();
    must(log->append_wait(opened(s)));
    must(log->append_wait(closed(s)));
    log.reset();
    auto signer = ed25519_signer("node.test/evidence", node.keys.first, node.folder.path + "/signer-head");
    ASSERT_TRUE(signer);
    const auto last = (*signer)->last().value();
    EXPECT_EQ(last.size(), stored(node).size());
    EXPECT_EQ(last.root(), root_of_all(node, last.size()));
  }
  EXPECT_EQ(stored(node).size(), 12U);
}

TEST(Log, TwoPortsOnTwoContextsKeepTheirOrder) {
  Node node;
  auto log = node.open();
  std::array<std::vector<std::uint64_t>, 2> got;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      boost::asio::io_context context;
      Port port(*log, context);
      auto s = log->new_session();
      for (int k = 0; k < 8; ++k) {
        boost::asio::co_spawn(context, [&]() -> awaitable<void> {
          for (int i = 0; i < 200; ++i) {
            auto index = co_await port.append(command(s, Decision::Blocked));
            got[t].push_back(must(std::move(index)));
          }
        }, boost::asio::detached);
      }
      context.run();
    });
  }
  for (auto& thread : threads) thread.join();
  log->stop();
  for (const auto& indices : got) {
    EXPECT_EQ(indices.size(), 1600U);
    EXPECT_TRUE(std::ranges::is_sorted(indices));
  }
  EXPECT_GT(node.segments().size(), 1U);
  EXPECT_EQ(stored(node).size(), 3200U + 2U + 2U);
}

TEST(Log, APortMayGoWhileItsEntriesAreUnderWay) {
  Node node;
  auto log = node.open();
  boost::asio::io_context context;
  auto port = std::make_unique<Port>(*log, context);
  auto s = log->new_session();
  boost::asio::co_spawn(context, [&]() -> awaitable<void> { co_await port->append(opened(s)); }, boost::asio::detached);
  context.poll();
  port.reset();
  log->stop();
  context.restart();
  context.poll();
}

TEST(Log, ASecondProcessIsRefused) {
  Node node;
  auto log = node.open();
  const auto second = node.try_open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::Unavailable);
}

TEST(Log, AnOutcomeNeedsAnOpenCommandAndAClosedSessionTakesNothing) {
  Node node;
  auto log = node.open();
  auto s = log->new_session();
  must(log->append_wait(opened(s)));
  EXPECT_EQ(log->append_wait(outcome(s, 0)).error().kind, ErrorKind::Internal);
  must(log->append_wait(command(s)));
  must(log->append_wait(closed(s)));  // interrupts the command first
  EXPECT_EQ(log->append_wait(command(s)).error().kind, ErrorKind::Internal);
  log->stop();
  const auto all = stored(node);
  EXPECT_EQ(all[3].facts.kind, Kind::Outcome);
  EXPECT_EQ(all[3].facts.command_index, 2U);
}

TEST(Log, EveryFailedWriteOrSyncRefusesTheBatchRollsBackAndHeals) {
  for (const bool cut : {false, true}) {
    for (int step = 0; step < 4; ++step) {  // key record write, its sync, frame write, its sync
      Node node;
      auto log = node.open();
      auto first = log->new_session();
      must(log->append_wait(opened(first)));
      auto s = log->new_session();
      node.disk->short_write = cut;
      node.disk->left = step;
      const auto refused = log->append_wait(opened(s));
      ASSERT_FALSE(refused) << step;
      EXPECT_EQ(refused.error().kind, ErrorKind::Unavailable);
      EXPECT_FALSE(log->writable());
      EXPECT_FALSE(log->append_wait(closed(first)));
      node.disk->left = -1;
      while (!log->writable()) std::this_thread::yield();
      must(log->append_wait(opened(s)));
      must(log->append_wait(closed(s)));
      must(log->append_wait(closed(first)));
      log->stop();
      const auto all = stored(node);
      ASSERT_EQ(all.size(), 7U);
      EXPECT_EQ(all[2].facts.kind, Kind::Recovery);
      EXPECT_EQ(all[3].facts.sequence, 0U);
      EXPECT_EQ(all[5].facts.sequence, 1U);
      log.reset();
      ASSERT_TRUE(node.open());
    }
  }
}

TEST(Log, AboveTheHighWaterOnlyWhatRunsMayEndAndItTurnsWritableByItself) {
  Node node;
  auto log = node.open();
  auto s = log->new_session();
  must(log->append_wait(opened(s)));
  const auto c = must(log->append_wait(command(s)));
  node.disk->used = 0.95;
  while (log->writable()) std::this_thread::yield();
  EXPECT_EQ(log->append_wait(command(s)).error().kind, ErrorKind::Unavailable);
  must(log->append_wait(outcome(s, c)));
  node.disk->used = 0.5;
  while (!log->writable()) std::this_thread::yield();
  must(log->append_wait(command(s)));
}

TEST(Log, NothingNewIsTakenThatTheSignerWillNotSign) {
  struct Refusing : Signer {
    Result<std::string> sign(const CompactRange&) override { return fail(ErrorKind::Denied, "no"); }
    Result<std::string> begin_epoch(ByteView) override { return fail(ErrorKind::Denied, "no"); }
    Result<EpochKey> next_epoch() override { return fail(ErrorKind::Unavailable, "no"); }
    Result<CompactRange> last() override { return CompactRange(); }
    std::string verifier_key() const override { return generate_note_key("node.test/evidence").second; }
  };
  Folder folder;
  Options options;
  options.directory = folder.path;
  options.origin = "node.test/evidence";
  options.segment_bytes = 256U << 10;
  auto log = Log::open(options, std::make_unique<Refusing>());
  ASSERT_TRUE(log);
  while ((*log)->writable()) std::this_thread::yield();
  EXPECT_EQ((*log)->append_wait(Entry(Kind::ConfigApplied)).error().kind, ErrorKind::Unavailable);
  EXPECT_NE((*log)->status().why_not.find("cannot be signed"), std::string::npos);
}

/// A copy of the folder as a crash would leave it, with the signer's memory as it was.
void copy_folder(const Node& from, Node& to) {
  // The log goes on meanwhile: a file that it renames between being listed and being copied is copied at the next try.
  std::error_code moved;
  do {
    std::filesystem::remove_all(to.folder.path);
    std::filesystem::copy(from.folder.path, to.folder.path, std::filesystem::copy_options::recursive, moved);
  } while (moved);
  to.keys = from.keys;
  to.segment_bytes = from.segment_bytes;
}

TEST(Recovery, OpenSessionsAreInterruptedAndClosedUnderANewIncarnation) {
  Node node, crashed;
  auto log = node.open();
  auto s = log->new_session();
  must(log->append_wait(opened(s)));
  const auto c = must(log->append_wait(command(s)));
  copy_folder(node, crashed);
  auto again = crashed.open();
  ASSERT_TRUE(again);
  again->stop();
  const auto all = stored(crashed);
  ASSERT_EQ(all.size(), 8U);
  const std::array kinds = {Kind::NodeStart, Kind::SessionOpen, Kind::Command, Kind::Recovery, Kind::NodeStart, Kind::Outcome, Kind::SessionClose, Kind::NodeStop};
  for (std::size_t i = 0; i < kinds.size(); ++i) EXPECT_EQ(all[i].facts.kind, kinds[i]) << i;
  EXPECT_EQ(all[5].facts.command_index, c);
  EXPECT_EQ(all[5].facts.sequence, 2U);
  EXPECT_NE(all[3].facts.incarnation, all[2].facts.incarnation);
}

TEST(Recovery, ACutAtEveryByteOfTheLastFrameLosesThatFrameOnly) {
  Node node;
  node.segment_bytes = 64U << 10;
  auto log = node.open();
  auto s = log->new_session();
  must(log->append_wait(opened(s)));
  while (log->status().signed_size != 2) std::this_thread::yield();
  Node before;
  copy_folder(node, before);
  must(log->append_wait(command(s)));
  Node after;
  copy_folder(node, after);
  log.reset();
  const auto segment = [](const Node& n) { return n.segments().back(); };
  const auto whole = *read_file(segment(after));
  const auto older = *read_file(segment(before));
  auto end = whole.size();
  while (end > 0 && whole[end - 1] == 0) --end;
  auto start = older.size();
  while (start > 0 && older[start - 1] == 0) --start;
  ASSERT_LT(start, end);
  for (auto cut = start; cut <= end; ++cut) {
    Node node2;
    copy_folder(before, node2);  // the signed head is the one before the last frame
    auto bytes = whole;
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(cut), bytes.end(), 0);
    std::ofstream(segment(node2), std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    node2.disk = std::make_shared<FailingDisk>();
    auto again = node2.open();
    ASSERT_TRUE(again) << cut;
    again->stop();
    const auto all = stored(node2);
    const bool survived = all.size() > 2 && all[2].facts.kind == Kind::Command;
    EXPECT_EQ(survived, cut == end) << cut;
    EXPECT_EQ(all.back().facts.kind, Kind::NodeStop);
  }
}

TEST(Recovery, ALogShorterThanItsSignedHeadIsNotOpened) {
  Node node;
  auto log = node.open();
  auto s = log->new_session();
  must(log->append_wait(opened(s)));
  log->stop();
  log.reset();
  auto bytes = *read_file(node.segments().back());
  bytes[kSegmentHeader + 60] ^= 1;
  std::ofstream(node.segments().back(), std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  const auto again = node.try_open();
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, ErrorKind::Malformed);
}

}  // namespace
}  // namespace sallyport::evidence
