// Entries that claim another time than the one that witnesses vouch for.
#include "evidence/cosignature.h"
#include "evidence/log_view.h"
#include "forge.h"

namespace sallyport::tamper {
namespace {

struct Hands : Clock {
  std::atomic<std::int64_t> wall{1'700'000'000'000'000'000};
  std::atomic<std::int64_t> mono{1};
  std::int64_t wall_ns() const override { return wall; }
  std::int64_t mono_ns() const override { return const_cast<Hands*>(this)->mono.fetch_add(1); }
};

/// A log whose clock steps by `step` seconds after its first head was cosigned at the time it then had; the last one as well.
verify::Report stepped(std::int64_t step, const std::function<std::uint64_t(std::uint64_t)>& second_time) {
  const auto keys = evidence::generate_note_key("node.test/evidence");
  Digest seed{};
  seed[0] = 7;
  const auto witness = evidence::signer_from_seed("w.example", seed);
  evidence::Folder folder;
  Hands clock;
  evidence::Options options;
  options.directory = folder.path;
  options.origin = "node.test/evidence";
  options.segment_bytes = 256U << 10;
  auto log = evidence::Log::open(options, *evidence::ed25519_signer("node.test/evidence", keys.first, folder.path + "/signer-head"), clock).value();
  const auto cosign = [&](std::uint64_t seconds) {
    const auto head = evidence::read_head(folder.path + "/checkpoint").value();
    const auto text = head.note.substr(0, head.note.rfind("\n\n") + 1);
    std::ofstream(folder.path + "/checkpoints.witnessed", std::ios::app | std::ios::binary) << head.note << evidence::cosign(witness, text, seconds) << "\n";
  };
  const auto seconds = [&] { return static_cast<std::uint64_t>(clock.wall.load() / 1'000'000'000); };
  const auto one = [&] {
    const auto index = log->append_wait(evidence::Entry(evidence::Kind::ConfigApplied)).value();
    while (log->status().signed_size <= index) std::this_thread::yield();
  };
  one();
  cosign(seconds());
  clock.wall += step * 1'000'000'000;
  one();
  cosign(second_time(seconds()));
  log.reset();
  verify::Settings settings;
  std::string why;
  settings.directory = folder.path;
  settings.key = *verify::parse_key(keys.second, why);
  settings.witnesses = {*verify::parse_witness_key(evidence::cosigner_key_of(witness), why)};
  settings.quorum = 1;
  return verify::check(settings);
}

TEST(Time, AnEntryIsNeitherOlderThanAHeadThatOthersSawBeforeItNorYoungerThanOneOverIt) {
  const auto now = [](std::uint64_t seconds) { return seconds; };
  for (const std::int64_t step : {0, 100, 86'400, -200}) EXPECT_EQ(stepped(step, now).fault_count, 0U) << step;
  for (const std::int64_t step : {-400, -86'400}) {
    const auto report = stepped(step, [&](std::uint64_t seconds) { return seconds + static_cast<std::uint64_t>(-step); });
    ASSERT_GT(report.fault_count, 0U) << step;
    EXPECT_EQ(report.faults[0].code, "back-dated");
    EXPECT_EQ(report.faults[0].index, 2U);
  }
  const auto ahead = stepped(86'400, [](std::uint64_t seconds) { return seconds - 86'400; });
  ASSERT_GT(ahead.fault_count, 0U);
  EXPECT_EQ(ahead.faults[0].code, "back-dated");
}

}  // namespace
}  // namespace sallyport::tamper
