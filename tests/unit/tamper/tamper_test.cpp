// Logs of the gateway's own writer, then tampered with: each way is invalid and named; none passes as valid.
#include <regex>

#include "forge.h"

namespace sallyport::tamper {
namespace {

using verify::Report;

TEST(Tamper, AnUntouchedLogIsValidAndItsPayloadsOpen) {
  const Kept log;
  const auto report = log.verified(true);
  EXPECT_EQ(report.verdict, Report::Valid) << verify::to_text(report);
  EXPECT_EQ(report.entries, 21U);
  EXPECT_EQ(report.signed_entries, 21U);
  EXPECT_EQ(report.segments, 3U);
  EXPECT_EQ(report.sessions, 3U);
  EXPECT_EQ(report.commands, 6U);
  EXPECT_EQ(report.outcomes, 3U);
  EXPECT_EQ(report.opened_payloads, 3U);
}

/// Changes one byte at a time from `first` on; returns where the verdict stayed other than invalid.
std::vector<std::size_t> unnoticed(const Kept& log, const std::string& path, std::size_t first = 0, const std::function<void(Bytes&, std::size_t)>& mended = {}) {
  std::vector<std::size_t> out;
  const auto original = bytes_of(path);
  for (std::size_t i = first; i < original.size(); ++i) {
    auto changed = original;
    changed[i] ^= static_cast<std::uint8_t>(1U << i % 8);
    if (mended) mended(changed, i);
    if (changed == original) continue;
    write_file(path, changed);
    const auto report = log.verified();
    if (report.verdict != Report::Invalid) out.push_back(i);
  }
  write_file(path, original);
  return out;
}

TEST(Tamper, AnyChangedByteOfASegmentMakesItInvalid) {
  const Kept log;
  std::filesystem::remove(log.checkpoints());  // one signed head is enough, and all of them cost time at each byte
  for (const auto& path : log.segments()) {
    const auto at = unnoticed(log, path);
    EXPECT_TRUE(at.empty()) << path << " " << at.size() << " first at " << at.front();
  }
  EXPECT_EQ(log.verified().verdict, Report::Valid);
}

TEST(Tamper, AnyChangedByteOfASignedHeadMakesItInvalid) {
  const Kept log;
  for (const auto& path : {log.checkpoint(), log.checkpoints()}) {
    const auto at = unnoticed(log, path);
    EXPECT_TRUE(at.empty()) << path << " " << at.size() << " first at " << at.front();
  }
}

TEST(Tamper, AChangedByteWhoseChecksumWasPutRightIsFoundByTheTree) {
  const Kept log;
  std::filesystem::remove(log.checkpoints());
  for (const auto& path : log.segments()) {
    const auto places = frames(bytes_of(path));
    const auto at = unnoticed(log, path, kSegmentHeader, [&](Bytes& file, std::size_t i) {
      for (const auto& [from, size] : places) {
        std::uint32_t length = 0;
        std::memcpy(&length, &file[from + 4], 4);
        if (i >= from + kFrameHeader && i < from + kFrameHeader + length) mend(file, from);
      }
    });
    // A footer is checked against the entries, so even that is found.
    EXPECT_TRUE(at.empty()) << path << " " << at.size() << " first at " << at.front();
  }
}

TEST(Tamper, AnEntryIsNamedWithWhatItIs) {
  const Kept log;
  const auto path = log.segments()[1];
  auto file = bytes_of(path);
  const std::string tool = "read_ticket";
  const auto found = std::ranges::search(file, tool);
  ASSERT_FALSE(found.empty());
  *found.begin() = 'R';
  write_file(path, file);
  const auto report = log.verified();
  EXPECT_EQ(report.verdict, Report::Invalid);
  ASSERT_TRUE(has(report, "entry-altered"));
  const auto& fault = report.faults.front();
  EXPECT_EQ(fault.index, std::optional<std::uint64_t>(10));
  EXPECT_EQ(fault.file, path);
  EXPECT_TRUE(fault.what.contains("entry 10 (command tools/call Read_ticket")) << fault.what;
}

TEST(Tamper, WithItsChecksumPutRightTheFooterAndTheArchiveSayBetweenWhichEntriesItIs) {
  const Kept log;
  const auto path = log.segments()[1];
  auto file = bytes_of(path);
  const std::string tool = "read_ticket";
  const auto found = std::ranges::search(file, tool);
  *found.begin() = 'R';
  const auto at = static_cast<std::size_t>(found.begin() - file.begin());
  for (const auto& [from, size] : frames(file))
    if (at >= from && at < from + size) mend(file, from);
  write_file(path, file);
  const auto report = log.verified();
  EXPECT_EQ(report.verdict, Report::Invalid);
  EXPECT_TRUE(has(report, "footer"));
  EXPECT_TRUE(has(report, "head-root"));
  const auto text = verify::to_text(report);
  EXPECT_TRUE(text.contains("entries 8 to 11 are not what it was written over")) << text;
  // Heads are archived at each seal and about once a second, so the signed range can be narrower than the segment.
  std::smatch range;
  if (!text.contains("It is entry 10 that is another")) {
    ASSERT_TRUE(std::regex_search(text, range, std::regex("is another is one of entries (\\d+) to (\\d+)"))) << text;
    EXPECT_TRUE(std::stoi(range[1]) >= 7 && std::stoi(range[1]) <= 10 && std::stoi(range[2]) >= 10 && std::stoi(range[2]) <= 13) << text;
  }
}

TEST(Tamper, AMissingSegmentIsNamedWhicheverItIs) {
  for (std::size_t i = 0; i < 3; ++i) {
    const Kept log;
    std::filesystem::remove(log.segments()[i]);
    const auto report = log.verified();
    EXPECT_EQ(report.verdict, Report::Invalid);
    EXPECT_TRUE(has(report, i == 2 ? "log-truncated" : "segment-missing")) << verify::to_text(report);
  }
  const Kept log;
  for (const auto& path : log.segments()) std::filesystem::remove(path);
  EXPECT_TRUE(has(log.verified(), "log-truncated"));
  std::filesystem::remove_all(log.folder.path + "/segments");
  EXPECT_TRUE(has(log.verified(), "no-segments"));
}

TEST(Tamper, NothingAtAllIsNotValid) {
  const Kept log;
  for (const auto& path : log.segments()) std::filesystem::remove(path);
  std::filesystem::remove(log.checkpoint());
  EXPECT_TRUE(has(log.verified(), "log-truncated")) << "the archive remembers";
  std::filesystem::remove(log.checkpoints());
  EXPECT_EQ(log.verified().verdict, Report::Incomplete) << "nothing is there and nothing is signed";
}

TEST(Tamper, ADeletedOrSwappedEntryIsFound) {
  for (const bool swap : {false, true}) {
    const Kept log;
    const auto path = log.segments()[1];
    const auto file = bytes_of(path);
    const auto places = frames(file);
    ASSERT_GT(places.size(), 4U);
    const auto part = [&](std::size_t i) { return ByteView(file).subspan(places[i].first, places[i].second); };
    Bytes changed(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(places[0].first));
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (!swap && i == 2) continue;
      const auto one = part(swap && i == 2 ? 3 : swap && i == 3 ? 2 : i);
      changed.insert(changed.end(), one.begin(), one.end());
    }
    write_file(path, changed);
    const auto report = log.verified();
    EXPECT_EQ(report.verdict, Report::Invalid);
    EXPECT_TRUE(has(report, "frame-order")) << verify::to_text(report);
    EXPECT_EQ(report.faults.front().index, std::optional<std::uint64_t>(9)) << verify::to_text(report);
  }
}

TEST(Tamper, SwappedSegmentsAreFound) {
  const Kept log;
  const auto files = log.segments();
  std::filesystem::rename(files[1], files[1] + ".x");
  std::filesystem::rename(files[2], files[1]);
  std::filesystem::rename(files[1] + ".x", files[2]);
  const auto report = log.verified();
  EXPECT_EQ(report.verdict, Report::Invalid);
  EXPECT_TRUE(has(report, "segment-name"));
}

TEST(Tamper, ALogCutAnywhereBelowItsSignedSizeIsInvalid) {
  const Kept log;
  const auto path = log.segments().back();
  const auto file = bytes_of(path);
  const auto places = frames(file);
  const auto footer = places.back().first;
  for (std::size_t n = 0; n < file.size(); n += n < 4000 ? 500 : 1) {
    write_file(path, ByteView(file).first(n));
    const auto verdict = log.verified().verdict;
    // Without its footer the last segment is one that was not sealed: all signed entries are there.
    if (n < footer) EXPECT_EQ(verdict, Report::Invalid) << n;
    else EXPECT_NE(verdict, n == footer ? Report::Invalid : Report::Valid) << n;
  }
  write_file(path, file);
}

TEST(Tamper, AnEarlierStateOfASegmentPutBackIsFound) {
  Node log;
  Folder before;
  {
    auto open = log.open();
    auto s = open->new_session();
    ASSERT_TRUE(open->append_wait(opened(s)));
    copy(log.folder.path, before.path);
    ASSERT_TRUE(open->append_wait(closed(s)));
    open->stop();
  }
  const auto file = log.segments()[0];
  std::filesystem::copy_file(before.path + "/segments/" + std::filesystem::path(file).filename().string(), file, std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(has(verified(log.folder.path, log.keys.second), "log-truncated"));
}

TEST(Tamper, ASegmentOfAnotherLogOfTheSameKeyIsFound) {
  Node first, second;
  second.keys = first.keys;
  for (auto* node : {&first, &second}) {
    for (int i = 0; i < 2; ++i) {
      auto log = node->open();
      auto s = log->new_session();
      ASSERT_TRUE(log->append_wait(opened(s)));
      ASSERT_TRUE(log->append_wait(closed(s)));
      log->stop();
    }
  }
  for (std::size_t i = 0; i < 2; ++i) {
    const auto path = first.segments()[i];
    const auto own = bytes_of(path);
    write_file(path, bytes_of(second.segments()[i]));
    const auto report = verified(first.folder.path, first.keys.second);
    EXPECT_EQ(report.verdict, Report::Invalid);
    EXPECT_TRUE(has(report, "head-root")) << verify::to_text(report);
    write_file(path, own);
  }
  EXPECT_EQ(verified(first.folder.path, first.keys.second).verdict, Report::Valid);
}

TEST(Tamper, AForgedLogSignedByAnotherKeyOfTheSameNameIsInvalid) {
  const Kept log, forged;
  const auto report = verified(forged.folder.path, log.keys.second);
  EXPECT_EQ(report.verdict, Report::Invalid);
  EXPECT_TRUE(has(report, "head-signature"));
  EXPECT_EQ(report.signed_entries, 0U);
}

TEST(Tamper, AWholeDirectoryPutBackIsFoundByAHeadThatWasKeptElsewhere) {
  Node log;
  Folder before;
  const auto run = [&] {
    auto open = log.open();
    open->stop();
  };
  run();
  copy(log.folder.path, before.path);
  run();
  const auto kept = before.path + "/kept";
  std::filesystem::copy_file(log.folder.path + "/checkpoint", kept);
  EXPECT_EQ(verified(before.path, log.keys.second).verdict, Report::Valid) << "by itself an earlier state is one that was signed";
  EXPECT_TRUE(has(verified(before.path, log.keys.second, false, {kept}), "rolled-back"));
  EXPECT_EQ(verified(log.folder.path, log.keys.second, false, {kept}).verdict, Report::Valid);
  EXPECT_TRUE(has(verified(log.folder.path, log.keys.second, false, {kept + "-not-there"}), "head-unreadable"));
}

TEST(Tamper, EntriesBehindTheLastHeadAreIncompleteAndNotValid) {
  const Kept log;
  std::filesystem::remove(log.checkpoint());
  std::filesystem::remove(log.checkpoints());
  const auto report = log.verified();
  EXPECT_EQ(report.verdict, Report::Incomplete) << verify::to_text(report);
  EXPECT_EQ(report.signed_entries, 0U);
}

TEST(Tamper, ACrashLeavesAValidLogAndWhatItDiscardedCannotBeChangedLater) {
  Node log;
  Folder crashed;
  {
    auto open = log.open();
    auto s = open->new_session();
    ASSERT_TRUE(open->append_wait(opened(s)));
    ASSERT_TRUE(open->append_wait(command(s)));
    copy(log.folder.path, crashed.path);  // what kill -9 leaves
    open->stop();
  }
  const auto now = verified(crashed.path, log.keys.second);
  EXPECT_NE(now.verdict, Report::Invalid) << verify::to_text(now);
  const auto path = crashed.path + "/segments/" + segment_name(0);
  auto file = bytes_of(path);
  const auto end = frames(file).back().first + frames(file).back().second;
  file[end] = 1;  // a batch that was cut off
  file[end + 60] = 9;
  write_file(path, file);
  const auto torn = verified(crashed.path, log.keys.second);
  EXPECT_EQ(torn.verdict, Report::Incomplete) << verify::to_text(torn);
  EXPECT_TRUE(verify::to_text(torn).contains("from byte " + std::to_string(end)));

  Node again;
  again.keys = log.keys;
  copy(crashed.path, again.folder.path);
  again.open()->stop();
  const auto healed = verified(again.folder.path, log.keys.second);
  EXPECT_EQ(healed.verdict, Report::Valid) << verify::to_text(healed);
  EXPECT_EQ(healed.interrupted, 1U);
  EXPECT_EQ(healed.incarnations, 2U);
  file = bytes_of(again.segments()[0]);
  file[end + 60] = 8;
  write_file(again.segments()[0], file);
  EXPECT_TRUE(has(verified(again.folder.path, log.keys.second), "discarded"));
}

/// A log whose last footer begins `room` bytes before a sector of its file ends.
struct Placed : Node {
  explicit Placed(std::size_t room) {
    for (std::size_t text = 1; footer == 0; text += 8) {
      std::filesystem::remove_all(folder.path);
      std::filesystem::create_directories(folder.path);
      auto log = open();
      EXPECT_TRUE(log->append_wait(std::move(Entry(Kind::ConfigApplied).text(Field::Reason, std::string(text, 'x')))));
      log->stop();
      log.reset();
      whole = bytes_of(segments()[0]);
      if (const auto at = frames(whole).back().first; 512 - at % 512 == room) footer = at;
    }
  }
  Report with(const Bytes& file) const {
    write_file(segments()[0], file);
    return verified(folder.path, keys.second);
  }
  Bytes whole;
  std::size_t footer = 0;
};

TEST(Tamper, AFooterThatLacksASectorIsWhatACrashLeavesAndOneThatLacksLessIsNot) {
  const Placed log(80);
  const auto sector = log.footer + 80;
  ASSERT_LT(sector, log.whole.size());
  const auto without = [&](std::size_t from, std::size_t to) {
    auto file = log.whole;
    std::fill(file.begin() + static_cast<std::ptrdiff_t>(from), file.begin() + static_cast<std::ptrdiff_t>(to), 0);
    return file;
  };
  EXPECT_EQ(log.with(without(log.footer, sector)).verdict, Report::Incomplete);
  EXPECT_EQ(log.with(without(sector, log.whole.size())).verdict, Report::Incomplete);
  EXPECT_EQ(log.with({log.whole.begin(), log.whole.begin() + static_cast<std::ptrdiff_t>(sector)}).verdict, Report::Incomplete) << "the file was not made as long";
  EXPECT_EQ(log.with(without(log.footer, sector - 1)).verdict, Report::Invalid);
  EXPECT_EQ(log.with(without(sector + 1, log.whole.size())).verdict, Report::Invalid);
  EXPECT_EQ(log.with({log.whole.begin(), log.whole.begin() + static_cast<std::ptrdiff_t>(sector + 8)}).verdict, Report::Invalid);
  EXPECT_EQ(log.with(log.whole).verdict, Report::Valid);
}

TEST(Tamper, AChangedBitOfAFooterThatEndsWithASectorIsNoCrash) {
  auto probe = Placed(512 - 8);
  const auto size = probe.whole.size() - probe.footer;
  const Placed log(size);
  ASSERT_EQ(log.whole.size() % 512, 0U) << "footers of such logs are of one size";
  for (std::size_t bit = 0; bit < size * 8; ++bit) {
    auto file = log.whole;
    file[log.footer + bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    EXPECT_EQ(log.with(file).verdict, Report::Invalid) << bit;
  }
}

TEST(Tamper, AFailedWriteLeavesAValidLog) {
  Node log;
  {
    auto open = log.open();
    auto s = open->new_session();
    ASSERT_TRUE(open->append_wait(opened(s)));
    log.disk->short_write = true;
    log.disk->left = 0;
    EXPECT_FALSE(open->append_wait(command(s, Decision::Blocked)));
    log.disk->left = -1;
    while (!open->writable()) std::this_thread::yield();
    ASSERT_TRUE(open->append_wait(closed(s)));
    open->stop();
  }
  const auto report = verified(log.folder.path, log.keys.second);
  EXPECT_EQ(report.verdict, Report::Valid) << verify::to_text(report);
  EXPECT_EQ(report.segments, 2U);
}

TEST(Tamper, APayloadWhoseKeyWasDestroyedLeavesEveryProofValid) {
  const Kept log;
  auto keys = bytes_of(log.folder.path + "/keys/session-keys");
  Id16 session{};
  std::copy_n(keys.begin() + 4, 16, session.begin());
  ASSERT_TRUE(*erase_session_key(log.folder.path, session));
  const auto report = log.verified(true);
  EXPECT_EQ(report.verdict, Report::Valid) << verify::to_text(report);
  EXPECT_EQ(report.erased_payloads, 1U);
  EXPECT_EQ(report.opened_payloads, 2U);
  std::filesystem::resize_file(log.folder.path + "/keys/session-keys", 96);
  EXPECT_TRUE(has(log.verified(true), "payload-content"));
}

}  // namespace
}  // namespace sallyport::tamper
