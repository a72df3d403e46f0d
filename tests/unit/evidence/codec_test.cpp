#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <zstd.h>

#include <algorithm>

#include "evidence/cbor.h"
#include "evidence/crc32c.h"
#include "evidence/entry.h"
#include "evidence/merkle.h"
#include "evidence/note.h"
#include "evidence/session.h"

namespace sallyport::evidence {
namespace {

TEST(Crc32c, IsCastagnolisAndGoesOn) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283U);
  EXPECT_EQ(crc32c(as_bytes("56789"), crc32c(as_bytes("1234"))), 0xE3069283U);
}

TEST(Merkle, GivesTheRootsOfTheCertificateTransparencyTests) {
  const std::array leaves = {"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
  const std::array roots = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  CompactRange tree;
  EXPECT_EQ(hex(tree.root()), roots[0]);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    tree.append(leaf_hash(*from_hex(leaves[i])));
    EXPECT_EQ(hex(tree.root()), roots[i + 1]);
    const CompactRange copy(tree.size(), tree.hashes());
    EXPECT_EQ(copy.root(), tree.root());
  }
}

Digest root_of(std::span<const Digest> leaves) {
  CompactRange tree;
  for (const auto& leaf : leaves) tree.append(leaf);
  return tree.root();
}

NodeSource leaves_only(const std::vector<Digest>& leaves) {
  return [&leaves](unsigned level, std::uint64_t number) -> Result<std::optional<Digest>> {
    if (level != 0) return std::nullopt;
    return leaves.at(number);
  };
}

TEST(Merkle, ARangeGrowsATreeToTheSameRootFromEveryPlaceAndProvesThatItOnlyGrew) {
  std::vector<Digest> leaves;
  for (std::uint64_t n = 0; n < 70; ++n) leaves.push_back(leaf_hash(as_bytes(std::to_string(n))));
  for (std::uint64_t n = 0; n <= 70; ++n) {
    const auto root = root_of(std::span(leaves).first(n));
    for (std::uint64_t m = 0; m <= n; ++m) {
      CompactRange tree, grown(m);
      for (std::uint64_t i = 0; i < m; ++i) tree.append(leaves[i]);
      const auto old = tree;
      for (std::uint64_t i = m; i < n; ++i) grown.append(leaves[i]);
      const auto copy = CompactRange::of(m, n, grown.hashes());
      ASSERT_TRUE(copy);
      std::vector<Digest> more(grown.hashes().begin(), grown.hashes().end());
      more.push_back(root);
      ASSERT_FALSE(CompactRange::of(m, n, more));
      if (n > m) ASSERT_FALSE(CompactRange::of(m, n, std::span(more).first(more.size() - 2)));
      tree.append(*copy);
      ASSERT_EQ(tree.root(), root) << m << " to " << n;
      ASSERT_EQ(tree.size(), n);
      if (m == 0) continue;
      const auto proof = consistency_proof(m, n, source_of({&old, &grown}));
      ASSERT_TRUE(proof) << m << " to " << n;
      ASSERT_TRUE(verify_consistency(m, n, old.root(), root, *proof)) << m << " to " << n;
    }
  }
}

TEST(Merkle, TheHashesOfTilesAreMadeOnceHoweverTheTreeGrows) {
  for (const std::uint64_t cut : {1, 255, 256, 257, 300, 511, 700}) {
    TileHashes whole, parts;
    CompactRange tree, first, second(cut);
    for (std::uint64_t i = 0; i < 1000; ++i) {
      const auto leaf = leaf_hash(as_bytes(std::to_string(i)));
      tree.append(leaf, &whole);
      if (i < cut) first.append(leaf, &parts);
      else second.append(leaf, &parts);
    }
    first.append(second, &parts);
    std::ranges::sort(parts, {}, &TileHash::number);
    ASSERT_EQ(whole.size(), 3U);
    ASSERT_EQ(parts.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(parts[i].number, i);
      EXPECT_EQ(parts[i].level, 8U);
      EXPECT_EQ(parts[i].hash, whole[i].hash);
    }
  }
}

TEST(Merkle, EveryProofOfSmallTreesVerifiesAndNoOtherDoes) {
  std::vector<Digest> leaves;
  for (std::uint8_t n = 1; n <= 33; ++n) {
    leaves.push_back(leaf_hash(ByteView(&n, 1)));
    const auto root = root_of(leaves);
    for (std::uint64_t i = 0; i < n; ++i) {
      auto proof = inclusion_proof(i, n, leaves_only(leaves)).value();
      EXPECT_TRUE(verify_inclusion(leaves[i], i, n, proof, root));
      if (n > 1) EXPECT_FALSE(verify_inclusion(leaves[i], (i + 1) % n, n, proof, root));
      proof.push_back(root);
      EXPECT_FALSE(verify_inclusion(leaves[i], i, n, proof, root));
    }
    for (std::uint64_t m = 1; m <= n; ++m) {
      const auto old = root_of(std::span(leaves).first(m));
      auto proof = consistency_proof(m, n, leaves_only(leaves)).value();
      EXPECT_TRUE(verify_consistency(m, n, old, root, proof)) << m << " " << int{n};
      if (m < n) EXPECT_FALSE(verify_consistency(m, n, root, root, proof));
    }
  }
}

TEST(Cbor, TakesTheDeterministicVectorsOfRfc8949AndRefusesOtherForms) {
  for (const char* good : {"00", "01", "0a", "17", "1818", "1864", "1903e8", "1a000f4240", "1b000000e8d4a51000", "1bffffffffffffffff",
                           "40", "4401020304", "60", "6161", "6449455446", "62225c", "62c3bc", "63e6b0b4", "64f0908591", "80",
                           "83010203", "8301820203820405", "a0", "a201020304", "a26161016162820203", "826161a161626163"}) {
    const auto bytes = *from_hex(good);
    cbor::Reader in(bytes);
    EXPECT_TRUE(in.skip()) << good;
    EXPECT_TRUE(in.at_end()) << good;
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      cbor::Reader cut(ByteView(bytes).first(n));
      EXPECT_FALSE(cut.skip()) << good;
    }
  }
  for (const char* bad : {"1800", "1817", "1900ff", "1a0000ffff", "1b00000000ffffffff", "5f42010243030405ff", "9fff", "bfff", "20", "c074",
                          "f4", "f6", "f90000", "fb3ff199999999999a", "a203040102", "a201020102", "61ff", "62c080", "63eda080", "1c"}) {
    const auto bytes = *from_hex(bad);
    cbor::Reader in(bytes);
    EXPECT_FALSE(in.skip()) << bad;
  }
  for (const auto& [n, text] : std::map<std::uint64_t, std::string>{{23, "17"}, {24, "1818"}, {255, "18ff"}, {256, "190100"}, {65536, "1a00010000"}, {1ULL << 32, "1b0000000100000000"}}) {
    Bytes out;
    cbor::put_uint(out, n);
    EXPECT_EQ(hex(out), text);
  }
}

TEST(Entry, TheExampleOfItsPageIsReadAndHashesAsItSays) {
  const auto leaf = *from_hex("01a50102021b17979cfe362a0000031b000000012a05f2000450000102030405060708090a0b0c0d0e0f0704");
  const auto facts = read_entry(leaf);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->index, 2U);
  EXPECT_EQ(facts->kind, Kind::Heartbeat);
  EXPECT_EQ(hex(leaf_hash(leaf)), "2e0b0276038bb900ec99eaacbc684161cb742233220bc4472c4a234788609619");
  for (std::size_t n = 0; n < leaf.size(); ++n) EXPECT_FALSE(read_entry(ByteView(leaf).first(n)));
}

TEST(Entry, BodiesAreWrittenInOrderWithMapKeysSortedAndTextMadeUtf8) {
  Entry entry(Kind::Command);
  entry.text(Field::RequestId, "r").text(Field::Subject, "").uint(Field::Decision, 1).texts(Field::Rules, {"a", "b"});
  entry.map(Field::Facts, {{"bb", "1"}, {"c", "2"}}).text(Field::Error, "\xFFx");
  EXPECT_EQ(hex(entry.body()), "086172" "1201" "138261616162" "17a2616361326262626131" "181b" "64efbfbd78");
  EXPECT_EQ(entry.body_fields(), 5U);
  EXPECT_TRUE(entry.allowed());
  EXPECT_THROW(entry.text(Field::Subject, "late"), std::logic_error);
}

constexpr auto kSigner = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
constexpr auto kVerifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

TEST(Note, SignsAndOpensTheGoPackagesExample) {
  const std::string text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
  const auto signer = parse_signer_key(kSigner);
  const auto verifier = parse_verifier_key(kVerifier);
  ASSERT_TRUE(signer && verifier);
  EXPECT_EQ(verifier_key_of(*signer), kVerifier);
  EXPECT_EQ(signer_key_text(*signer), kSigner);
  auto note = sign_note(*signer, text);
  EXPECT_EQ(note, text + "\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n");
  EXPECT_EQ(*open_note(note, *verifier), text);
  for (std::size_t i = 0; i < note.size(); ++i) {
    auto changed = note;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(open_note(changed, *verifier)) << i;
    EXPECT_FALSE(open_note(note.substr(0, i), *verifier)) << i;
  }
}

TEST(Note, TheExampleOfTheCheckpointPageIsWhatItsSeedSigns) {
  Digest seed, root;
  for (std::uint8_t i = 0; i < 32; ++i) seed[i] = i;
  std::ranges::copy(*from_hex("2e0b0276038bb900ec99eaacbc684161cb742233220bc4472c4a234788609619"), root.begin());
  const auto note = sign_note(signer_from_seed("example.org/evidence", seed), checkpoint_text({"example.org/evidence", 1, root}));
  EXPECT_TRUE(note.ends_with("ET/cUTkfLpl6YDy6OQ2yWmYEo9Tx2+UI4LUBYuuxCmvP0//yE/8vSfoLxJEYkjCl5cfAVbMM+Dm6LlUQdYIQ0ubM9g4=\n"));
  EXPECT_FALSE(parse_checkpoint("example.org/evidence\n01\nLgsCdgOLuQDsmeqsvGhBYct0IjMiC8RHLEojR4hglhk=\n"));
}

TEST(Recording, WhatWasRecordedDecryptsToItsPieces) {
  Digest key{};
  SessionRecord session(Id16{}, key);
  const std::string plain = std::string(100000, 'x') + "end";
  std::vector<Chunk> chunks;
  Recording first(session);
  first.add("other", chunks);
  chunks.clear();
  Recording recording(session);
  for (std::size_t i = 0; i < plain.size(); i += 7777) recording.add(std::string_view(plain).substr(i, 7777), chunks);
  const auto ref = recording.finish(chunks);
  ASSERT_EQ(chunks.size(), 2U);
  EXPECT_EQ(ref.first_chunk, std::uint64_t{1} << 24);
  EXPECT_EQ(ref.plain_bytes, plain.size());
  std::string back;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const auto& c = chunks[i];
    std::array<std::uint8_t, 12> nonce{};
    std::array<std::uint8_t, 24> aad{};
    for (std::size_t b = 0; b < 8; ++b) nonce[4 + b] = aad[16 + b] = static_cast<std::uint8_t>(c.number >> 8 * (7 - b));
    Bytes text(c.ciphertext.size() - 16);
    Bytes tag(c.ciphertext.end() - 16, c.ciphertext.end());
    auto* x = EVP_CIPHER_CTX_new();
    int n = 0;
    EVP_DecryptInit_ex(x, EVP_aes_256_gcm(), nullptr, key.data(), nonce.data());
    EVP_DecryptUpdate(x, nullptr, &n, aad.data(), 24);
    EVP_DecryptUpdate(x, text.data(), &n, c.ciphertext.data(), static_cast<int>(text.size()));
    EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_GCM_SET_TAG, 16, tag.data());
    EXPECT_EQ(EVP_DecryptFinal_ex(x, text.data(), &n), 1);
    EVP_CIPHER_CTX_free(x);
    const auto skip = i == 0 ? 16U : 0U;
    std::string piece(65536, 0);
    const auto size = ZSTD_decompress(piece.data(), piece.size(), text.data() + skip, text.size() - skip);
    ASSERT_FALSE(ZSTD_isError(size));
    back += piece.substr(0, size);
  }
  EXPECT_EQ(back, plain);
}

}  // namespace
}  // namespace sallyport::evidence
