#pragma once
// Reads an evidence directory, also one that a gateway is writing: entries in order, payloads of a session with its key.
// For the command line; what must be proven is sallyport-verify's business. Read-only, any one thread.
// Errors: Unavailable (files), Malformed (a segment that cannot be what its successor says; the verifier names the place).
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <variant>

#include "evidence/entry.h"
#include "evidence/names.h"
#include "evidence/pruned.h"

namespace sallyport::evidence {

/// What stands in place of a field whose value is not in the entry (veil.h).
struct Veil {
  Digest hash{};
};

using FieldValue = std::variant<std::uint64_t, std::string, Bytes, std::vector<std::string>, std::map<std::string, std::string>,
                                std::map<std::string, std::uint64_t>, PayloadRef, std::array<std::uint64_t, 4>, Veil>;

struct StoredEntry {
  std::uint64_t index = 0, sequence = 0;
  std::int64_t wall_ns = 0;
  std::uint64_t mono_ns = 0;
  Id16 incarnation{};
  std::optional<Id16> session;
  Kind kind = Kind::NodeStart;
  std::map<Field, FieldValue> fields;

  std::string text(Field field) const;          // "" when absent
  std::uint64_t uint(Field field) const;        // 0 when absent
  const PayloadRef* payload() const;            // nullptr when absent
  bool is_veiled(Field field) const;
};

/// Puts names for the pseudonyms of an entry.
void resolve(const NameTable& names, StoredEntry& entry);
/// The entry of docs/formats/entry.md, every field. Errors: Malformed.
Result<StoredEntry> decode_entry(ByteView leaf);

/// Puts what the record behind an entry says in place of the veils; they stay when it is not what they are of. Errors: Malformed.
Result<void> open_veils(const Digest& key, ByteView record, StoredEntry& entry);

/// What is sealed in a chunk: of a payload's first one the salt and a zstd frame, else a frame. Errors: Malformed.
Result<Bytes> open_chunk(const Digest& key, const Id16& session, std::uint64_t number, ByteView sealed);

std::string_view name_of(Field field);          // "request_id", "subject", …
std::string to_json(const StoredEntry& entry);

struct ScanVisitor;
class VeilKeys;

class Reader {
 public:
  static Result<Reader> open(std::string directory);

  const std::string& origin() const { return origin_; }
  const std::string& directory() const { return directory_; }
  /// Whom pseudonyms stand for, as far as it is kept and readable; entries that each() gives bear names already.
  const NameTable& names() const { return names_; }
  /// The first kept entry, and the tree before it.
  std::uint64_t first() const { return before_.size(); }
  const CompactRange& before() const { return before_; }
  /// Calls `visit` for each entry in order until it returns false. Veils are opened where their key is kept and readable.
  Result<void> each(const std::function<bool(const StoredEntry&)>& visit) const;

  /// The same with the entries' bytes, which are the leaves of the tree.
  Result<void> leaves(const std::function<bool(ByteView)>& visit) const;

  /// Where a chunk's ciphertext lies, to be read later: `segment` is a place in segments().
  struct ChunkPlace {
    std::uint32_t segment = 0, size = 0;
    std::uint64_t offset = 0;
  };
  /// Entries, each with the record of its veiled values (empty: it has none), and chunks in the order of the log. Ends when `entry`
  /// returns false.
  using EntryVisit = std::function<bool(ByteView leaf, ByteView veiled)>;
  Result<void> scan(const EntryVisit& entry, const std::function<void(const Id16&, std::uint64_t, const ChunkPlace&)>& chunk = {}) const;
  const std::string& segment_path(std::uint32_t segment) const { return segments_[segment].path; }

  /// The chunks of one session by number, still encrypted.
  using Chunks = std::map<std::uint64_t, Bytes>;
  Result<Chunks> chunks(const Id16& session) const;

  /// One entry, and the chunks of its payload: reads the entry's segment, and those before it until all chunks are there. Errors also:
  /// Denied (there is no such entry).
  Result<StoredEntry> entry(std::uint64_t index) const;
  Result<Chunks> chunks_of(const StoredEntry& entry) const;

  /// A payload in clear text: decrypted, decompressed, its commitment checked. Errors also: Denied (key erased).
  Result<std::string> payload(const Id16& session, const PayloadRef& ref, const Chunks& chunks) const;

 private:
  struct Segment {
    std::string path;
    std::uint64_t first = 0;                    // its first entry
    std::optional<std::uint64_t> length;        // stated by the successor
  };
  Result<void> scan_one(const Segment& segment, ScanVisitor& visitor) const;
  /// The segment that holds an entry, as a place in segments_; nullopt when none does.
  std::optional<std::size_t> segment_of(std::uint64_t index) const;
  std::string directory_, origin_;
  CompactRange before_;
  std::vector<Segment> segments_;
  NameTable names_;
  std::shared_ptr<VeilKeys> veil_keys_;
};

}  // namespace sallyport::evidence
