// Headers, frames, footers and heads of another form, with every checksum and signature put right: what an attacker who knows
// the formats, or a gateway with a bug, would leave. Each is named with the code of what is wrong.
#include "forge.h"

namespace sallyport::tamper {
namespace {

using verify::Report;

void mend_header(Bytes& file) {
  const auto crc = crc32c(ByteView(file).first(kSegmentHeader - 4));
  std::memcpy(&file[kSegmentHeader - 4], &crc, 4);
}

struct Change {
  std::size_t at;
  std::vector<std::uint8_t> bytes;
  const char* code;
  const char* words = "";
};

/// The report on a segment of the log with a change in it, which is then taken back.
Report with(const Kept& log, std::size_t segment, const std::function<void(Bytes&)>& change) {
  const auto path = log.segments()[segment];
  const auto whole = bytes_of(path);
  auto file = whole;
  change(file);
  write_file(path, file);
  auto report = log.verified();
  write_file(path, whole);
  return report;
}
void expect(const Report& report, const char* code, std::string_view words, const std::string& where) {
  EXPECT_EQ(report.verdict, Report::Invalid) << where;
  EXPECT_TRUE(std::ranges::any_of(report.faults, [&](const verify::Fault& f) { return f.code == code && f.what.contains(words); }))
      << where << ": no " << code << " \"" << words << "\" in\n" << verify::to_text(report);
}

TEST(Form, AHeaderSaysWhatItIsWhereItStandsAndWhatItFollows) {
  const Kept log;
  for (const auto& c : std::vector<Change>{{0, {'X'}, "segment-header", "no segment file"},
                                           {7, {'2'}, "segment-header", "no segment file"},
                                           {8, {2}, "segment-header", "version"},
                                           {12, {0, 0x20}, "segment-header", "version"},
                                           {16, {0xAA, 0xBB}, "incarnation", "another incarnation than its segment"},
                                           {32, {6}, "segment-name"},
                                           {40, {1, 2, 3, 4}, "entry-altered", "another segment's salt"},
                                           {56, {3}, "segment-missing"},
                                           {64, {0x10, 0x27}, "segment-truncated"},
                                           {72, {1, 2, 3, 4}, "segment-chain"},
                                           {112, {0, 0}, "segment-header", "origin's length"},
                                           {112, {1, 4}, "segment-header", "origin's length"},
                                           {114, {'N'}, "segment-origin"},
                                           {112, {17}, "segment-header", "padded"},
                                           {4091, {1}, "segment-header", "padded"}}) {
    const auto report = with(log, 1, [&](Bytes& file) {
      std::ranges::copy(c.bytes, file.begin() + static_cast<std::ptrdiff_t>(c.at));
      mend_header(file);
    });
    expect(report, c.code, c.words, "header byte " + std::to_string(c.at));
  }
  // Of the first: it follows nothing.
  expect(with(log, 0, [](Bytes& file) { file[56] = 0, mend_header(file); }), "segment-missing", "", "the first segment follows one");
  EXPECT_EQ(with(log, 1, [](Bytes& file) { mend_header(file); }).verdict, Report::Valid);
}

TEST(Form, AFrameSaysWhatItHolds) {
  const Kept log;
  const auto places = frames(bytes_of(log.segments()[1]));
  const auto batch = places[2].first, footer = places.back().first;
  struct FrameChange : Change {
    std::size_t frame;
  };
  for (const auto& c : std::vector<FrameChange>{{{0, {3}, "entry-altered", "type is unknown"}, batch},
                                                {{0, {0}, "entry-altered", "type is unknown"}, batch},
                                                {{3, {1}, "entry-altered", "type is unknown"}, batch},
                                                {{0, {2}, "entry-altered", "a footer with records"}, batch},
                                                {{4, {0xFF, 0xFF, 0xFF, 0x7F}, "entry-altered", "cut off"}, batch},
                                                {{8, {99}, "frame-order"}, batch},
                                                {{16, {2}, "entry-altered", "records do not parse"}, batch},
                                                {{20, {2}, "entry-altered", "records do not parse"}, batch},
                                                {{20, {0}, "entry-altered", "records do not parse"}, batch},
                                                {{24, {1, 2, 3}, "entry-altered", "another segment's salt"}, batch},
                                                {{44, {1}, "entry-altered", "padding is not zero"}, batch},
                                                {{48, {3}, "entry-altered", "records do not parse"}, batch},
                                                {{48, {2}, "entry-altered", "records do not parse"}, batch},
                                                {{49, {1, 0}, "entry-altered", "records do not parse"}, batch},
                                                {{16, {1}, "entry-altered", "a footer with records"}, footer},
                                                {{20, {1}, "entry-altered", "a footer with records"}, footer},
                                                {{0, {1}, "entry-altered", "records do not parse"}, footer}}) {
    const auto report = with(log, 1, [&](Bytes& file) {
      std::ranges::copy(c.bytes, file.begin() + static_cast<std::ptrdiff_t>(c.frame + c.at));
      if (c.at != 4) mend(file, c.frame);
    });
    expect(report, c.code, c.words, "frame byte " + std::to_string(c.at));
    ASSERT_FALSE(report.faults.empty());
    EXPECT_EQ(report.faults[0].offset, std::optional<std::uint64_t>(c.frame)) << c.at;
  }
  EXPECT_EQ(with(log, 1, [&](Bytes& file) { mend(file, batch); }).verdict, Report::Valid);
}

TEST(Form, EveryByteOfAFooterIsHeldAgainstTheEntries) {
  const Kept log;
  for (const std::size_t segment : {1, 2}) {
    const auto whole = bytes_of(log.segments()[segment]);
    const auto at = frames(whole).back().first;
    std::uint32_t length = 0;
    std::memcpy(&length, &whole[at + 4], 4);
    for (std::size_t i = 0; i < length; ++i) {
      const auto report = with(log, segment, [&](Bytes& file) { file[at + kFrameHeader + i] ^= 1, mend(file, at); });
      EXPECT_EQ(report.verdict, Report::Invalid);
      ASSERT_FALSE(report.faults.empty());
      const auto code = report.faults[0].code;
      EXPECT_TRUE(code == "footer" || code == "footer-sessions") << i << " " << code;
      EXPECT_EQ(report.faults[0].offset, std::optional<std::uint64_t>(at));
    }
  }
}

TEST(Form, AFooterListsTheSessionsThatAreOpenWithAllTheyDidSoFar) {
  // A command waits for its outcome when the segment is full.
  Node node;
  node.segment_bytes = 64U << 10;
  auto log = node.open();
  auto s = log->new_session();
  ASSERT_TRUE(log->append_wait(opened(s)));
  ASSERT_TRUE(log->append_wait(command(s)));
  while (node.segments().size() < 2) ASSERT_TRUE(log->append_wait(std::move(Entry(Kind::ConfigApplied).text(Field::Reason, std::string(20'000, 'x')))));
  log->stop();
  log.reset();
  const auto path = node.segments()[0];
  const auto whole = bytes_of(path);
  const auto last = frames(whole).back();
  ASSERT_EQ(whole[last.first], 2U);
  ASSERT_EQ(verified(node.folder.path, node.keys.second).verdict, Report::Valid);
  std::uint32_t length = 0;
  std::memcpy(&length, &whole[last.first + 4], 4);
  // [id, entries 2, commands 1, outcomes 0, chunks 0, [2]]: the last 7 bytes are the counts and the list.
  for (std::size_t back = 1; back <= 7; ++back) {
    auto file = whole;
    const auto at = last.first + kFrameHeader + length - back;
    file[at] ^= 4;
    mend(file, last.first);
    write_file(path, file);
    const auto report = verified(node.folder.path, node.keys.second);
    EXPECT_TRUE(has(report, "footer-sessions")) << back << "\n" << verify::to_text(report);
  }
}

TEST(Form, ASignedTextCountsOnlyWhenItIsACheckpointOfThisLog) {
  const Kept log;
  const auto signer = *parse_signer_key(log.keys.first);
  const auto note = bytes_of(log.checkpoint());
  const std::string text(as_text(note).substr(0, as_text(note).find("\n\n") + 1));
  const auto root = text.substr(text.find('\n', text.find('\n') + 1) + 1);
  const std::string origin = "node.test/evidence\n";
  const auto report = [&](const std::string& body) {
    write_file(log.checkpoint(), as_bytes(sign_note(signer, body)));
    return log.verified();
  };
  EXPECT_EQ(report(text).verdict, Report::Valid);
  EXPECT_EQ(report(origin + "21\n" + root).verdict, Report::Valid);
  EXPECT_EQ(report(text + "an extension line\n").verdict, Report::Valid);
  for (const auto* size : {"", "021", "00", "-21", "+21", " 21", "21 ", "2x", "0x15", "18446744073709551616"}) expect(report(origin + size + "\n" + root), "head-signature", *size == 0 ? "" : "no checkpoint", size);
  expect(report(origin + "21\n"), "head-signature", "no checkpoint", "no root");
  expect(report(origin), "head-signature", "no checkpoint", "origin only");
  expect(report("\n21\n" + root), "head-signature", "", "empty origin");
  for (const auto* bad : {"", "AAAA", "zT+PfTpzEvWGXO88xnxiQMZFiH+7uKOYhMf1ZJc3dQB=", "!"}) expect(report(origin + "21\n" + bad + "\n"), "head-signature", *bad == 0 ? "" : "no checkpoint", bad);
  expect(report(origin + "21\n" + base64(Bytes(31)) + "\n"), "head-signature", "no checkpoint", "31 bytes");
  expect(report(origin + "21\n" + base64(Bytes(33)) + "\n"), "head-signature", "no checkpoint", "33 bytes");
  expect(report("other.test/evidence\n21\n" + root), "head-origin", "", "another log");
  expect(report(origin + "0\n" + root), "head-root", "", "size 0 has the root of nothing");
  EXPECT_NE(report(origin + "0\n" + base64(sha256({})) + "\n").verdict, Report::Invalid) << "a head over nothing says nothing wrong";
  expect(report(origin + "22\n" + root), "log-truncated", "entry 21 is missing", "one more");
  expect(report(origin + "24\n" + root), "log-truncated", "entries 21 to 23 are missing", "three more");
}

TEST(Form, HeadsOfTheArchiveDoNotFall) {
  const Kept log;
  const auto whole = bytes_of(log.checkpoints());
  const std::string text(as_text(whole));
  const auto first = text.substr(0, text.find("\n\n", text.find("\n\n") + 2) + 2);
  write_file(log.checkpoints(), as_bytes(text + first));
  expect(log.verified(), "head-order", "", "the first again at the end");
  write_file(log.checkpoints(), as_bytes(text.substr(0, text.size() - 1)));
  EXPECT_EQ(log.verified().verdict, Report::Valid) << "only the empty line behind the last is missing";
  write_file(log.checkpoints(), as_bytes(text.substr(0, text.size() - 2)));
  EXPECT_EQ(log.verified().verdict, Report::Valid) << "a last one that is torn";
  write_file(log.checkpoints(), as_bytes(text + text.substr(text.rfind("node.test/evidence\n"))));
  EXPECT_EQ(log.verified().verdict, Report::Valid) << "equal sizes";
  write_file(log.checkpoints(), as_bytes(text + "x"));
  expect(log.verified(), "head-signature", "no beginning of one", "something else behind them");
}

}  // namespace
}  // namespace sallyport::tamper
