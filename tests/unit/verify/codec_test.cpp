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
}

TEST(Heads, ATornNoteIsEachBeginningOfANoteAndNothingElse) {
  std::string why;
  const auto key = parse_key(kPage, why);
  for (std::size_t i = 0; i < kNote.size(); ++i) EXPECT_TRUE(is_torn_note(kNote.substr(0, i), *key)) << i;
  EXPECT_TRUE(is_torn_note(kNote, *key)) << "the empty line is missing";
  const std::string two = std::string(kNote) + "\xE2\x80\x94 some.witness abcdefgh\n";
  for (std::size_t i = kNote.size(); i <= two.size(); ++i) EXPECT_TRUE(is_torn_note(two.substr(0, i), *key)) << i;
  EXPECT_FALSE(is_torn_note(two + "\n", *key)) << "it is whole";
  EXPECT_FALSE(is_torn_note(std::string(kNote) + "x", *key));
  EXPECT_TRUE(is_torn_note(std::string(300, '\0'), *key));
  for (const char* other : {"x", "example.org/evidencE", "example.org/evidence\nx", "example.org/evidence\n12\n!", "example.org/evidence\n1\nLgsCdgOLuQDsmeqsvGhBYct0IjMiC8RHLEojR4hglhk=\nmore"})
    EXPECT_FALSE(is_torn_note(other, *key)) << other;
}

}  // namespace
}  // namespace sallyport::verify
