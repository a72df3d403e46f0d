// When the writer writes: heartbeats when nothing else is to be said, and two entries in one write where the first may wait.
#include <thread>

#include "log_case.h"

namespace sallyport::evidence {
namespace {

std::unique_ptr<Log> open(const Node& node, std::int64_t heartbeat_ns) {
  auto signer = ed25519_signer("node.test/evidence", node.keys.first, node.folder.path + "/signer-head");
  Options options;
  options.directory = node.folder.path;
  options.origin = "node.test/evidence";
  options.segment_bytes = node.segment_bytes;
  options.files = node.disk;
  options.heartbeat_ns = heartbeat_ns;
  auto log = Log::open(options, std::move(*signer));
  EXPECT_TRUE(log.has_value());
  return std::move(*log);
}

TEST(Rhythm, AnIdleLogHasAHeartbeatAtItsIntervalAndNoOftener) {
  Node node;
  auto log = open(node, 50'000'000);
  const auto from = log->status().size;
  // What is under test is how much is written in a stretch of time.
  std::this_thread::sleep_for(std::chrono::milliseconds(520));
  const auto beats = log->status().size - from;
  EXPECT_GE(beats, 4u);
  EXPECT_LE(beats, 11u);
}

TEST(Rhythm, WhatIsWrittenCountsAsASignOfLife) {
  Node node;
  auto log = open(node, 200'000'000);
  const auto from = log->status().size;
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(log->append_wait(Entry(Kind::AuthOk)));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_LE(log->status().size - from, 42u);
}

TEST(Rhythm, AnEntryThatMayWaitIsDurableSoonAlsoWhenNothingFollows) {
  Node node;
  auto log = open(node, 10'000'000'000);
  Entry entry(Kind::AuthOk);
  entry.wait_a_moment();
  ASSERT_TRUE(log->append_wait(std::move(entry)));
}

}  // namespace
}  // namespace sallyport::evidence
