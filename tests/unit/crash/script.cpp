#include "script.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <thread>

#include "trace.h"
#include "unit/evidence/log_case.h"

namespace sallyport::crash {
namespace {

using namespace evidence;

/// Tells the trace what was signed: from then on somebody may hold it.
struct Witnessed : Signer {
  explicit Witnessed(std::unique_ptr<Signer> signer) : inner(std::move(signer)) {}
  Result<std::string> sign(const CompactRange& grown) override { return told(inner->sign(grown)); }
  Result<std::string> begin_epoch(ByteView announcement) override { return told(inner->begin_epoch(announcement)); }
  Result<EpochKey> next_epoch() override { return inner->next_epoch(); }
  Result<CompactRange> last() override { return inner->last(); }
  Result<std::string> told(Result<std::string> note) {
    const auto tree = inner->last().value();
    if (note) trace::note({.what = Step::Signed, .at = tree.size(), .root = tree.root()});
    return note;
  }
  std::string verifier_key() const override { return inner->verifier_key(); }
  std::unique_ptr<Signer> inner;
};

struct LyingDisk : FailingDisk {
  int sync(int) override { return 0; }
};

class Load {
 public:
  Load(Log& log, FailingDisk& disk, std::mt19937_64& random) : log_(log), disk_(disk), random_(random), port_(log, context_), guard_(context_.get_executor()) {}

  std::uint64_t run() {
    const auto rounds = 6 + random_() % 14;
    // Every third run has one refusal: the log tries again after half a second only.
    const auto fails_at = random_() % 3 == 0 ? random_() % rounds : rounds;
    for (std::uint64_t i = 0; i < rounds; ++i) {
      if (i == fails_at) {
        disk_.short_write = random_() % 2 == 0;
        disk_.left = static_cast<int>(random_() % 4);
      }
      const auto batch = random_() % 3 == 0 ? 1 + random_() % 12 : 1;
      for (std::uint64_t k = 0; k < batch; ++k) one();
      wait();
      if (i == fails_at && refused_ == 0) continue;  // not all of the steps to the refusal were taken yet
      disk_.left = -1;
      while (!log_.writable()) std::this_thread::yield();
    }
    disk_.left = -1;
    return refused_;
  }

 private:
  struct Open {
    SessionPtr session;
    std::vector<std::uint64_t> commands;
  };

  std::string text() {
    // Mostly small; some fill a segment soon. Random bytes, so that they stay that long.
    const auto size = random_() % 12 == 0 ? 6000 + random_() % 20000 : random_() % 900;
    std::string out(size, ' ');
    for (auto& c : out) c = static_cast<char>(random_());
    return out;
  }
  void append(Entry entry, Open* of = nullptr) {
    ++waiting_;
    const auto session = of == nullptr ? nullptr : of->session;
    const bool command = entry.kind() == Kind::Command && entry.allowed();
    port_.append(std::move(entry), [this, session, command](Result<std::uint64_t> index) {
      --waiting_;
      if (!index) {
        ++refused_;
        return;
      }
      trace::note({.what = Step::Told, .at = *index});
      if (!command) return;
      for (auto& one : sessions_)
        if (one.session == session) one.commands.push_back(*index);
    });
  }
  void one() {
    if (sessions_.empty() || (sessions_.size() < 4 && random_() % 6 == 0)) {
      sessions_.push_back({log_.new_session(), {}});
      return append(opened(sessions_.back().session), &sessions_.back());
    }
    const auto at = random_() % sessions_.size();
    auto& of = sessions_[at];
    switch (random_() % 12) {
      case 0: return append(command(of.session, Decision::Blocked), &of);
      case 1: {
        std::vector<Chunk> chunks;
        Recording stream(*of.session);
        stream.add(text() + std::string(70'000, 'x'), chunks);
        ++waiting_;
        boost::asio::co_spawn(context_, [](Load& load, SessionPtr s, std::vector<Chunk> c) -> boost::asio::awaitable<void> {
          if (!co_await load.port_.append_chunks(std::move(s), std::move(c))) ++load.refused_;
          --load.waiting_;
        }(*this, of.session, std::move(chunks)), boost::asio::detached);
        return;
      }
      case 2:
        if (random_() % 2 == 0) return append(Entry(Kind::ConfigApplied));
        wait();  // answers of the session are still due
        append(closed(sessions_[at].session));
        sessions_.erase(sessions_.begin() + static_cast<std::ptrdiff_t>(at));
        return wait();
      case 3: case 4: case 5:
        if (!of.commands.empty()) {
          auto entry = outcome(of.session, of.commands.back());
          of.commands.pop_back();
          return append(std::move(entry), &of);
        }
        [[fallthrough]];
      default: {
        auto entry = Entry(Kind::Command, of.session);
        const auto ref = Recording::whole(*of.session, text(), entry);
        entry.uint(Field::Decision, 1).text(Field::Action, "tools/call").text(Field::Object, "t" + std::to_string(random_() % 1000)).payload(Field::Payload, ref);
        append(std::move(entry), &of);
      }
    }
  }
  void wait() {
    while (waiting_ > 0) context_.run_one();
  }

  Log& log_;
  FailingDisk& disk_;
  std::mt19937_64& random_;
  boost::asio::io_context context_;
  Port port_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::vector<Open> sessions_;
  std::uint64_t waiting_ = 0, refused_ = 0;
};

}  // namespace

Keys::Keys() { std::tie(signer, verifier) = generate_note_key(kOrigin); }

std::uint64_t play(const std::string& folder, const Keys& keys, std::mt19937_64& random, Truth truth) {
  const std::shared_ptr<FailingDisk> disk = truth == Truth::Lying ? std::make_shared<LyingDisk>() : std::make_shared<FailingDisk>();
  auto signer = ed25519_signer(kOrigin, keys.signer, folder + "/signer-head");
  EXPECT_TRUE(signer) << signer.error().what;
  if (!signer) return 0;
  Options options;
  options.directory = folder;
  options.origin = kOrigin;
  options.segment_bytes = 64U << 10;
  options.checkpoint_ns = 2'000'000;
  options.version = "crash";
  options.veil = 0xFF;  // what has such fields is of version 2, the rest of version 1
  options.files = disk;
  auto log = Log::open(options, std::make_unique<Witnessed>(std::move(*signer)));
  EXPECT_TRUE(log) << log.error().what;
  if (!log) return 0;
  trace::note({.what = Step::Opened});
  const auto refused = Load(**log, *disk, random).run();
  (*log)->stop();
  return refused;
}

}  // namespace sallyport::crash
