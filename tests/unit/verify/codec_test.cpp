// The verifier's own codecs against published vectors. They share no code with the gateway's, so they are tested again.
#include <gtest/gtest.h>

#include <bit>

#include "verify/cbor.h"
#include "verify/entry.h"
#include "verify/heads.h"
#include "verify/note.h"
#include "verify/segment.h"
#include "verify/tree.h"

namespace sallyport::verify {
namespace {

Blob unhex(std::string_view text) {
  Blob out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) out.push_back(static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}

TEST(Bytes, ChecksumBase64AndHexAreThePublishedOnes) {
  EXPECT_EQ(crc32c(0, view("123456789")), 0xE3069283U);
  EXPECT_EQ(crc32c(crc32c(0, view("1234")), view("56789")), 0xE3069283U);
  EXPECT_EQ(crc32c(0, Blob(32, 0)), 0x8A9136AAU);  // RFC 3720 B.4
  EXPECT_EQ(crc32c(0, Blob(32, 0xFF)), 0x62A8AB43U);
  for (const auto& [plain, text] : std::vector<std::pair<std::string, std::string>>{{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(base64(view(plain)), text);
    EXPECT_EQ(unbase64(text), Blob(plain.begin(), plain.end()));
  }
  for (const char* bad : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9v\n", "Zm-_"}) EXPECT_FALSE(unbase64(bad)) << bad;
  EXPECT_EQ(hex(Blob{0, 0x7F, 0xFF}), "007fff");
}

TEST(Bytes, TheTablesGiveTheChecksumOfTheInstruction) {
  EXPECT_EQ(crc32c_by_tables(0, view("123456789")), 0xE3069283U);
  EXPECT_EQ(crc32c_by_tables(0, Blob(32, 0xFF)), 0x62A8AB43U);
  Blob bytes;
  std::uint32_t state = 1;
  for (int i = 0; i < 2000; ++i) {
    EXPECT_EQ(crc32c_by_tables(state, bytes), crc32c(state, bytes)) << i;
    bytes.push_back(static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24));
  }
}

TEST(Tree, GivesTheRootsOfTheCertificateTransparencyTests) {
  const std::array leaves = {"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
  const std::array roots = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  Tree tree;
  EXPECT_EQ(hex(tree.root()), roots[0]);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    tree.add(leaf_hash(unhex(leaves[i])));
    EXPECT_EQ(hex(tree.root()), roots[i + 1]);
    EXPECT_EQ(tree.range().size(), static_cast<std::size_t>(std::popcount(i + 1)));
  }
}

TEST(Cbor, TakesTheDeterministicVectorsOfRfc8949) {
  for (const auto& [text, value] : std::vector<std::pair<std::string, std::uint64_t>>{
           {"00", 0}, {"01", 1}, {"0a", 10}, {"17", 23}, {"1818", 24}, {"1819", 25}, {"1864", 100}, {"1903e8", 1000}, {"1a000f4240", 1000000},
           {"1b000000e8d4a51000", 1000000000000}, {"1bffffffffffffffff", UINT64_MAX}}) {
    const auto bytes = unhex(text);
    Cbor in(bytes);
    EXPECT_EQ(in.uint(), value);
    EXPECT_TRUE(in.ok() && in.at_end()) << text;
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      Cbor cut(View(bytes).first(n));
      cut.uint();
      EXPECT_FALSE(cut.ok()) << text;
    }
  }
  for (const auto& [text, value] : std::vector<std::pair<std::string, std::string>>{
           {"60", ""}, {"6161", "a"}, {"6449455446", "IETF"}, {"62225c", "\"\\"}, {"62c3bc", "ü"}, {"63e6b0b4", "水"}, {"64f0908591", "\xF0\x90\x85\x91"}}) {
    const auto bytes = unhex(text);
    Cbor in(bytes);
    EXPECT_EQ(in.text(), value);
    EXPECT_TRUE(in.ok() && in.at_end()) << text;
  }
  const auto bytes = unhex("4401020304");
  EXPECT_EQ(hex(Cbor(bytes).bytes()), "01020304");
  const auto nested = unhex("8301820203820405");
  Cbor in(nested);
  EXPECT_EQ(in.array(), 3U);
  EXPECT_EQ(in.uint(), 1U);
  EXPECT_EQ(in.array(), 2U);
  EXPECT_EQ(in.uint() * 10 + in.uint(), 23U);
  EXPECT_EQ(in.array(), 2U);
  EXPECT_EQ(in.uint() * 10 + in.uint(), 45U);
  EXPECT_TRUE(in.ok() && in.at_end());
}

TEST(Cbor, RefusesLongerFormsOtherTypesAndWhatTheBytesCannotHold) {
  for (const char* bad : {"1800", "1817", "1900ff", "1a0000ffff", "1b00000000ffffffff", "1c", "1f", "20", "40", "f4", "f6", "c074", "f97e00", ""}) {
    const auto bytes = unhex(bad);
    Cbor in(bytes);
    in.uint();
    EXPECT_FALSE(in.ok()) << bad;
    EXPECT_EQ(in.uint(), 0U) << "an error stays";
  }
  for (const char* bad : {"61ff", "62c080", "63eda080", "64f4908080", "62c3", "5f42010243030405ff", "7f657374726561646d696e67ff", "780161"}) {
    const auto bytes = unhex(bad);
    Cbor in(bytes);
    in.text();
    EXPECT_FALSE(in.ok()) << bad;
  }
  for (const char* bad : {"9f", "9bffffffffffffffff", "82", "8201", "bf"}) {
    const auto bytes = unhex(bad);
    Cbor in(bytes);
    const auto n = in.array();
    for (std::uint64_t i = 0; i < n; ++i) in.uint();
    EXPECT_FALSE(in.ok()) << bad;
  }
}

TEST(Entry, TheExampleOfItsPageIsReadAndHashesAsItSays) {
  auto leaf = unhex("01a50102021b17979cfe362a0000031b000000012a05f2000450000102030405060708090a0b0c0d0e0f0704");
  Entry entry;
  ASSERT_EQ(read_entry(leaf, entry), "");
  EXPECT_EQ(describe(entry), "entry 2 (heartbeat, 2023-11-14T22:13:20Z)");
  EXPECT_EQ(hex(leaf_hash(leaf)), "2e0b0276038bb900ec99eaacbc684161cb742233220bc4472c4a234788609619");
  for (std::size_t n = 0; n < leaf.size(); ++n) EXPECT_NE(read_entry(View(leaf).first(n), entry), "");
  leaf.push_back(0);
  EXPECT_NE(read_entry(leaf, entry), "") << "nothing may follow the map";
}

constexpr auto kVerifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
constexpr auto kPage = "example.org/evidence+113fdc51+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
constexpr std::string_view kNote =
    "example.org/evidence\n1\nLgsCdgOLuQDsmeqsvGhBYct0IjMiC8RHLEojR4hglhk=\n\n"
    "— example.org/evidence ET/cUTkfLpl6YDy6OQ2yWmYEo9Tx2+UI4LUBYuuxCmvP0//yE/8vSfoLxJEYkjCl5cfAVbMM+Dm6LlUQdYIQ0ubM9g4=\n";

TEST(Note, KeysAreReadAndTheirHashMustBelongToThem) {
  std::string why;
  ASSERT_TRUE(parse_key(kVerifier, why));
  EXPECT_EQ(parse_key(std::string(kVerifier) + "\n", why)->name, "PeterNeumann");
  for (const char* bad : {"", "a", "PeterNeumann+c74f20a3", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "Other+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                          "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
                          "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"}) {
    EXPECT_FALSE(parse_key(bad, why)) << bad;
    EXPECT_NE(why, "");
  }
}

TEST(Note, TheExampleOfTheCheckpointPageOpensAndNoChangeOfAByteDoes) {
  std::string why;
  const auto key = parse_key(kPage, why);
  ASSERT_TRUE(key) << why;
  const auto head = open_note(kNote, *key, why);
  ASSERT_TRUE(head) << why;
  EXPECT_EQ(head->size, 1U);
  EXPECT_EQ(hex(head->root), "2e0b0276038bb900ec99eaacbc684161cb742233220bc4472c4a234788609619");
  for (std::size_t i = 0; i < kNote.size(); ++i) {
    for (const char flip : {1, 2, 4, 8, 16, 32, 64, -128}) {
      auto changed = std::string(kNote);
      changed[i] = static_cast<char>(changed[i] ^ flip);
      EXPECT_FALSE(open_note(changed, *key, why)) << i;
    }
    EXPECT_FALSE(open_note(kNote.substr(0, i), *key, why)) << i;
  }
}

TEST(Note, SignaturesOfOthersAreIgnoredAndAWrongOneOfOursIsNot) {
  std::string why;
  const auto key = parse_key(kPage, why);
  const std::string other = "— witness.example x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
  EXPECT_TRUE(open_note(std::string(kNote) + other, *key, why)) << why;
  const auto body = kNote.substr(0, kNote.find("\n\n") + 2);
  EXPECT_FALSE(open_note(std::string(body) + other, *key, why));
  EXPECT_TRUE(why.contains("not signed by the key"));
  auto twice = std::string(kNote) + std::string(kNote.substr(body.size()));
  EXPECT_TRUE(open_note(twice, *key, why));
  twice[twice.size() - 10] = twice[twice.size() - 10] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(open_note(twice, *key, why)) << "one right signature does not heal a wrong one of the same key";
  EXPECT_FALSE(open_note(std::string(kNote) + "\n", *key, why));
  // Lines of others are not looked into, but lines of signatures they must be.
  const std::string raw = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
  for (const char* name : {"a+b", "a\x7F" "b", "", "a b"}) EXPECT_FALSE(open_note(std::string(kNote) + "— " + name + " " + raw, *key, why)) << name;
  EXPECT_FALSE(open_note(std::string(kNote) + "— " + raw, *key, why));
  EXPECT_FALSE(open_note(std::string(kNote) + "- a " + raw, *key, why));
  EXPECT_FALSE(open_note(std::string(kNote) + "— a AAAA\n", *key, why)) << "shorter than a key's id and one byte";
  EXPECT_TRUE(open_note(std::string(kNote) + "— a AAAAAAA=\n", *key, why)) << why;
}

TEST(Heads, ATornNoteIsEachBeginningOfANoteAndNothingElse) {
  std::string why;
  const auto key = parse_key(kPage, why);
  for (std::size_t i = 0; i < kNote.size(); ++i) EXPECT_TRUE(is_torn_note(kNote.substr(0, i), *key)) << i;
  EXPECT_TRUE(is_torn_note(kNote, *key)) << "the empty line is missing";
  EXPECT_FALSE(is_torn_note(std::string(kNote) + "\n", *key)) << "it is whole";
  const std::string two = std::string(kNote) + "\xE2\x80\x94 some.witness abcdefgh\n";
  for (std::size_t i = kNote.size(); i <= two.size(); ++i) EXPECT_TRUE(is_torn_note(two.substr(0, i), *key)) << i;
  EXPECT_FALSE(is_torn_note(two + "\n", *key)) << "it is whole";
  EXPECT_TRUE(is_torn_note("example.org/evidence\n18446744073709551615\nLgs", *key));
  EXPECT_FALSE(is_torn_note("example.org/evidence\n184467440737095516150\nLgs", *key));
  EXPECT_FALSE(is_torn_note(std::string(kNote) + "x", *key));
  EXPECT_TRUE(is_torn_note(std::string(300, '\0'), *key));
  for (const char* other : {"x", "example.org/evidencE", "example.org/evidence\nx", "example.org/evidence\n12\n!", "example.org/evidence\n1\nLgsCdgOLuQDsmeqsvGhBYct0IjMiC8RHLEojR4hglhk=\nmore"})
    EXPECT_FALSE(is_torn_note(other, *key)) << other;
}

TEST(Heads, ATornNoteMayLackSectorsOfTheFileAndNothingLess) {
  std::string why;
  const auto key = parse_key(kPage, why);
  const auto whole = std::string(kNote) + "\n";
  // The sector's end lies behind each of its bytes in turn; one of the two sectors is not there.
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    auto first = whole, second = whole;
    std::fill_n(first.begin(), cut, '\0');
    std::fill(second.begin() + static_cast<std::ptrdiff_t>(cut), second.end(), '\0');
    const auto offset = 3 * 512 - cut;
    EXPECT_TRUE(is_torn_note(first, *key, offset)) << cut;
    EXPECT_TRUE(is_torn_note(second, *key, offset)) << cut;
    if (cut > 1) EXPECT_FALSE(is_torn_note(first, *key, offset - 1)) << "zeros that end before their sector does: " << cut;
    if (cut > 1) EXPECT_FALSE(is_torn_note(second, *key, offset + 1)) << cut;
    auto wrong = first;
    wrong.back() = '!';
    EXPECT_FALSE(is_torn_note(wrong, *key, offset)) << cut;
    if (cut < 100) EXPECT_FALSE(is_torn_note(first + "\n", *key, offset)) << cut;
  }
}

/// A batch of one heartbeat, 16 zeros for a salt, then something else.
Blob frame_of(const Blob& leaf) {
  Blob record = {1};
  for (int i = 0; i < 4; ++i) record.push_back(static_cast<std::uint8_t>(leaf.size() >> (8 * i)));
  record.insert(record.end(), leaf.begin(), leaf.end());
  Blob frame(kFrame);
  frame[0] = 1, frame[4] = static_cast<std::uint8_t>(record.size()), frame[8] = 2, frame[16] = 1, frame[20] = 1;
  const auto crc = crc32c(crc32c(0, View(frame).first(40)), record);
  for (std::size_t i = 0; i < 4; ++i) frame[40 + i] = static_cast<std::uint8_t>(crc >> (8 * i));
  frame.insert(frame.end(), record.begin(), record.end());
  frame.resize((frame.size() + 7) / 8 * 8);
  return frame;
}

TEST(Segment, AFrameIsWholeOrNoneWhateverLiesBehindTheEnd) {
  const auto frame = frame_of(unhex("01a50102021b17979cfe362a0000031b000000012a05f2000450000102030405060708090a0b0c0d0e0f0704"));
  Blob file(16);
  file.insert(file.end(), frame.begin(), frame.end());
  file.resize(file.size() + 200, 0xEE);
  const auto whole = read_frame(file, 16, 16 + frame.size(), Id{});
  ASSERT_EQ(whole.what, Frame::Batch) << whole.why;
  EXPECT_EQ(whole.length, frame.size());
  EXPECT_EQ(whole.first, 2U);
  ASSERT_EQ(whole.records.size(), 1U);
  EXPECT_EQ(whole.records[0].data.size(), 44U);
  EXPECT_EQ(read_frame(file, 16, file.size(), Id{}).what, Frame::Batch);
  EXPECT_EQ(read_frame(file, 16, 16, Id{}).what, Frame::End);
  for (std::size_t end = 17; end < 16 + frame.size(); ++end) {
    const auto cut = read_frame(file, 16, end, Id{});
    EXPECT_EQ(cut.what, Frame::Bad) << end;
    EXPECT_EQ(cut.why, end < 16 + kFrame ? "a frame's header is cut off" : "a frame is cut off") << end;
  }
  // Zeros are no frame, and a cut off rest of zeros is none either.
  for (std::size_t end = 0; end <= 60; ++end) EXPECT_EQ(read_frame(Blob(60), 0, end, Id{}).what, Frame::End) << end;
  EXPECT_EQ(read_frame(file, 16, file.size(), Id{1}).why, "a frame bears another segment's salt");
}

}  // namespace
}  // namespace sallyport::verify
