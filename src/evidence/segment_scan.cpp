// How far a segment file is valid. The file is hostile: every length is checked before it is believed.
#include "evidence/crc32c.h"
#include "evidence/little_endian.h"
#include "evidence/segment.h"
#include "evidence/veil.h"

namespace sallyport::evidence {
namespace {

struct Frame {
  FrameType type;
  std::uint64_t first_index;
  std::uint32_t entries, records;
  ByteView payload, whole;
};

Result<std::optional<Frame>> read_frame(ByteView rest, const Id16& salt) {
  if (rest.size() < 4 || get_le<std::uint32_t>(rest.data()) == 0) return std::nullopt;
  const auto bad = [](const char* why) { return fail(ErrorKind::Malformed, why); };
  if (rest.size() < kFrameHeader) return bad("frame header is cut");
  const auto* at = rest.data();
  const auto type = get_le<std::uint32_t>(at);
  if (type > 2) return bad("frame of unknown type");
  const std::uint64_t length = get_le<std::uint32_t>(at + 4);
  const auto padded = (kFrameHeader + length + 7) & ~std::uint64_t{7};
  if (padded > rest.size()) return bad("frame is longer than the file");
  if (std::memcmp(at + 24, salt.data(), 16) != 0) return bad("frame of another segment");
  const auto payload = rest.subspan(kFrameHeader, length);
  if (get_le<std::uint32_t>(at + 40) != crc32c(payload, crc32c(rest.first(40)))) return bad("frame has a wrong CRC");
  if (get_le<std::uint32_t>(at + 44) != 0) return bad("frame header has bytes where zeros are due");
  for (auto i = kFrameHeader + length; i < padded; ++i) {
    if (at[i] != 0) return bad("frame padding is not zero");
  }
  return Frame{static_cast<FrameType>(type), get_le<std::uint64_t>(at + 8), get_le<std::uint32_t>(at + 16),
               get_le<std::uint32_t>(at + 20), payload, rest.first(padded)};
}

struct Record {
  RecordType type;
  ByteView data;
};

Result<Record> read_record(ByteView& rest) {
  if (rest.size() < 5) return fail(ErrorKind::Malformed, "record is cut");
  const auto type = rest[0];
  const std::uint64_t length = get_le<std::uint32_t>(rest.data() + 1);
  if (type < 1 || type > 3) return fail(ErrorKind::Malformed, "record of unknown type");
  if (length > rest.size() - 5) return fail(ErrorKind::Malformed, "record is longer than its frame");
  const Record record{static_cast<RecordType>(type), rest.subspan(5, length)};
  if (record.type == RecordType::Chunk && length < 24 + 16) return fail(ErrorKind::Malformed, "chunk is too short");
  if (record.type == RecordType::Veiled && !is_record_size(record.data.size())) return fail(ErrorKind::Malformed, "veiled values of no possible length");
  rest = rest.subspan(5 + length);
  return record;
}

struct Checked {
  std::vector<EntryFacts> entries;
  std::uint32_t chunks = 0;
};

/// All of the frame is looked at before any of it is given away.
Result<Checked> check_batch(const Frame& frame) {
  Checked out;
  auto rest = frame.payload;
  for (std::uint32_t i = 0; i < frame.records; ++i) {
    TRY(const auto record, read_record(rest));
    const bool due = !out.entries.empty() && out.entries.back().veils && out.entries.back().veiled.empty();
    if (due != (record.type == RecordType::Veiled)) return fail(ErrorKind::Malformed, "veiled values do not stand behind their entry");
    if (record.type == RecordType::Veiled) {
      out.entries.back().veiled = record.data;
      continue;
    }
    if (record.type == RecordType::Chunk) {
      ++out.chunks;
      continue;
    }
    TRY(const auto facts, read_entry(record.data));
    if (facts.index != frame.first_index + out.entries.size()) return fail(ErrorKind::Malformed, "entry has another index than its place");
    out.entries.push_back(facts);
  }
  if (!out.entries.empty() && out.entries.back().veils && out.entries.back().veiled.empty()) return fail(ErrorKind::Malformed, "veiled values are missing");
  if (!rest.empty() || out.entries.size() != frame.entries) return fail(ErrorKind::Malformed, "frame holds other records than it says");
  return out;
}

void visit(const Frame& frame, const Checked& checked, ScanVisitor& visitor) {
  auto rest = frame.payload;
  std::size_t entry = 0;
  for (std::uint32_t i = 0; i < frame.records; ++i) {
    const auto record = *read_record(rest);
    if (record.type == RecordType::Entry) {
      visitor.entry(checked.entries[entry++], record.data);
    } else if (record.type == RecordType::Chunk) {
      Id16 session;
      std::memcpy(session.data(), record.data.data(), 16);
      visitor.chunk(session, get_le<std::uint64_t>(record.data.data() + 16), record.data.subspan(24));
    }
  }
}

/// Errors: what makes the frame invalid. True when it was the footer.
Result<bool> step(const Frame& frame, Scan& scan, ScanVisitor& visitor) {
  if (frame.first_index != scan.next_index) return fail(ErrorKind::Malformed, "frame begins at another index than the next");
  if (frame.type == FrameType::Footer) {
    TRY(auto footer, decode_footer(frame.payload));
    if (frame.entries != 0 || frame.records != 0 || footer.size != scan.next_index) return fail(ErrorKind::Malformed, "footer of another size");
    if (footer.entries != scan.entries || footer.chunks != scan.chunks) return fail(ErrorKind::Malformed, "footer counts are not those of the segment");
    scan.footer = std::move(footer);
    return true;
  }
  TRY(const auto checked, check_batch(frame));
  if (scan.frames == 0 && checked.entries.empty()) return fail(ErrorKind::Malformed, "first frame has no entry");
  visit(frame, checked, visitor);
  scan.next_index += frame.entries;
  scan.entries += frame.entries;
  scan.chunks += checked.chunks;
  return false;
}

}  // namespace

Scan scan_segment(ByteView file, const SegmentHeader& header, ScanVisitor& visitor, std::uint64_t until) {
  Scan scan;
  scan.next_index = header.first_index;
  scan.last_frame = file.first(kSegmentHeader);
  for (;;) {
    const auto frame = read_frame(file.subspan(scan.length), header.salt);
    if (!frame) {
      scan.stopped = frame.error().what;
      return scan;
    }
    if (!*frame || ((*frame)->first_index >= until && (*frame)->entries > 0)) return scan;
    const auto done = step(**frame, scan, visitor);
    if (!done) {
      scan.stopped = done.error().what;
      return scan;
    }
    scan.length += (*frame)->whole.size();
    scan.last_frame = (*frame)->whole;
    ++scan.frames;
    if (*done) return scan;
  }
}

}  // namespace sallyport::evidence
