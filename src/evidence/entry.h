#pragma once
// One entry of the evidence log before it has its place in it: kind, session, body fields and the payload chunks that
// must become durable with it. Format: docs/formats/entry.md (CDDL). Built on a worker, moved into Port::append, then
// owned by the writer thread, which adds index, times and session sequence. Field keys are written in ascending
// order (deterministic CBOR, RFC 8949 §4.2.1): the setters must be called in the order of Field.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace sallyport::evidence {

enum class Kind : std::uint8_t {
  NodeStart = 1, NodeStop, Recovery, Heartbeat, ConfigApplied, AuthOk, AuthFailed, SessionOpen, SessionClose,
  Command, Outcome, ApprovalRequested, ApprovalGranted, ApprovalDenied, ApprovalExpired, ApprovalUsed, Gap,
  AdminAction, EvidenceRead, SinkFailed, SinkRecovered, Prune, Hold, Erase, KeyEpoch, ToolTrust
};
/// "node.start", "command", …
const char* to_string(Kind kind);

enum class Decision : std::uint8_t { Allowed = 1, Blocked, Held };
enum class Outcome : std::uint8_t { Ok = 1, Error, Denied, Cancelled, Interrupted, Failed };

/// Integer keys of the body. 1..7 are the writer's (index, wall, mono, incarnation, session, sequence, kind).
enum class Field : std::uint8_t {
  RequestId = 8,    // text: what a person quotes ("req_…"); joins command, approval and outcome
  Subject,          // text
  Issuer,           // text
  Agent,            // text
  Groups,           // [text]
  Target,           // text
  Peer,             // text: address of the client
  Protocol,         // text: "mcp"
  Software,         // text: client name and version as it says
  PolicyDigest,     // bytes 32
  Decision,         // uint
  Rules,            // [text]
  Approval,         // text: id of the approval
  Action,           // text: "tools/call"
  Object,           // text: the tool, URI, table, …
  Facts,            // {text: text}
  Payload,          // payload reference
  Masked,           // {text: uint}: "rule:detector" -> count
  Result,           // uint: Outcome
  Error,            // text
  Items,            // uint: rows, content items
  Bytes,            // uint: as sent to the client
  DurationNs,       // uint
  CommandIndex,     // uint: index of the command entry an outcome belongs to
  Totals,           // session close, by the writer
  Reason,           // text
  Quorum,           // uint
  Approver,         // text
  ExpiresWallNs,    // uint
  Digest,           // bytes 32: what an approval is bound to
  Name,             // text: version, node name, administrative action
  RelatedSession,   // bytes 16: the session this one goes on from
  Discarded,        // uint: bytes recovery cut off
  DiscardedDigest,  // bytes 32
  SignedSize,       // uint
  Incarnation,      // bytes 16: the incarnation before
  EpochKey,         // bytes 32: Ed25519 key that signs heads from the next one on
  Epoch,            // uint: its number
  First,            // uint: of a prune, the first entry that is kept
  Root,             // bytes 32: of the tree before First, or of a head of another log
  Targets,          // [text]: what an access request is for: names, or "label=value"
  StartsWallNs,     // uint: when the access asked for or granted begins
  About,            // text: id of the request that this one renews or reviews
  Step,             // uint: the step that a vote filled, from 1
  ApproverIssuer,   // text: the issuer of Approver
  Veiled,           // bytes 32: SHA-256 of the record with the values of what is veiled; by Entry::veil
  Last = Veiled,
};

/// Some of the fields that can be veiled, a bit each (veil.h).
using FieldSet = std::uint8_t;

/// Where a payload lies and what it must be. Encoded into the leaf; see docs/formats/payload.md.
struct PayloadRef {
  std::uint64_t first_chunk = 0;   // chunk number within the session
  std::uint32_t chunks = 0;
  Digest ciphertext{};             // SHA-256 over all its ciphertext
  Digest commitment{};             // HMAC-SHA256(salt, plaintext); the salt lies in the ciphertext
  std::uint64_t plain_bytes = 0;
};

/// A piece of encrypted payload, stored beside the entries, not part of a leaf.
struct Chunk {
  std::uint64_t number = 0;
  Bytes ciphertext;
};

/// The index that a command's entry gets: known to the writer when it places it, and written into the outcome that follows,
/// which may be queued before. UINT64_MAX until then. The writer thread alone looks inside.
using Place = std::shared_ptr<std::uint64_t>;

class SessionRecord;  // the writer's view of a session: sequence and totals; src/evidence/session.h
using SessionPtr = std::shared_ptr<SessionRecord>;

class Entry {
 public:
  explicit Entry(Kind kind, SessionPtr session = nullptr) : kind_(kind), session_(std::move(session)) {}

  Entry& text(Field field, std::string_view value);           // empty values are left out
  Entry& uint(Field field, std::uint64_t value);
  Entry& bytes(Field field, ByteView value);
  Entry& texts(Field field, const std::vector<std::string>& values);      // left out when empty
  Entry& map(Field field, const std::map<std::string, std::string>& values);
  Entry& counts(Field field, const std::map<std::string, std::uint64_t>& values);
  Entry& payload(Field field, const PayloadRef& ref);
  Entry& tell(Place place) { place_ = std::move(place); return *this; }     // of a command: where its index is to be put
  Entry& command(Place place) { command_ = std::move(place); return *this; }  // of an outcome: CommandIndex; no field may follow
  /// Puts veils in place of those of these fields that it has (veil.h). When it is built; `node_key`: for one without a session.
  void veil(FieldSet fields, const Digest& node_key);
  /// The record to be stored behind it; empty when nothing of it is veiled.
  const Bytes& veiled() const { return veiled_; }
  /// Its result is told: lets go of all it holds. On the thread that made it, whose next entry then gets the body's memory.
  void retire();
  void add_chunk(Chunk chunk) { chunks_.push_back(std::move(chunk)); }

  Kind kind() const { return kind_; }
  const SessionPtr& session() const { return session_; }
  /// A text that names a person, where it stands in the body with its CBOR head: the writer may put a pseudonym there.
  struct Person {
    std::uint32_t at = 0, name = 0, end = 0;   // the head, the name behind it, what follows
  };
  std::span<const Person> people() const { return {people_.data(), people_count_}; }
  const Bytes& body() const { return body_; }
  std::uint32_t body_fields() const { return fields_; }
  std::vector<Chunk>& chunks() { return chunks_; }
  // What the writer must know of the body without decoding it.
  std::size_t totals_at() const { return totals_at_ < 0 ? body_.size() : static_cast<std::size_t>(totals_at_); }
  bool allowed() const { return allowed_; }
  std::uint64_t command_index() const { return command_ ? *command_ : command_index_; }
  /// It may wait a moment for the entry that follows it (an outcome, mostly): both are then one write. For entries whose
  /// effect waits for a later one anyway.
  Entry& wait_a_moment() { patient_ = true; return *this; }
  bool is_patient() const { return patient_; }
  bool command_is_placed() const { return command_ != nullptr; }
  const Place& place() const { return place_; }

 private:
  void key(Field field);
  Kind kind_;
  SessionPtr session_;
  Bytes body_, veiled_;
  std::uint32_t fields_ = 0;
  std::uint8_t last_key_ = 7;
  std::ptrdiff_t totals_at_ = -1;  // where Totals belongs, once a later key is there
  bool allowed_ = false, patient_ = false;
  std::uint64_t command_index_ = UINT64_MAX;
  Place place_, command_;
  std::array<Person, 2> people_{};
  std::uint8_t people_count_ = 0;
  std::vector<Chunk> chunks_;
};

/// What recovery and the readers of segments need of a stored entry.
struct EntryFacts {
  std::uint64_t index = 0;
  Id16 incarnation{};
  bool has_session = false;
  Id16 session{};
  std::uint64_t sequence = 0;
  Kind kind = Kind::NodeStart;
  bool allowed = false;                     // a command's decision
  std::uint64_t command_index = UINT64_MAX;
  std::uint64_t epoch = 0;                  // of an announcement, 0 otherwise
  bool veils = false;                       // some of its fields are veiled, and
  ByteView veiled;                          // the record behind it, where a segment is read
  Digest epoch_key{};
};
/// Errors: Malformed when the bytes are not an entry of docs/formats/entry.md.
Result<EntryFacts> read_entry(ByteView leaf);

/// The text with what is not UTF-8 replaced by U+FFFD.
std::string utf8(std::string_view text);

}  // namespace sallyport::evidence
