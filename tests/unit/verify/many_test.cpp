// Many hashes at once, on every path that this machine has, against one at a time; and the tables that keep open sessions, against the
// standard library's.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "verify/by_number.h"
#include "verify/crypto.h"
#include "verify/sha256_many.h"
#include "verify/tree.h"

namespace sallyport::verify {
namespace {

Hash alone(View bytes, int before) {
  Sha256 hash;
  const auto front = static_cast<std::uint8_t>(before);
  if (before >= 0) hash.add({&front, 1});
  return hash.add(bytes).done();
}

struct Case {
  std::vector<Blob> bytes;
  std::vector<int> before;
  void add(Blob one, int front) { bytes.push_back(std::move(one)), before.push_back(front); }
  /// The first message that a path hashes wrongly; the number of messages when there is none.
  std::size_t first_wrong(void (*hash)(std::span<const Message>)) const {
    std::vector<Hash> out(bytes.size());
    std::vector<Message> messages;
    for (std::size_t i = 0; i < bytes.size(); ++i) messages.push_back({bytes[i], &out[i], before[i]});
    hash(messages);
    for (std::size_t i = 0; i < bytes.size(); ++i)
      if (out[i] != alone(bytes[i], before[i])) return i;
    return bytes.size();
  }
};

TEST(ManyHashes, ArePublishedOnesOnEveryPath) {
  const std::pair<std::string_view, const char*> known[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu", "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"}};
  ASSERT_FALSE(hash_paths().empty());
  const Blob million(1'000'000, 'a');
  for (const auto& path : hash_paths()) {
    Hash out[5];
    std::vector<Message> messages;
    for (std::size_t i = 0; i < 4; ++i) messages.push_back({view(known[i].first), &out[i], -1});
    messages.push_back({million, &out[4], -1});
    path.hash(messages);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(hex(out[i]), known[i].second) << path.name;
    EXPECT_EQ(hex(out[4]), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0") << path.name;
  }
}

TEST(ManyHashes, AreThoseOfOneAtATimeAtEveryLengthOnEveryPath) {
  std::mt19937_64 random(7);
  for (const auto& path : hash_paths()) {
    for (const int before : {-1, 0, 1}) {
      Case all;
      for (std::size_t n = 0; n <= 300; ++n) {
        all.add(Blob(n), before);
        for (auto& b : all.bytes.back()) b = static_cast<std::uint8_t>(random());
      }
      for (const std::size_t most : {2048, 16384})
        for (std::size_t n = most - 8; n <= most + 12; ++n) all.add(Blob(n, 7), before);   // where a message becomes too long for a lane
      EXPECT_EQ(all.first_wrong(path.hash), all.bytes.size()) << path.name << ", byte before " << before;
    }
  }
}

TEST(ManyHashes, AreThoseOfOneAtATimeForAnyNumberOfAnyLengthsOnEveryPath) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    Case some;
    for (auto n = random() % 70; n > 0; --n) {
      some.add(Blob(random() % (random() % 20 == 0 ? 20'000 : 400)), static_cast<int>(random() % 257) - 1);
      for (auto& b : some.bytes.back()) b = static_cast<std::uint8_t>(random());
    }
    for (const auto& path : hash_paths()) ASSERT_EQ(some.first_wrong(path.hash), some.bytes.size()) << path.name << ", round " << round;
    ASSERT_EQ(some.first_wrong(hash_all), some.bytes.size()) << round;
  }
}

/// RFC 6962 §2.1 as it is written.
Hash root_of(std::span<const Hash> leaves) {
  if (leaves.empty()) return Sha256().done();
  if (leaves.size() == 1) return leaves[0];
  std::size_t k = 1;
  while (2 * k < leaves.size()) k *= 2;
  return node_hash(root_of(leaves.first(k)), root_of(leaves.subspan(k)));
}

TEST(TreeOfManyLeaves, HasTheRootOfTheRfcWheneverItIsAskedFor) {
  std::vector<Hash> leaves;
  for (std::uint32_t i = 0; i < 3000; ++i) leaves.push_back(leaf_hash({reinterpret_cast<const std::uint8_t*>(&i), 4}));
  for (const std::size_t every : {1UL, 2UL, 3UL, 7UL, 64UL, 1000UL, 1023UL, 1024UL, 1025UL, 2999UL, 3000UL}) {
    Tree tree;
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      tree.add(leaves[i]);
      ASSERT_EQ(tree.size(), i + 1);
      if ((i + 1) % every == 0 && (every > 3 || i < 200)) ASSERT_EQ(tree.root(), root_of(std::span(leaves).first(i + 1))) << "asked every " << every;
    }
    EXPECT_EQ(tree.root(), root_of(leaves)) << every;
    EXPECT_EQ(tree.range().size(), 7U);  // 3000 has seven one bits
  }
}

TEST(TreeOfManyLeaves, GoesOnFromARangeAndTakesSubtrees) {
  std::vector<Hash> leaves;
  for (std::uint32_t i = 0; i < 300; ++i) leaves.push_back(leaf_hash({reinterpret_cast<const std::uint8_t*>(&i), 4}));
  for (std::size_t from = 0; from <= 290; ++from) {
    Tree first;
    for (std::size_t i = 0; i < from; ++i) first.add(leaves[i]);
    Tree then(from, first.range());
    std::size_t i = from;
    for (; i < leaves.size() && i % 4 != 0; ++i) then.add(leaves[i]);
    for (; i + 4 <= leaves.size(); i += 4) then.add_subtree(root_of(std::span(leaves).subspan(i, 4)), 2);
    for (; i < leaves.size(); ++i) then.add(leaves[i]);
    ASSERT_EQ(then.root(), root_of(leaves)) << from;
  }
}

TEST(ByNumber, IsAMap) {
  std::mt19937_64 random(3);
  ByNumber<int, 2> ours;
  std::map<std::uint64_t, int> theirs;
  for (int i = 0; i < 100'000; ++i) {
    const auto number = random() % (i / 1000 % 3 == 0 ? 40 : 4);
    const int value = static_cast<int>(random() % 1000);
    if (random() % 2 == 0) {
      ASSERT_EQ(ours.add(number, value), theirs.emplace(number, value).second);
    } else {
      const auto node = theirs.extract(number);
      ASSERT_EQ(ours.take(number), node ? std::optional(node.mapped()) : std::nullopt);
    }
    ASSERT_EQ(ours.size(), theirs.size());
    ASSERT_EQ(ours.empty(), theirs.empty());
    if (!theirs.empty()) ASSERT_EQ(ours.first(), theirs.begin()->first);
    auto due = theirs.begin();
    ours.each([&](std::uint64_t one) { ASSERT_EQ(one, (due++)->first); });
    ASSERT_EQ(due, theirs.end());
  }
  ours.clear();
  EXPECT_TRUE(ours.empty());
  EXPECT_EQ(ours.take(1), std::nullopt);
}

TEST(ById, FindsWhatWasAddedAndNotWhatWasRemoved) {
  std::mt19937_64 random(4);
  ById ours;
  std::map<Id, std::uint32_t> theirs;
  std::vector<std::uint32_t> free;
  for (int i = 0; i < 300'000; ++i) {
    Id id{};
    // Some that differ in few bits, so that many want the same slots.
    for (int k = 0; k < 2; ++k) id[random() % 16] = static_cast<std::uint8_t>(random() % 12);
    const auto known = theirs.find(id);
    ASSERT_EQ(ours.find(id), known == theirs.end() ? ById::kNone : known->second);
    if (known != theirs.end()) {
      if (random() % 4 == 0) continue;
      ours.remove(id);
      free.push_back(known->second);
      theirs.erase(known);
      ASSERT_EQ(ours.find(id), ById::kNone);
    } else if (random() % 3 != 0) {
      const auto place = free.empty() ? static_cast<std::uint32_t>(theirs.size()) : free.back();
      if (!free.empty()) free.pop_back();
      ours.add(id, place);
      theirs.emplace(id, place);
    } else {
      ours.remove(id);  // of what is not there: nothing
    }
    ASSERT_EQ(ours.size(), theirs.size());
  }
  for (const auto& [id, place] : theirs) ASSERT_EQ(ours.find(id), place);
}

}  // namespace
}  // namespace sallyport::verify
