#pragma once
// The segment file's parts: header, frames, records, footer, and the scan that says how far a file is valid.
// Format: docs/formats/segment.md. Pure functions over bytes, any thread.
#include <functional>
#include <optional>

#include "base/result.h"
#include "evidence/entry.h"
#include "evidence/merkle.h"

namespace sallyport::evidence {

constexpr std::size_t kSegmentHeader = 4096;
constexpr std::size_t kFrameHeader = 48;
constexpr std::uint64_t kNoSegment = UINT64_MAX;

struct SegmentHeader {
  Id16 incarnation{}, salt{};
  std::uint64_t first_index = 0;
  std::uint64_t previous = kNoSegment, previous_length = 0;
  Digest previous_digest{};
  std::int64_t created_wall_ns = 0;
  std::string origin;
};
Bytes encode_header(const SegmentHeader& header);
/// Errors: Malformed.
Result<SegmentHeader> decode_header(ByteView file);

enum class FrameType : std::uint32_t { Batch = 1, Footer = 2 };
enum class RecordType : std::uint8_t { Entry = 1, Chunk = 2, Veiled = 3 };

/// Builds one frame in a buffer: room for its header first, then records or a footer, then close().
class FrameBuilder {
 public:
  void begin(Bytes buffer);  // takes over the buffer's memory
  Bytes& payload() { return bytes_; }
  void chunk(const Id16& session, const Chunk& chunk);
  /// An entry record of `size` bytes follows in payload().
  void entry(std::size_t size);
  /// What belongs to the entry that ends payload().
  void veiled(ByteView data);
  void close(FrameType type, std::uint64_t first_index, const Id16& salt);
  const Bytes& bytes() const { return bytes_; }
  Bytes take() { return std::move(bytes_); }
  std::uint32_t entries() const { return entries_; }
  std::uint32_t records() const { return records_; }

 private:
  Bytes bytes_;
  std::uint32_t entries_ = 0, records_ = 0;
};

struct OpenSession {
  Id16 id{};
  std::uint64_t entries = 0, commands = 0, outcomes = 0, chunks = 0;
  std::vector<std::uint64_t> open_commands;
};
struct Footer {
  std::uint64_t size = 0;
  std::vector<Digest> range;
  std::uint64_t entries = 0, chunks = 0;
  std::vector<OpenSession> open;  // ascending by id
};
void encode_footer(const Footer& footer, Bytes& out);
/// Errors: Malformed.
Result<Footer> decode_footer(ByteView payload);

struct ScanVisitor {
  virtual ~ScanVisitor() = default;
  virtual void entry(const EntryFacts& facts, ByteView leaf) = 0;
  virtual void chunk(const Id16& session, std::uint64_t number, ByteView ciphertext) = 0;
};
struct Scan {
  std::uint64_t length = kSegmentHeader;  // bytes from the file's start that are valid
  std::uint64_t next_index = 0;
  std::uint64_t frames = 0, entries = 0, chunks = 0;
  ByteView last_frame;                    // or the header when there is no frame
  std::optional<Footer> footer;
  std::string stopped;                    // why there is no further frame; "" at the end of what was written
};
/// Walks the valid frames of a file whose header was decoded; a frame is visited only when all of it is valid. Frames with
/// entries from index `until` on are left alone.
Scan scan_segment(ByteView file, const SegmentHeader& header, ScanVisitor& visitor, std::uint64_t until = UINT64_MAX);

}  // namespace sallyport::evidence
