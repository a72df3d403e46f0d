// Heads when the signer's answers get lost: what it may have signed is asked for again as it was, and an epoch that may not have begun
// is announced again.
#include <thread>

#include "evidence/signing_queue.h"
#include "log_case.h"

namespace sallyport::evidence {
namespace {

/// Does what it is asked and loses its answers, one or more.
struct Forgetful : Signer {
  explicit Forgetful(std::unique_ptr<Signer> signer) : inner(std::move(signer)) {}
  Result<CompactRange> last() override { return inner->last(); }
  Result<EpochKey> next_epoch() override {
    if (away.exchange(false)) return fail(ErrorKind::Unavailable, "away");
    ++asked;
    return inner->next_epoch();
  }
  Result<std::string> sign(const CompactRange& grown) override { return lose(inner->sign(grown)); }
  Result<std::string> begin_epoch(ByteView announcement) override { return lose(inner->begin_epoch(announcement)); }
  std::string verifier_key() const override { return inner->verifier_key(); }
  Result<std::string> lose(Result<std::string> note) {
    if (!loses.exchange(false)) return note;
    return fail(ErrorKind::Unavailable, "the answer is lost");
  }
  std::unique_ptr<Signer> inner;
  std::atomic<bool> loses{false}, away{false};
  std::atomic<int> asked{0};
};

Added leaf(std::uint64_t index) {
  Added out{CompactRange(index), {}};
  out.range.append(sha256({}));
  return out;
}

TEST(SigningQueue, NothingIsJoinedToWhatTheSignerMayHaveSigned) {
  Node node;
  Forgetful signer(std::move(*ed25519_signer("node.test/evidence", node.keys.first, node.folder.path + "/head")));
  SigningQueue queue{CompactRange()};
  queue.add(leaf(0));
  queue.add(leaf(1));
  EXPECT_EQ(queue.ask().range.size(), 2u) << "what waits is one range";
  signer.loses = true;
  EXPECT_FALSE(sign_added(signer, queue.ask(), false));
  queue.add(leaf(2));
  const auto head = sign_added(signer, queue.ask(), true);
  ASSERT_TRUE(head) << head.error().what;
  queue.answered();
  EXPECT_EQ(queue.signed_size(), 2u);
  EXPECT_TRUE(sign_added(signer, queue.ask(), false));
  queue.answered();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(signer.last()->size(), 3u);
}

Options options_of(const Node& node) {
  Options options;
  options.directory = node.folder.path;
  options.origin = "node.test/evidence";
  options.checkpoint_ns = 1'000'000;
  options.epoch_ns = node.epoch_ns;
  return options;
}

TEST(HeadSigning, ALogThatIsWrittenWhileAnAnswerOfItsNotaryGetsLostIsSignedAllTheSame) {
  Node node;
  auto signer = std::make_unique<Forgetful>(std::move(*ed25519_signer("node.test/evidence", node.keys.first, node.folder.path + "/head")));
  auto& link = *signer;
  auto log = Log::open(options_of(node), std::move(signer));
  ASSERT_TRUE(log);
  link.loses = true;
  ASSERT_TRUE((*log)->append_wait(Entry(Kind::AuthOk)));
  while ((*log)->status().why_not.empty()) std::this_thread::yield();
  // The signer has signed what this follows; the log does not know it.
  ASSERT_TRUE((*log)->append_wait(Entry(Kind::AuthOk)));
  (*log)->stop();
  EXPECT_EQ((*log)->status().signed_size, (*log)->status().size) << (*log)->status().why_not;
}

TEST(HeadSigning, AnEpochThatCouldNotBeAnnouncedIsAnnouncedSoon) {
  Node node;
  node.epoch_ns = 3'600'000'000'000;
  auto signer = std::make_unique<Forgetful>(std::move(*ed25519_signer("node.test/evidence", node.keys.first, node.folder.path + "/head")));
  auto& link = *signer;
  link.away = true;
  const auto log = Log::open(options_of(node), std::move(signer));
  ASSERT_TRUE(log);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (link.asked == 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_EQ(link.asked, 1);
}

}  // namespace
}  // namespace sallyport::evidence
