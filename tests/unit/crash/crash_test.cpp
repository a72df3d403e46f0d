// The log against power cuts. A log runs a scripted load while every step it does to its folder is recorded; then, for each
// number of steps, the folder is put into states the disk may have been left in, and recovery is judged: every acknowledged
// entry is there, none is invented, no signed size has another root, nothing a crash alone can leave is refused, and the
// verifier calls none of it invalid. Runs continue from crashed states, so recovery itself is cut as well.
// SALLYPORT_CRASH_STATES sets how many states (default: under 40 s), SALLYPORT_CRASH_SEED where to begin.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <unordered_set>

#include "disk.h"
#include "oracle.h"
#include "script.h"

namespace sallyport::crash {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Memory, where there is a file system in it: a state costs microseconds there.
struct Room {
  Room() {
    char shm[] = "/dev/shm/sallyport-crash-XXXXXX", tmp[] = "/tmp/sallyport-crash-XXXXXX";
    const char* made = ::mkdtemp(shm);
    path = made != nullptr ? made : ::mkdtemp(tmp);
  }
  ~Room() { fs::remove_all(path); }
  std::string path;
};

struct Tally {
  std::uint64_t states = 0, tried = 0, runs = 0, steps = 0, opened = 0, refused_writes = 0;
  std::unordered_set<std::uint64_t> seen;
};

/// One run of the log and the states of its crash, up to the first that is not survived.
class OneRun {
 public:
  OneRun(const Room& room, const Keys& keys, Tally& tally, std::mt19937_64& random, Truth truth = Truth::Honest)
      : room_(room), keys_(keys), tally_(tally), random_(random), truth_(truth), stage_(room.path + "/stage") {}

  /// Returns one of the states, for the next run to begin with.
  Inheritance go(const Inheritance& before, std::uint64_t states) {
    record(before);
    Oracle oracle(keys_, steps_, before);
    std::map<std::string, std::uint32_t> numbers;
    Disk disk(before.found, numbers);
    // Every prefix as it is, and with all that was not synced gone.
    for (std::size_t n = 0; n <= steps_.size() && complaint_.empty(); ++n) {
      if (n > 0) disk.step(steps_[n - 1]);
      judge(oracle, n, disk.crash(Disk::Loss::Nothing, random_));
      if (disk.open()) judge(oracle, n, disk.crash(Disk::Loss::AllUnsynced, random_));
    }
    if (complaint_.empty()) explain(disk);
    // Then by chance, in rounds over the whole trace, until there are enough.
    const auto until = tally_.states + states;
    Inheritance heir;
    std::vector<std::uint8_t> dry(steps_.size() + 1);  // how often in a row nothing new came of a place
    for (unsigned round = 0; tally_.states < until && round < kRounds && complaint_.empty(); ++round) {
      Disk again(before.found, numbers);
      const auto keep_at = random_() % (steps_.size() + 1);
      for (std::size_t n = 0; n <= steps_.size() && tally_.states < until && complaint_.empty(); ++n) {
        if (n > 0) again.step(steps_[n - 1]);
        if (dry[n] > kDry || !again.open()) continue;
        for (int i = 0; i < 4; ++i) dry[n] = judge(oracle, n, again.crash(Disk::Loss::Random, random_)) ? 0 : dry[n] + 1;
        if (n >= keep_at && heir.found.files.empty()) heir = oracle.inherit(n, again.crash(Disk::Loss::Random, random_));
      }
    }
    return heir;
  }
  /// "" or what was found wrong.
  const std::string& complaint() const { return complaint_; }

 private:
  static constexpr unsigned kRounds = 400, kDry = 16, kOpenEvery = 1000;

  void record(const Inheritance& before) {
    const auto folder = room_.path + "/log";
    fs::remove_all(folder);
    Stage(folder).show(before.found);
    std::map<std::string, std::uint32_t> numbers;
    const Disk base(before.found, numbers);
    trace::start(folder, numbers);
    tally_.refused_writes += play(folder, keys_, random_, truth_);
    steps_ = trace::stop();
    ++tally_.runs;
    tally_.steps += steps_.size();
  }

  /// The trace is whole: what it adds up to is what lies there.
  void explain(const Disk& disk) {
    const auto there = look(room_.path + "/log");
    const auto told = disk.crash(Disk::Loss::Nothing, random_);
    for (const auto& [name, image] : there.files) {
      if (name == "lock") continue;
      const auto at = told.files.find(name);
      EXPECT_TRUE(at != told.files.end() && at->second->bytes() == image->bytes()) << name << " is not what the recorded steps make of it";
    }
    for (const auto& [name, image] : told.files) EXPECT_TRUE(there.files.contains(name)) << name;
    const auto opened = std::ranges::find(steps_, Step::Opened, &Step::what);
    EXPECT_TRUE(std::any_of(steps_.begin(), opened, [](const Step& s) { return s.what == Step::SyncFolder && s.path == ".."; })) << "the folder's own name";
  }

  /// False when this state was judged before.
  bool judge(const Oracle& oracle, std::size_t n, const Found& found) {
    ++tally_.tried;
    if (!tally_.seen.insert(found.print() ^ Image::mix(oracle.promises(n))).second) return false;
    ++tally_.states;
    stage_.show(found);
    auto why = oracle.judge(n, found, stage_.path());
    // A real start now and then: it writes, so it is the last that happens to this folder.
    if (why.empty() && random_() % kOpenEvery == 0) {
      why = oracle.reopen(n, stage_.path());
      ++tally_.opened;
      stage_.forget();
    }
    if (why.empty()) return true;
    std::string last;
    for (auto i = n > 8 ? n - 8 : 0; i < n; ++i) last += "\n  " + std::to_string(i) + " " + describe(steps_[i]);
    complaint_ = why + "\nafter " + std::to_string(n) + " of " + std::to_string(steps_.size()) + " steps; the last were:" + last;
    if (truth_ == Truth::Lying) return true;
    const auto kept = fs::temp_directory_path() / "sallyport-crash-state";
    fs::remove_all(kept);
    fs::copy(stage_.path(), kept, fs::copy_options::recursive);
    complaint_ += "\nThe state is in " + kept.string();
    return true;
  }

  const Room& room_;
  const Keys& keys_;
  Tally& tally_;
  std::mt19937_64& random_;
  Truth truth_;
  Stage stage_;
  std::vector<Step> steps_;
  std::string complaint_;
};

TEST(Crash, NoStateThatAPowerCutLeavesLosesForksOrRefusesTheLog) {
  const auto goal = number_from("SALLYPORT_CRASH_STATES", 30'000);
  const auto seed = number_from("SALLYPORT_CRASH_SEED", 1);
  const auto began = steady_clock::now();
  std::mt19937_64 random(seed);
  const Room room;
  Tally tally;
  std::uint64_t said = 0;
  const auto each = std::max<std::uint64_t>(1000, std::min<std::uint64_t>(5000, goal / 12));
  while (tally.states < goal) {
    const Keys keys;
    Inheritance before;
    for (int generation = 0; generation < 3 && tally.states < goal; ++generation) {
      OneRun run(room, keys, tally, random);
      before = run.go(before, std::min(each, goal - tally.states));
      ASSERT_EQ(run.complaint(), "") << "generation " << generation << " of seed " << seed;
      if (before.found.files.empty()) break;
    }
    tally.seen.clear();  // another log: none of its states can come again
    if (tally.states / 100'000 != said) std::printf("%llu states\n", static_cast<unsigned long long>(tally.states)), std::fflush(stdout);
    said = tally.states / 100'000;
  }
  const auto seconds = std::chrono::duration<double>(steady_clock::now() - began).count();
  std::printf("%llu states of %llu runs (%llu steps, %llu refused writes), %llu of them started for real: %.0f s, %.0f states/s, seed %llu\n",
              static_cast<unsigned long long>(tally.states), static_cast<unsigned long long>(tally.runs), static_cast<unsigned long long>(tally.steps),
              static_cast<unsigned long long>(tally.refused_writes), static_cast<unsigned long long>(tally.opened), seconds, static_cast<double>(tally.states) / seconds,
              static_cast<unsigned long long>(seed));
}

TEST(Crash, ADiskThatLiesAboutItsSyncsIsFoundOut) {
  // The judge must be able to condemn: entries are acknowledged here that no sync made durable.
  std::mt19937_64 random(1);
  const Room room;
  Tally tally;
  const Keys keys;
  OneRun run(room, keys, tally, random, Truth::Lying);
  run.go({}, 2000);
  EXPECT_TRUE(run.complaint().contains("acknowledged and is lost") || run.complaint().contains("but a head over")) << run.complaint();
}

}  // namespace
}  // namespace sallyport::crash
