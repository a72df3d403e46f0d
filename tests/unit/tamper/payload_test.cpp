// Payloads opened with the node's keys, and what cannot be read at all.
#include "forge.h"

namespace sallyport::tamper {
namespace {

using verify::Report;

std::string random_text(std::size_t size) {
  std::string out(size, ' ');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 2654435761U >> 13);
  return out;
}

/// A log with one payload, whose reference was bent before it was written: the entry and its proof are right all the same.
struct Recorded : Node {
  explicit Recorded(std::size_t size, const std::function<void(PayloadRef&, Entry&)>& bend = {}) {
    auto log = open();
    auto s = log->new_session();
    auto entry = Entry(Kind::Command, s);
    auto ref = Recording::whole(*s, random_text(size), entry);
    if (bend) bend(ref, entry);
    entry.uint(Field::Decision, 2).payload(Field::Payload, ref);
    EXPECT_TRUE(log->append_wait(std::move(entry)));
    log->stop();
  }
  Report verified() const { return tamper::verified(folder.path, keys.second, true); }
};

TEST(Payload, OpensWhateverItsLength) {
  for (const std::size_t size : {0, 1, 65535, 65536, 65537, 131072, 200000}) {
    const Recorded log(size);
    const auto report = log.verified();
    EXPECT_EQ(report.verdict, Report::Valid) << size << verify::to_text(report);
    EXPECT_EQ(report.opened_payloads, 1U);
    EXPECT_EQ(report.payloads, 1U);
  }
}

TEST(Payload, IsWhatItsEntryCommitsTo) {
  const auto fault = [](std::size_t size, const std::function<void(PayloadRef&, Entry&)>& bend) {
    const Recorded log(size, bend);
    const auto report = log.verified();
    EXPECT_EQ(report.verdict, Report::Invalid);
    EXPECT_EQ(report.opened_payloads, 0U);
    return report.faults.empty() ? "" : report.faults[0].code + ": " + report.faults[0].what;
  };
  EXPECT_TRUE(fault(10, [](PayloadRef& ref, Entry&) { ref.commitment[31] ^= 1; }).contains("payload-content: ")) << "another commitment";
  EXPECT_TRUE(fault(10, [](PayloadRef& ref, Entry&) { ++ref.plain_bytes; }).contains("not the one it commits to")) << "another length";
  EXPECT_TRUE(fault(10, [](PayloadRef& ref, Entry&) { ref.ciphertext[0] ^= 1; }).contains("payload-altered: ")) << "another ciphertext";
  EXPECT_TRUE(fault(70'000, [](PayloadRef& ref, Entry& entry) {
                entry.chunks().pop_back();
                ref.chunks = 1;
                ref.ciphertext = sha256(entry.chunks()[0].ciphertext);
              }).contains("not the one it commits to"))
      << "its end is left out";
  const auto swapped = [](PayloadRef& ref, Entry& entry) {
    auto& chunks = entry.chunks();
    std::swap(chunks[0].ciphertext, chunks[1].ciphertext);
    Bytes all(chunks[0].ciphertext.begin(), chunks[0].ciphertext.end());
    all.insert(all.end(), chunks[1].ciphertext.begin(), chunks[1].ciphertext.end());
    ref.ciphertext = sha256(all);
  };
  EXPECT_TRUE(fault(131'072, swapped).contains("does not decrypt")) << "its chunks are sealed to their places";
  EXPECT_TRUE(fault(10, [](PayloadRef& ref, Entry& entry) {
                entry.chunks()[0].ciphertext.resize(16);
                ref.ciphertext = sha256(entry.chunks()[0].ciphertext);
              }).contains("does not decrypt"))
      << "nothing but a tag";
}

TEST(Payload, WithoutUsableKeysItsDigestIsCheckedAndThatIsSaid) {
  const Recorded log(10);
  const auto noted = [&](std::string_view what) {
    const auto report = log.verified();
    EXPECT_EQ(report.verdict, Report::Valid);
    EXPECT_EQ(report.opened_payloads, 0U);
    return std::ranges::any_of(report.notes, [&](const std::string& note) { return note.contains("payloads cannot be opened") && note.contains(what); });
  };
  const auto kek = log.folder.path + "/keys/kek", records = log.folder.path + "/keys/session-keys";
  const auto whole = bytes_of(kek);
  write_file(kek, ByteView(whole).first(31));
  EXPECT_TRUE(noted("not 32 bytes"));
  std::filesystem::remove(kek);
  EXPECT_TRUE(noted("cannot read"));
  write_file(kek, whole);
  std::filesystem::rename(records, records + ".x");
  EXPECT_TRUE(noted("cannot read"));
}

TEST(Payload, AFileThatCannotBeReadIsAFaultAndNotNothing) {
  const Kept log;
  const auto blocked = [&](const std::string& path, const char* code) {
    std::filesystem::rename(path, path + ".x");
    std::filesystem::create_directory(path);
    const auto report = log.verified();
    EXPECT_EQ(report.verdict, Report::Invalid) << path;
    EXPECT_TRUE(has(report, code)) << verify::to_text(report);
    EXPECT_TRUE(verify::to_text(report).contains("cannot read " + path)) << verify::to_text(report);
    std::filesystem::remove(path);
    std::filesystem::rename(path + ".x", path);
  };
  blocked(log.checkpoint(), "head-unreadable");
  blocked(log.checkpoints(), "head-unreadable");
  for (const auto& path : log.segments()) blocked(path, "segment-unreadable");
  EXPECT_EQ(log.verified().verdict, Report::Valid);
}

}  // namespace
}  // namespace sallyport::tamper
