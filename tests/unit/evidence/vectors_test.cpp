// The gateway's proofs and notes against vectors that others made (tests/fixtures/merkle, tests/fixtures/note).
#include "unit/vectors.h"

#include <algorithm>

#include "evidence/merkle.h"
#include "evidence/note.h"

namespace sallyport::evidence {
namespace {

Digest hash_of(const std::string& text) {
  const auto raw = from_base64(text);
  EXPECT_TRUE(raw && raw->size() == 32) << text;
  Digest out{};
  if (raw && raw->size() == 32) std::ranges::copy(*raw, out.begin());
  return out;
}

Bytes leaf(std::uint64_t i) {
  constexpr std::array<const char*, 8> kCt = {"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
  if (i < kCt.size()) return *from_hex(kCt[i]);
  const auto text = "leaf " + std::to_string(i);
  return {text.begin(), text.end()};
}

TEST(Vectors, ProofsHoldOrDoNotAsTheReferenceSays) {
  for (const auto& one : vectors::proofs()) {
    std::vector<Digest> proof;
    for (const auto& hash : one.proof) proof.push_back(hash_of(hash));
    const auto first = hash_of(one.first_hash), root = hash_of(one.root);
    const bool holds = one.inclusion ? verify_inclusion(first, one.first, one.size, proof, root) : verify_consistency(one.first, one.size, first, root, proof);
    EXPECT_EQ(holds, one.good) << one.what;
  }
}

TEST(Vectors, ProofsAreMadeAsTheReferenceMakesThem) {
  std::vector<Digest> leaves;
  for (std::uint64_t i = 0; i < 1000; ++i) leaves.push_back(leaf_hash(leaf(i)));
  const NodeSource source = [&](unsigned level, std::uint64_t number) -> Result<std::optional<Digest>> {
    if (level != 0) return std::nullopt;
    return leaves.at(number);
  };
  std::size_t made = 0;
  for (const auto& one : vectors::proofs()) {
    if (!one.what.ends_with("as-it-is")) continue;
    CompactRange tree;
    for (std::uint64_t i = 0; i < one.size; ++i) tree.append(leaves[i]);
    const auto proof = (one.inclusion ? inclusion_proof(one.first, one.size, source) : consistency_proof(one.first, one.size, source)).value();
    EXPECT_TRUE(std::ranges::equal(proof, one.proof, {}, [](const Digest& hash) { return base64(hash); })) << one.what;
    EXPECT_EQ(base64(tree.root()), one.root);
    ++made;
  }
  EXPECT_EQ(made, 115U);
}

TEST(Vectors, KeysAreTakenAndMangledOnesAreNot) {
  for (const auto& line : vectors::lines("note/keys.txt")) {
    const auto verdict = line.substr(0, line.find(' ')), key = line.substr(verdict.size() + 1);
    EXPECT_EQ(parse_verifier_key(key).has_value(), verdict == "verifier") << line;
    EXPECT_EQ(parse_signer_key(key).has_value(), verdict == "signer") << line;
    if (verdict == "bad") continue;
    for (const auto& bad : vectors::mangled(key)) EXPECT_FALSE(verdict == "signer" ? parse_signer_key(bad) : parse_verifier_key(bad)) << bad;
  }
}

TEST(Vectors, NotesAreOpenedAndSignedAsTheReferenceDoes) {
  for (const auto& one : vectors::notes()) {
    const auto key = parse_verifier_key(one.key);
    ASSERT_TRUE(key) << one.what;
    const auto text = open_note(one.note, *key);
    EXPECT_EQ(text.has_value(), one.verdict == "signed") << one.what;
    if (text) EXPECT_EQ(*text, one.note.substr(0, text->size())) << one.what;
    else EXPECT_EQ(text.error().kind, one.verdict == "malformed" ? ErrorKind::Malformed : ErrorKind::Denied) << one.what;
  }
  const auto published = vectors::notes().front();
  for (const auto& key : vectors::lines("note/keys.txt")) {
    if (!key.starts_with("signer ")) continue;
    const auto signer = parse_signer_key(std::string_view(key).substr(7));
    ASSERT_TRUE(signer);
    EXPECT_EQ(sign_note(*signer, published.note.substr(0, published.note.find("\n\n") + 1)), published.note) << "Ed25519 is deterministic";
  }
}

}  // namespace
}  // namespace sallyport::evidence
