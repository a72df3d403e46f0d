// Random access, tiles and proofs of logs on disk, alive and closed, of one batch a frame and of many.
#include "evidence/log_view.h"

#include <filesystem>

#include "log_case.h"

namespace sallyport::evidence {
namespace {

/// Many small segments with entries of many sizes.
std::unique_ptr<Log> filled(Node& node, int entries) {
  node.segment_bytes = 64U << 10;
  auto log = node.open();
  boost::asio::io_context context;
  Port port(*log, context);
  auto work = boost::asio::make_work_guard(context);
  int done = 0;
  for (int i = 0; i < entries; ++i) {
    Entry entry(Kind::AdminAction);
    entry.text(Field::Reason, std::string(static_cast<std::size_t>(i * 37 % 900), 'x'));
    port.append(std::move(entry), [&](Result<std::uint64_t> index) { done += index.has_value(); });
    while (i % 50 == 0 && done <= i) context.run_one();
  }
  while (done < entries) context.run_one();
  return log;
}

std::vector<Digest> leaves_of(const Node& node) {
  std::vector<Digest> out;
  for (const auto& one : stored(node)) out.push_back(leaf_hash(one.leaf));
  return out;
}

void expect_right(const Node& node, std::uint64_t size) {
  const auto all = stored(node);
  ASSERT_GE(all.size(), size);
  LogView view(node.folder.path);
  for (std::uint64_t i = 0; i < size; i += 1 + i % 7) {
    Bytes got;
    ASSERT_TRUE(view.entries(i, 1, [&](std::uint64_t index, ByteView leaf) {
      EXPECT_EQ(index, i);
      got.assign(leaf.begin(), leaf.end());
    }));
    ASSERT_EQ(got, all[i].leaf) << i;
    const auto proof = inclusion_proof(i, size, view.nodes());
    ASSERT_TRUE(proof) << proof.error().what;
    ASSERT_TRUE(verify_inclusion(leaf_hash(got), i, size, *proof, root_of_all(node, size))) << i << " of " << size;
  }
  for (const std::uint64_t old : {std::uint64_t{1}, std::uint64_t{255}, std::uint64_t{256}, std::uint64_t{300}, size - 1}) {
    if (old >= size || old == 0) continue;
    const auto proof = consistency_proof(old, size, view.nodes());
    ASSERT_TRUE(proof);
    EXPECT_TRUE(verify_consistency(old, size, root_of_all(node, old), root_of_all(node, size), *proof)) << old;
  }
}

TEST(LogView, ProvesEveryEntryOfALogOfManySegmentsWhileItIsWritten) {
  Node node;
  auto log = filled(node, 1500);
  ASSERT_GT(node.segments().size(), 3U);
  while (log->status().signed_size < 1500) std::this_thread::yield();
  expect_right(node, log->status().signed_size);
  log.reset();
  expect_right(node, stored(node).size());
}

TEST(LogView, TilesAreTheHashesAndBundlesTheEntriesOfTlogTiles) {
  Node node;
  filled(node, 700).reset();
  const auto leaves = leaves_of(node);
  LogView view(node.folder.path);
  const auto tile = view.tile(0, 1, 256);
  ASSERT_TRUE(tile);
  for (std::size_t i = 0; i < 256; ++i) ASSERT_TRUE(std::ranges::equal(ByteView(*tile).subspan(32 * i, 32), leaves[256 + i])) << i;
  CompactRange first;
  for (std::size_t i = 0; i < 256; ++i) first.append(leaves[i]);
  const auto upper = view.tile(1, 0, 2);
  ASSERT_TRUE(upper);
  EXPECT_TRUE(std::ranges::equal(ByteView(*upper).first(32), first.root()));
  const auto bundle = view.bundle(2, leaves.size() - 512);
  ASSERT_TRUE(bundle);
  std::size_t at = 0;
  for (std::size_t i = 512; i < leaves.size(); ++i) {
    const std::size_t size = std::size_t{(*bundle)[at]} << 8 | (*bundle)[at + 1];
    ASSERT_EQ(leaf_hash(ByteView(*bundle).subspan(at + 2, size)), leaves[i]);
    at += 2 + size;
  }
  EXPECT_EQ(at, bundle->size());
}

TEST(LogView, TilesThatAreMissingOrWrongAreMadeAnewAtTheNextStart) {
  for (const bool wrong : {false, true}) {
    Node node;
    filled(node, 700).reset();
    const auto path = node.folder.path + "/tiles/1";
    const auto before = *read_file(path);
    ASSERT_GE(before.size(), 64U);
    if (wrong) ASSERT_TRUE(replace_file(path, Bytes(32)));  // cut
    else std::filesystem::remove_all(node.folder.path + "/tiles");
    // Without them proofs are made from the entries; with wrong ones nothing is handed out.
    LogView view(node.folder.path);
    EXPECT_EQ(view.receipt(600).has_value(), !wrong);
    node.open().reset();
    const auto after = *read_file(path);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), after.begin()));
    LogView again(node.folder.path);
    EXPECT_TRUE(again.receipt(600));
  }
}

TEST(LogView, SaysWhatItDoesNotHave) {
  Node node;
  filled(node, 20).reset();
  LogView view(node.folder.path);
  EXPECT_EQ(view.receipt(100000).error().kind, ErrorKind::Unavailable);
  EXPECT_EQ(view.entries(100000, 1, [](std::uint64_t, ByteView) {}).error().kind, ErrorKind::Malformed);
}

}  // namespace
}  // namespace sallyport::evidence
