// The verifier's proofs and notes against vectors that others made (tests/fixtures/merkle, tests/fixtures/note).
#include "unit/vectors.h"

#include "verify/note.h"
#include "verify/receipt.h"

namespace sallyport::verify {
namespace {

Hash hash_of(const std::string& text) {
  const auto raw = unbase64(text);
  EXPECT_TRUE(raw && raw->size() == 32) << text;
  return raw && raw->size() == 32 ? fixed<32>(*raw, 0) : Hash{};
}

TEST(Vectors, ProofsHoldOrDoNotAsTheReferenceSays) {
  std::size_t good = 0;
  for (const auto& one : vectors::proofs()) {
    std::vector<Hash> proof;
    for (const auto& hash : one.proof) proof.push_back(hash_of(hash));
    const auto first = hash_of(one.first_hash), root = hash_of(one.root);
    const bool holds = one.inclusion ? is_included(first, one.first, one.size, proof, root) : is_consistent(one.first, one.size, first, root, proof);
    EXPECT_EQ(holds, one.good) << one.what;
    good += one.good;
  }
  EXPECT_EQ(good, 134U);
}

TEST(Vectors, AProofOfTheEmptyTreeProvesNothing) {
  EXPECT_FALSE(is_consistent(0, 0, Sha256().done(), Sha256().done(), {}));
  EXPECT_FALSE(is_consistent(0, 1, Sha256().done(), leaf_hash({}), {}));
  EXPECT_FALSE(is_included(leaf_hash({}), 0, 0, {}, Sha256().done()));
  EXPECT_FALSE(is_consistent(UINT64_MAX, UINT64_MAX - 1, {}, {}, {}));
}

TEST(Vectors, KeysAreTakenAndMangledOnesAreNot) {
  std::string why;
  for (const auto& line : vectors::lines("note/keys.txt")) {
    const auto verdict = line.substr(0, line.find(' ')), key = line.substr(verdict.size() + 1);
    if (verdict == "signer") continue;
    EXPECT_EQ(parse_key(key, why).has_value(), verdict == "verifier") << line;
    if (verdict != "verifier") continue;
    for (const auto& bad : vectors::mangled(key)) EXPECT_FALSE(parse_key(bad, why)) << bad;
  }
}

TEST(Vectors, NotesAreOpenedAsTheReferenceOpensThem) {
  for (const auto& one : vectors::notes()) {
    std::string why;
    const auto key = parse_key(one.key, why);
    ASSERT_TRUE(key) << one.what;
    // None of these texts is a checkpoint: that this is the complaint says that the signature counted.
    EXPECT_FALSE(open_note(one.note, *key, why));
    const auto due = one.verdict == "signed"     ? "it is no checkpoint"
                     : one.verdict == "unsigned" ? "it is not signed by the key " + one.key.substr(0, one.key.rfind('+'))
                     : one.verdict == "wrong"    ? "the signature of " + key->name + " is wrong"
                                                 : "it is no signed note";
    EXPECT_EQ(why, due) << one.what;
  }
}

}  // namespace
}  // namespace sallyport::verify
