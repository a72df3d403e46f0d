// Receipts of the gateway's log, read by its verifier: every place of every size is proven, and nothing else passes.
#include "evidence/log_view.h"
#include "evidence/reader.h"
#include "forge.h"
#include "verify/receipt.h"

namespace sallyport::tamper {
namespace {

Digest leaf_of(std::uint64_t i) { return evidence::leaf_hash(as_bytes(std::to_string(i))); }

evidence::NodeSource leaves_only(const std::vector<Digest>& leaves) {
  return [&leaves](unsigned level, std::uint64_t number) -> Result<std::optional<Digest>> {
    if (level != 0) return std::nullopt;
    return leaves.at(number);
  };
}

TEST(Receipt, EveryPlaceInEveryTreeIsProvenAndNoOther) {
  std::vector<Digest> leaves;
  for (std::uint64_t size = 1; size <= 70; ++size) {
    leaves.push_back(leaf_of(size - 1));
    evidence::CompactRange tree;
    for (const auto& leaf : leaves) tree.append(leaf);
    const auto root = tree.root();
    for (std::uint64_t index = 0; index < size; ++index) {
      const auto proof = evidence::inclusion_proof(index, size, leaves_only(leaves)).value();
      ASSERT_TRUE(verify::is_included(leaves[index], index, size, proof, root));
      ASSERT_FALSE(verify::is_included(leaf_of(999), index, size, proof, root));
      for (std::uint64_t other = 0; other < size; ++other)
        if (other != index) ASSERT_FALSE(verify::is_included(leaves[index], other, size, proof, root)) << index << " posed as " << other << " of " << size;
      if (!proof.empty()) ASSERT_FALSE(verify::is_included(leaves[index], index, size, {proof.begin(), proof.end() - 1}, root));
      auto longer = proof;
      longer.push_back(root);
      ASSERT_FALSE(verify::is_included(leaves[index], index, size, longer, root));
    }
  }
}

TEST(Receipt, EveryOlderTreeIsProvenToBeTheNewersBeginningAndNoOther) {
  std::vector<Digest> leaves, roots = {sha256({})};
  for (std::uint64_t size = 1; size <= 70; ++size) {
    leaves.push_back(leaf_of(size - 1));
    evidence::CompactRange tree;
    for (const auto& leaf : leaves) tree.append(leaf);
    roots.push_back(tree.root());
    for (std::uint64_t old = 1; old <= size; ++old) {
      const auto proof = evidence::consistency_proof(old, size, leaves_only(leaves)).value();
      ASSERT_TRUE(verify::is_consistent(old, size, roots[old], roots[size], proof)) << old << " of " << size;
      ASSERT_FALSE(verify::is_consistent(old, size, leaf_of(999), roots[size], proof));
      ASSERT_FALSE(verify::is_consistent(old, size, roots[old], leaf_of(999), proof));
      for (std::uint64_t other = 1; other <= size; ++other)
        if (other != old) ASSERT_FALSE(verify::is_consistent(other, size, roots[other], roots[size], proof)) << old << " posed as " << other << " of " << size;
      for (std::size_t i = 0; i < proof.size(); ++i) {
        auto changed = proof;
        changed[i][0] ^= 1;
        ASSERT_FALSE(verify::is_consistent(old, size, roots[old], roots[size], changed));
      }
      if (!proof.empty()) ASSERT_FALSE(verify::is_consistent(old, size, roots[old], roots[size], {proof.begin(), proof.end() - 1}));
      auto longer = proof;
      longer.push_back(roots[size]);
      ASSERT_FALSE(verify::is_consistent(old, size, roots[old], roots[size], longer));
    }
  }
}

struct Made {
  Kept log;
  std::string text;
  verify::NoteKey key;
  Made() {
    const auto reader = evidence::Reader::open(log.folder.path);
    EXPECT_TRUE(reader);
    evidence::LogView view(log.folder.path);
    EXPECT_TRUE(reader->each([&](const evidence::StoredEntry& entry) {
      if (entry.kind != evidence::Kind::Outcome && entry.index != 0) return true;
      const auto one = view.receipt(entry.index);
      EXPECT_TRUE(one) << (one ? "" : one.error().what);
      text += (text.empty() ? "" : "\n") + *one;
      return true;
    }));
    std::string why;
    key = *verify::parse_key(log.keys.second, why);
  }
  bool holds(const std::string& file) const {
    std::string why, code;
    const auto read = verify::read_receipts(file, why);
    if (!read) return false;
    return std::ranges::all_of(*read, [&](const auto& one) { return verify::check_receipt(one, key, code, why).has_value(); });
  }
};

TEST(Receipt, OfARealLogHoldsAndNoChangedBitDoes) {
  const Made made;
  ASSERT_TRUE(made.holds(made.text)) << made.text;
  std::string why;
  EXPECT_EQ(verify::read_receipts(made.text, why)->size(), 4U);
  for (std::size_t i = 0; i < made.text.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      auto changed = made.text;
      changed[i] = static_cast<char>(changed[i] ^ 1 << bit);
      EXPECT_FALSE(made.holds(changed)) << "byte " << i << " bit " << bit << ": " << changed.substr(i < 20 ? 0 : i - 20, 40);
    }
  for (std::size_t i = 0; i < made.text.size(); ++i) {
    // Only what ends with a whole receipt (and the empty line behind it) is one.
    const auto rest = std::string_view(made.text).substr(i);
    const bool whole = i > 0 && (rest.starts_with("\nc2sp.org/") || (rest.starts_with("c2sp.org/") && made.text[i - 1] == '\n'));
    EXPECT_EQ(made.holds(made.text.substr(0, i)), whole) << "cut at " << i;
  }
}

TEST(Receipt, IsReadInItsOneFormOnly) {
  const Made made;
  const auto first = made.text.substr(0, made.text.find("\n\nc2sp.org/") + 1);
  const auto changed = [&](const std::string& what, const std::string& by) {
    auto text = first;
    const auto at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), by);
  };
  std::string why;
  ASSERT_TRUE(verify::read_receipts(first, why)) << why;
  for (const auto* index : {"", " ", "00", "-0", "+0", "0x0", "0 ", " 0", "a", "18446744073709551616"}) {
    EXPECT_FALSE(verify::read_receipts(changed("\nindex 0\n", "\nindex " + std::string(index) + "\n"), why)) << index;
    EXPECT_EQ(why, "line 3: expected \"index\" with a number") << index;
  }
  EXPECT_TRUE(verify::read_receipts(changed("\nindex 0\n", "\nindex 18446744073709551615\n"), why));
  EXPECT_FALSE(verify::read_receipts(changed("\nextra ", "\nextra!"), why));
  EXPECT_EQ(why, "line 2: expected \"extra\" with the entry");
  EXPECT_FALSE(verify::read_receipts(changed("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"), why));
  // 64 hashes are the longest way there is.
  const auto hash = base64(Digest{});
  std::string way;
  for (int i = 0; i < 64; ++i) way += hash + "\n";
  const std::string head = "c2sp.org/tlog-proof@v1\nextra AA==\nindex 0\n", note = "\na\n\nb\n";
  EXPECT_TRUE(verify::read_receipts(head + way + note, why)) << why;
  EXPECT_FALSE(verify::read_receipts(head + way + hash + "\n" + note, why));
  EXPECT_FALSE(verify::read_receipts(head + base64(Bytes(31)) + "\n" + note, why));
  EXPECT_FALSE(verify::read_receipts("", why));
}

TEST(Receipt, TheExampleOfItsPageIsWhatTheSeedSigns) {
  // entry.md's heartbeat with the index 0, alone in its log; checkpoint.md's seed.
  auto leaf = *from_hex("01a50102021b17979cfe362a0000031b000000012a05f2000450000102030405060708090a0b0c0d0e0f0704");
  leaf[3] = 0;
  Digest seed{};
  for (std::size_t i = 0; i < seed.size(); ++i) seed[i] = static_cast<std::uint8_t>(i);
  const auto signer = evidence::signer_from_seed("example.org/evidence", seed);
  const auto text = "c2sp.org/tlog-proof@v1\nextra " + base64(leaf) + "\nindex 0\n\n" +
                    evidence::sign_note(signer, evidence::checkpoint_text({"example.org/evidence", 1, evidence::leaf_hash(leaf)}));
  std::string why, code;
  std::ifstream page(SALLYPORT_SOURCE_DIR "/docs/formats/receipt.md");
  const std::string words(std::istreambuf_iterator<char>(page), {});
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_TRUE(line.empty() || words.find("    " + line + "\n") != std::string::npos) << line;
  const auto key = verify::parse_key(evidence::verifier_key_of(signer), why);
  ASSERT_TRUE(key) << why;
  EXPECT_TRUE(verify::check_receipt((*verify::read_receipts(text, why))[0], *key, code, why)) << why;
}

TEST(Receipt, OfAnotherKeyIsRefused) {
  const Made made;
  auto key = made.key;
  key.key[0] ^= 1;
  std::string why, code;
  EXPECT_FALSE(verify::check_receipt((*verify::read_receipts(made.text, why))[0], key, code, why));
  EXPECT_EQ(code, "receipt-head");
}

}  // namespace
}  // namespace sallyport::tamper
