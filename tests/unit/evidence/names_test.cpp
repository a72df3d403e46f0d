// Whom pseudonyms stand for: names of any length, one pseudonym each, and none that two people share.
#include "evidence/names.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "evidence/session_keys.h"

namespace sallyport::evidence {
namespace {

struct NamesCase : testing::Test {
  NamesCase() {
    char made[] = "/tmp/sallyport-names-XXXXXX";
    directory = ::mkdtemp(made);
    EXPECT_TRUE(SessionKeys::open(directory, "log", ops));
  }
  ~NamesCase() override { std::filesystem::remove_all(directory); }
  Names open() { return std::move(*Names::open(directory, "log", ops)); }
  std::string kept(const std::string& pseudonym) { return resolve(*load_names(directory, "log"), pseudonym); }
  std::string directory;
  FileOps ops;
};

TEST_F(NamesCase, OfTheGreatestLengthAreKeptWholeAndLongerOnesAsTheirHash) {
  auto names = open();
  const std::string most(4096, 'n'), longer(4097, 'n');
  const auto a = names.pseudonym(most), b = names.pseudonym(longer);
  ASSERT_TRUE(names.store());
  EXPECT_EQ(kept(a), most);
  EXPECT_EQ(kept(b), "sha256:" + hex(sha256(as_bytes(longer))));
  EXPECT_EQ(kept(b), kept_name(longer));
}

TEST_F(NamesCase, ThatShareTheirBeginningDoNotShareAPseudonym) {
  auto names = open();
  const std::string beginning(5000, 'n');
  EXPECT_NE(names.pseudonym(beginning + "a"), names.pseudonym(beginning + "b"));
  EXPECT_NE(names.pseudonym(beginning + "a"), names.pseudonym(kept_name(beginning + "a"))) << "somebody who is called like the hash is somebody else";
}

TEST_F(NamesCase, OfAnyLengthHaveTheSamePseudonymAfterARestart) {
  std::vector<std::string> people = {"alice", "", std::string(4096, 'x'), std::string(4097, 'x'), std::string(60'000, 'x'), kept_name(std::string(4097, 'x'))};
  std::vector<std::string> before;
  {
    auto names = open();
    for (const auto& one : people) before.push_back(names.pseudonym(one));
    ASSERT_TRUE(names.store());
  }
  auto names = open();
  for (std::size_t i = 0; i < people.size(); ++i) EXPECT_EQ(names.pseudonym(people[i]), before[i]) << i;
  EXPECT_EQ(std::set(before.begin(), before.end()).size(), people.size());
}

TEST_F(NamesCase, ThatAreLongCanBeErased) {
  const std::string who(9000, 'q');
  auto names = open();
  const auto before = names.pseudonym(who);
  ASSERT_TRUE(names.store());
  EXPECT_TRUE(*erase_pseudonym(directory, before));
  names.forget(kept_name(who));
  EXPECT_EQ(kept(before), before);
  EXPECT_NE(names.pseudonym(who), before);
}

}  // namespace
}  // namespace sallyport::evidence
