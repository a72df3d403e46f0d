// The adversary of one bit: every bit of what the formats count, one at a time, in logs that the gateway's writer made; of the
// zeros behind an unsealed segment's end a sample (SALLYPORT_FLIPS sets its size). Each time the verdict, the code of the
// fault and the place it names must be those of the region the bit lies in.
#include <stdio.h>

#include <random>

#include "unit/tamper/forge.h"

namespace sallyport::tamper {
namespace {

using verify::Report;

/// A log in memory, where there is a file system in it, and the means to check it a hundred thousand times.
struct Subject {
  explicit Subject(const std::string& from, const std::string& verifier) {
    char shm[] = "/dev/shm/sallyport-flip-XXXXXX", tmp[] = "/tmp/sallyport-flip-XXXXXX";
    const char* made = ::mkdtemp(shm);
    settings.directory = made != nullptr ? made : ::mkdtemp(tmp);
    copy(from, settings.directory);
    std::string why;
    settings.key = *verify::parse_key(verifier, why);
    for (const auto& item : std::filesystem::directory_iterator(settings.directory + "/segments")) segments.push_back(item.path().string());
    std::ranges::sort(segments);
  }
  ~Subject() { std::filesystem::remove_all(settings.directory); }
  Subject(const Subject&) = delete;
  std::string file(const char* name) const { return settings.directory + "/" + name; }
  Report check() const { return verify::check(settings); }

  verify::Settings settings;
  std::vector<std::string> segments;
};

struct Region {
  std::size_t from = 0, to = 0;
  std::string name;
  std::function<std::string(const Report&)> wrong;  // "" when the report is the right one
  std::uint64_t sample = 0;                         // 0: every bit
};

std::string no_fault_but(const Report& report, std::initializer_list<std::string_view> codes, std::optional<std::uint64_t> offset = {}) {
  if (report.verdict != Report::Invalid || report.faults.empty()) return "it is not invalid";
  const auto& first = report.faults.front();
  if (std::ranges::find(codes, first.code) == codes.end()) return "its first fault is " + first.code;
  if (offset && first.offset != offset) return first.code + " names another place";
  return "";
}

struct Count {
  std::uint64_t bits = 0, of = 0;
};

/// Turns the bits of the regions of a file, one at a time.
Count flip(const Subject& subject, const std::string& path, const std::vector<Region>& regions, std::mt19937_64& random) {
  const auto original = bytes_of(path);
  const auto file = std::move(*File::open(path, O_RDWR));
  Count count;
  int failures = 0;
  for (const auto& region : regions) {
    const auto bits = (region.to - region.from) * 8;
    count.of += bits;
    for (std::uint64_t k = 0; k < (region.sample == 0 ? bits : std::min<std::uint64_t>(region.sample, bits)); ++k) {
      const auto bit = region.sample == 0 ? k : random() % bits;
      const auto at = region.from + bit / 8;
      const auto changed = static_cast<std::uint8_t>(original[at] ^ 1U << bit % 8);
      EXPECT_EQ(::pwrite(file.fd(), &changed, 1, static_cast<off_t>(at)), 1);
      const auto report = subject.check();
      EXPECT_EQ(::pwrite(file.fd(), &original[at], 1, static_cast<off_t>(at)), 1);
      ++count.bits;
      if (auto wrong = region.wrong(report); !wrong.empty()) {
        ADD_FAILURE() << path << ", " << region.name << ", byte " << at << ", bit " << bit % 8 << ": " << wrong << "\n" << verify::to_text(report);
        if (++failures > 5) return count;
      }
    }
  }
  return count;
}

std::uint64_t sample_size() {
  const char* text = std::getenv("SALLYPORT_FLIPS");
  return text == nullptr ? 10'000 : std::strtoull(text, nullptr, 10);
}

void say(const char* what, const Count& count) {
  std::printf("%s: %llu bits of %llu (%.1f %%)\n", what, static_cast<unsigned long long>(count.bits), static_cast<unsigned long long>(count.of),
              100.0 * static_cast<double>(count.bits) / static_cast<double>(count.of));
}

/// The regions of a segment whose entries are all signed, or signed below `signed_size`.
std::vector<Region> regions_of(const std::string& path, std::uint64_t signed_size, std::uint64_t entries) {
  const auto file = bytes_of(path);
  std::vector<Region> out = {{0, kSegmentHeader, "header", [](const Report& r) { return no_fault_but(r, {"segment-header"}); }}};
  std::size_t end = kSegmentHeader;
  for (const auto& [at, size] : frames(file)) {
    std::uint64_t first = 0;
    std::memcpy(&first, &file[at + 8], 8);
    const bool footer = file[at] == 2;
    end = at + size;
    std::function<std::string(const Report&)> wrong;
    const auto offset = static_cast<std::uint64_t>(at);
    if (first < signed_size) wrong = [=](const Report& r) { return no_fault_but(r, {"entry-altered"}, offset); };
    // A footer behind the last signed entry: of a file that is not the last it is known to have been there, of the last one by
    // the file's being cut at its end.
    else if (footer) wrong = [=](const Report& r) { return no_fault_but(r, {"entry-altered", "footer", "after-footer"}, offset); };
    // Never signed: what a crash could leave as well. The log ends before it.
    else wrong = [=](const Report& r) { return r.verdict == Report::Incomplete && r.entries == first ? "" : "it is not a log that ends here and is incomplete"; };
    out.push_back({at, end, footer ? "footer" : "frame of entry " + std::to_string(first), wrong});
  }
  if (end < file.size()) {
    const auto wrong = [=](const Report& r) {
      const bool named = std::ranges::any_of(r.notes, [&](const std::string& note) { return note.contains("from byte " + std::to_string(end) + " on are no valid frame"); });
      return r.verdict == Report::Incomplete && r.entries == entries && named ? "" : "it is not a whole log with something behind its end";
    };
    // A frame's header could begin there: all of these bits; then a sample of the zeros.
    out.push_back({end, end + kFrameHeader, "first bytes behind the end", wrong});
    out.push_back({end + kFrameHeader, file.size(), "zeros behind the end", wrong, sample_size()});
  }
  return out;
}

TEST(Flip, EveryBitOfSealedAndSignedSegmentsCounts) {
  const Kept log;
  const Subject subject(log.folder.path, log.keys.second);
  std::filesystem::remove(subject.file("checkpoints"));  // one signed head is enough, and each costs time at every bit
  const auto whole = subject.check();
  ASSERT_EQ(whole.verdict, Report::Valid) << verify::to_text(whole);
  std::mt19937_64 random(1);
  Count all;
  for (const auto& path : subject.segments) {
    const auto count = flip(subject, path, regions_of(path, whole.signed_entries, whole.entries), random);
    all.bits += count.bits, all.of += count.of;
  }
  say("sealed segments", all);
  EXPECT_EQ(all.bits, all.of);
  EXPECT_EQ(subject.check().verdict, Report::Valid) << "every bit was put back";
}

TEST(Flip, EveryBitOfASegmentWithVeiledFieldsCounts) {
  const Kept log(0xFF);
  const Subject subject(log.folder.path, log.keys.second);
  std::filesystem::remove(subject.file("checkpoints"));
  const auto whole = subject.check();
  ASSERT_EQ(whole.verdict, Report::Valid) << verify::to_text(whole);
  ASSERT_EQ(whole.veiled_fields, 6U);
  std::mt19937_64 random(1);
  const auto count = flip(subject, subject.segments.back(), regions_of(subject.segments.back(), whole.signed_entries, whole.entries), random);
  say("a segment with veiled fields", count);
  EXPECT_EQ(count.bits, count.of);
}

TEST(Flip, EveryBitOfSignedHeadsAndKeysCounts) {
  const Kept log;
  Subject subject(log.folder.path, log.keys.second);
  subject.settings.keys_directory = subject.file("keys");
  ASSERT_EQ(subject.check().verdict, Report::Valid);
  std::mt19937_64 random(1);
  Count all;
  const auto every = [&](const char* name, std::initializer_list<std::string_view> codes) {
    const auto path = subject.file(name);
    const auto count = flip(subject, path, {{0, bytes_of(path).size(), "any byte", [codes](const Report& r) { return no_fault_but(r, codes); }}}, random);
    all.bits += count.bits, all.of += count.of;
  };
  every("checkpoint", {"head-signature"});
  every("checkpoints", {"head-signature"});
  // A payload that does not open is a fault; the entries and their proofs are untouched by it.
  every("keys/kek", {"payload-content"});
  every("keys/session-keys", {"payload-content"});
  say("heads and keys", all);
  EXPECT_EQ(all.bits, all.of);
}

/// A copy of a log that is being written, whose last segment has no footer and zeros behind its end.
struct Living : Node {
  Folder now;
  explicit Living(bool all_signed) {
    segment_bytes = 64U << 10;
    open()->stop();
    auto signer = std::move(*ed25519_signer("node.test/evidence", keys.first, folder.path + "/signer-head"));
    Options options;
    options.directory = folder.path;
    options.origin = "node.test/evidence";
    options.segment_bytes = segment_bytes;
    options.checkpoint_ns = all_signed ? 1'000'000 : 3'600'000'000'000;  // else only the first batch is signed, at once
    const auto log = std::move(*Log::open(options, std::move(signer)));
    while (log->status().signed_size < 3) std::this_thread::yield();
    auto s = log->new_session();
    EXPECT_TRUE(log->append_wait(opened(s)));
    const auto c = log->append_wait(command(s));
    EXPECT_TRUE(c && log->append_wait(outcome(s, *c)));
    while (all_signed && log->status().signed_size < log->status().size) std::this_thread::yield();
    // The head is published behind the signature; its file is there when it opens at that size.
    Report report;
    do {
      std::filesystem::remove_all(now.path);
      copy(folder.path, now.path);
      report = verified(now.path, keys.second);
    } while (report.signed_entries < log->status().signed_size);
  }
};

void flip_living(bool all_signed) {
  const Living log(all_signed);
  const Subject subject(log.now.path, log.keys.second);
  std::filesystem::remove(subject.file("checkpoints"));
  const auto whole = subject.check();
  ASSERT_EQ(whole.verdict, all_signed ? Report::Valid : Report::Incomplete) << verify::to_text(whole);
  ASSERT_EQ(subject.segments.size(), 2U);
  std::mt19937_64 random(1);
  const auto count = flip(subject, subject.segments.back(), regions_of(subject.segments.back(), whole.signed_entries, whole.entries), random);
  say(all_signed ? "the last segment, signed to its end" : "the last segment, its end unsigned", count);
}

TEST(Flip, OfASegmentBeingWrittenWhatIsSignedCountsAndBehindItsEndNothingDoes) { flip_living(true); }
TEST(Flip, OfEntriesThatAreNotSignedYetAChangedBitEndsTheLogThere) { flip_living(false); }

}  // namespace
}  // namespace sallyport::tamper
