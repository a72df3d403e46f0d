// The log, its notary, its witnesses and an auditor under faults and attacks that a seed draws: crashes and lost power, requests and
// answers that get lost, repeated or late, witnesses that come and go, clocks that are set, machines put back or run twice, entries
// edited, keys stolen. Always: no two roots for one size unless a whole machine was put back or its key stolen; no witness
// cosigns two inconsistent heads; no alarm and no warning without a cause; no command where the witnesses do not know the log; nothing
// witnessed is missing unless somebody is told; and once nothing fails any more, all is signed and witnessed and the verifier agrees.
// SALLYPORT_SIM_SEEDS sets how many seeds (default: about 30 s), SALLYPORT_SIM_SEED with which to begin; alone,
// it runs that one.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "world.h"

namespace sallyport::simulation {
namespace {

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Memory, where there is a file system in it.
struct Room {
  Room() {
    char shm[] = "/dev/shm/sallyport-sim-XXXXXX", tmp[] = "/tmp/sallyport-sim-XXXXXX";
    const char* made = ::mkdtemp(shm);
    path = made != nullptr ? made : ::mkdtemp(tmp);
  }
  ~Room() { std::filesystem::remove_all(path); }
  std::string path;
};

TEST(Simulation, WhatTheLogPromisesHoldsUnderFaultsAndAttacks) {
  const Room room;
  Tally tally;
  const auto one = number_from("SALLYPORT_SIM_SEED", 0);
  const auto first = one != 0 ? one : 1, count = number_from("SALLYPORT_SIM_SEEDS", one != 0 ? 1 : 350);
  const auto began = std::chrono::steady_clock::now();
  for (auto seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE(seed);
    const auto violation = World(seed, room.path, Defect::None, tally).run();
    ASSERT_TRUE(violation.empty()) << "seed " << seed << " (run it alone with SALLYPORT_SIM_SEED=" << seed << "): " << violation;
    if (seed % 1000 == 0) fmt::print("{} seeds\n", seed), std::fflush(stdout);
  }
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print("{} seeds in {:.0f} s: {} steps, {} heads, {} commands taken, {} refused, {} entries; {} runs were tampered with, {} second roots, {} alarms,"
             " {} starts refused, {} logs condemned\n",
             tally.runs, seconds, tally.steps, tally.heads, tally.taken, tally.refused, tally.entries, tally.tampered, tally.forks, tally.alarms, tally.starts_refused, tally.condemned);
}

struct Broken {
  Defect defect;
  std::string_view violation;   // the invariant that breaks
  std::uint64_t first, most;    // the first seed that shows it, as measured, and the last that is tried
};

TEST(Simulation, FindsOutEachBrokenBuild) {
  const Room room;
  for (const auto& broken : {
           Broken{Defect::CredulousNotary, "two roots were signed", 22, 100},
           Broken{Defect::ForgetfulWitness, "a witness cosigned", 7, 60},
           Broken{Defect::DeafToSize, "and nobody was told", 112, 400},
           Broken{Defect::TakesBeforeAsked, "a command is taken by a gateway whose log the witnesses do not know", 1, 20},
           Broken{Defect::JoinsWhatWasAsked, "the notary denies what an honest gateway asks", 1, 20},
           Broken{Defect::TrustsOldName, "an alarm without a cause", 19, 60},
           Broken{Defect::AnnouncesOnce, "does not call an honest log valid", 82, 300},
       }) {
    Tally tally;
    std::uint64_t seed = 1;
    while (seed <= broken.most && !World(seed, room.path, broken.defect, tally).run().contains(broken.violation)) ++seed;
    EXPECT_LE(seed, broken.most) << "nothing said: " << broken.violation;
    fmt::print("seed {} ({} when this was written): {}\n", seed, broken.first, broken.violation);
  }
}

}  // namespace
}  // namespace sallyport::simulation
