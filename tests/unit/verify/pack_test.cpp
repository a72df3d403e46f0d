// The parts of packs against what others make of the same bytes, and the format's example.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "verify/hmac.h"
#include "verify/json_text.h"
#include "verify/pack.h"
#include "verify/pack_parts.h"
#include "verify/range_proof.h"
#include "verify/zip_reader.h"

namespace sallyport::verify {
namespace {

Blob example() {
  std::ifstream in(SALLYPORT_SOURCE_DIR "/fuzz/corpus/verify_pack/example.zip", std::ios::binary);
  return Blob(std::istreambuf_iterator<char>(in), {});
}
NoteKey key() {
  std::string why;
  return *parse_key("example.org/evidence+113fdc51+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", why);
}

TEST(Pack, TheExampleOfTheFormatIsValidCutAtAnyByte) {
  const auto pack = example();
  EXPECT_EQ(hex(Sha256().add(pack).done()), "ff0259c054fe795fd164d250ff6cd83707bbd3ff8e2b13053ded27427130a7fa");
  for (std::size_t at = 0; at <= pack.size(); ++at) {
    PackChecker checker({key()});
    checker.feed(View(pack).first(at));
    checker.feed(View(pack).subspan(at));
    const auto report = checker.finish();
    ASSERT_TRUE(report.valid) << at << ": " << report.faults[0].code << " " << report.faults[0].what;
    ASSERT_EQ(report.disclosed, 1U);
  }
}

TEST(Hmac, GivesTheVectorsOfRfc4231) {
  EXPECT_EQ(hex(HmacSha256(Blob(20, 0x0B)).add(view("Hi There")).done()), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(HmacSha256(view("Jefe")).add(view("what do ya want ")).add(view("for nothing?")).done()), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(HmacSha256(Blob(131, 0xAA)).add(view("Test Using Larger Than Block-Size Key - Hash Key First")).done()), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Zip, ChecksumIsThePublishedOne) {
  EXPECT_EQ(crc32(0, view("123456789")), 0xCBF43926U);
  EXPECT_EQ(crc32(crc32(0, view("1234")), view("56789")), 0xCBF43926U);
  EXPECT_EQ(crc32(0, {}), 0U);
}

TEST(Zip, SaysLargeSizesAndPlacesInItsExtraFieldOnlyWhereTheyNeedIt) {
  const std::uint64_t full = 0xFFFFFFFF;
  EXPECT_EQ(local_header({"a", full - 1, 0, 0}).size(), 31U);
  EXPECT_EQ(local_header({"a", full, 0, 0}).size(), 51U);
  EXPECT_EQ(central_record({"a", full - 1, full - 1, 0}).size(), 47U);
  EXPECT_EQ(central_record({"a", full - 1, full, 0}).size(), 47U + 12);
  EXPECT_EQ(central_record({"a", full, full - 1, 0}).size(), 47U + 20);
  EXPECT_EQ(central_record({"a", full, full, 0}).size(), 47U + 28);
  EXPECT_EQ(end_records(0xFFFE, full - 1, full - 1).size(), 22U);
  EXPECT_EQ(end_records(0xFFFF, 0, 0).size(), 22U + 56 + 20);
  EXPECT_EQ(end_records(1, full, 0).size(), 22U + 56 + 20);
}

struct Zeros : ZipVisitor {
  std::uint64_t bytes = 0, members = 0;
  bool good = true;
  std::string begin(const ZipMember&) override { return ""; }
  void data(View part) override { bytes += part.size(); }
  void end(const ZipMember&, bool right) override { ++members, good = good && right; }
};

TEST(Zip, ReadsAMemberOfMoreThanFourGigabytesAndWhatFollowsIt) {
  const Blob zeros(16u << 20, 0);
  const std::uint64_t size = 0x100000000 + 5;
  std::uint32_t crc = 0;
  for (std::uint64_t left = size; left > 0;) {
    const auto n = std::min<std::uint64_t>(left, zeros.size());
    crc = crc32(crc, View(zeros).first(static_cast<std::size_t>(n)));
    left -= n;
  }
  const ZipMember large{"a", size, 0, crc}, last{"b", 3, local_header(large).size() + size, crc32(0, view("end"))};
  Zeros seen;
  ZipReader reader(seen);
  reader.feed(local_header(large));
  for (std::uint64_t left = size; left > 0;) {
    const auto n = std::min<std::uint64_t>(left, zeros.size());
    reader.feed(View(zeros).first(static_cast<std::size_t>(n)));
    left -= n;
  }
  reader.feed(local_header(last));
  reader.feed(view("end"));
  const auto one = central_record(large), two = central_record(last);
  reader.feed(one);
  reader.feed(two);
  reader.feed(end_records(2, last.offset + local_header(last).size() + 3, one.size() + two.size()));
  EXPECT_EQ(reader.finish(), "");
  EXPECT_TRUE(seen.good);
  EXPECT_EQ(seen.bytes, size + 3);
}

TEST(Range, OfEverySizeLeadsToTheRootOfTheTree) {
  std::vector<Hash> leaves;
  for (std::uint64_t n = 0; n < 40; ++n) {
    Tree whole;
    for (const auto& leaf : leaves) whole.add(leaf);
    for (std::uint64_t a = 0; a <= n; ++a)
      for (std::uint64_t b = a; b <= n; ++b) {
        Tree left;
        for (std::uint64_t i = 0; i < a; ++i) left.add(leaves[i]);
        RangeProof proof{a, b, n, left.range(), {}};
        std::uint64_t at = b;
        for (const auto level : cover(b, n)) {
          ASSERT_EQ(at % (std::uint64_t{1} << level), 0U);
          Tree subtree;
          for (std::uint64_t i = 0; i < std::uint64_t{1} << level; ++i) subtree.add(leaves[at++]);
          proof.right.push_back(subtree.root());
        }
        ASSERT_EQ(at, n);
        const auto read = read_range_proof(write_range_proof(proof));
        ASSERT_TRUE(read);
        Tree tree(read->a, read->left);
        for (std::uint64_t i = a; i < b; ++i) tree.add(leaves[i]);
        std::size_t i = 0;
        for (const auto level : cover(b, n)) tree.add_subtree(read->right[i++], level);
        ASSERT_EQ(tree.size(), n);
        ASSERT_EQ(tree.root(), whole.root()) << a << " to " << b << " of " << n;
      }
    leaves.push_back(leaf_hash(view(std::to_string(n))));
  }
  for (const auto& bad : {RangeProof{2, 1, 3, {{}}, {{}, {}}}, RangeProof{0, 4, 3, {}, {}}, RangeProof{1, 1, 1, {}, {}}, RangeProof{0, 1, 1, {}, {{}}}, RangeProof{0, 0, std::uint64_t{1} << 63, {}, {{}}}})
    EXPECT_FALSE(read_range_proof(write_range_proof(bad)));
}

TEST(Leaves, AreReadWhereverTheyAreCut) {
  const std::string bytes = std::string("\1\3\0\0\0abc", 8) + std::string(33, '\0') + std::string("\1\1\0\0\0x", 6) + std::string("\2\2\0\0\0\3\0\0\0yzfgh", 14) +
                            std::string("\3\1\0\0\0\1\0\0\0ws", 11);
  for (std::size_t one = 0; one <= bytes.size(); ++one)
    for (std::size_t two = one; two <= bytes.size(); ++two) {
      std::string seen;
      Leaves leaves([&](View entry, View more, bool sealed) { seen += std::string(entry.begin(), entry.end()) + std::string(more.begin(), more.end()) + (sealed ? "!," : ","); }, [&](const Hash&) { seen += "-,"; });
      ASSERT_TRUE(leaves.feed(view(bytes).first(one)) && leaves.feed(view(bytes).subspan(one, two - one)) && leaves.feed(view(bytes).subspan(two)));
      ASSERT_TRUE(leaves.ended());
      ASSERT_EQ(seen, "abc,-,x,yzfgh,ws!,");
    }
  for (const auto& bad : {std::string("\4"), std::string("\1\0\0\0\0", 5), std::string("\1\0\0\1\0", 5), std::string("\2\1\0\0\0\0\0\0\0", 9), std::string("\3\1\0\0\0\x71\x11\1\0", 9)}) {
    Leaves leaves([](View, View, bool) {}, [](const Hash&) {});
    bool good = true;
    for (const char c : bad) good = leaves.feed(view(std::string_view(&c, 1)));
    EXPECT_FALSE(good);
    EXPECT_FALSE(Leaves([](View, View, bool) {}, [](const Hash&) {}).feed(view(bad)));
  }
}

TEST(Json, IsReadOnlyAsItIsWritten) {
  for (const std::string text : {"", "plain", "\"\\/", "\n\t\x1f", "\xE2\x80\xAE\xC3\xA9"}) {
    const auto spelled = json_string(text);
    JsonCursor again(spelled);
    EXPECT_EQ(again.string(), text);
    EXPECT_TRUE(again.at_end());
  }
  for (const char* bad : {"\"", "\"\\n\"", "\"\\u0041\"", "\"\\u00g0\"", "\"a\nb\"", "x", "\"\xFF\""}) {
    JsonCursor in(bad);
    in.string();
    EXPECT_FALSE(in.at_end()) << bad;
  }
  for (const char* bad : {"01", "-1", "", "x", "18446744073709551616"}) {
    JsonCursor in(bad);
    in.number();
    EXPECT_FALSE(in.at_end()) << bad;
  }
}

TEST(Names, OfMembersAreTheFormatsOrNone) {
  EXPECT_EQ(part_of("entries/00000000000000065536").part, Part::Entries);
  EXPECT_EQ(part_of("entries/00000000000000065536").number, 65536U);
  EXPECT_EQ(part_of("policies/" + std::string(64, 'a') + ".yaml").part, Part::Policy);
  for (const std::string bad : {"", "/", "entries/", "entries/0000000000000006553", "entries/000000000000000655360", "entries/0000000000000006553x", "entries/+0000000000000006553", "Checkpoint", "readme.txt", "timestamps/00000000000000000001",
                                "entries/99999999999999999999", "../checkpoint", "context/00000000000000000001"})
    EXPECT_EQ(part_of(bad).part, Part::None) << bad;
  EXPECT_EQ(part_of("policies/" + std::string(64, 'A') + ".yaml").part, Part::None);
}

}  // namespace
}  // namespace sallyport::verify
