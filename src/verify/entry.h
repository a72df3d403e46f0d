#pragma once
// One entry as the verifier sees it (docs/formats/entry.md): every key's type is checked, and what the rules between
// entries need is kept. Pure; views point into the entry.
#include "verify/bytes.h"

namespace sallyport::verify {

enum class Kind : std::uint8_t {
  NodeStart = 1, NodeStop, Recovery, Heartbeat, ConfigApplied, AuthOk, AuthFailed, SessionOpen, SessionClose, Command, Outcome,
  ApprovalRequested, ApprovalGranted, ApprovalDenied, ApprovalExpired, ApprovalUsed, Gap, AdminAction, EvidenceRead, SinkFailed,
  SinkRecovered, Prune, Hold, Erase, KeyEpoch, ToolTrust
};
const char* name_of(Kind kind);

struct Payload {
  std::uint64_t first = 0, chunks = 0, bytes = 0;
  Hash ciphertext{}, commitment{};
};

struct Entry {
  std::uint64_t index = 0, wall = 0, mono = 0, sequence = 0;
  Id incarnation{};
  std::optional<Id> session;
  Kind kind = Kind::NodeStart;
  std::uint64_t decision = 0, result = 0;
  std::optional<std::uint64_t> command, signed_size, discarded, quorum;
  std::optional<Id> before;                       // the incarnation before
  std::optional<std::array<std::uint64_t, 4>> totals;
  std::optional<Payload> payload;
  std::optional<Hash> digest, discarded_digest, policy, epoch_key, root;
  std::optional<std::uint64_t> epoch, first;
  std::string_view approval, approver, approver_issuer, action, object, subject, request;
  std::string_view issuer, agent, target, peer, protocol, software, reason, error, name;
  std::uint64_t items = 0, sent = 0, duration = 0;
  View rules, masked;                             // CBOR as it stands there: a list of texts, a map of text to count
  std::uint64_t seen = 0;                         // the keys that it has, a bit each
  // Of version 2 (veil.h). A field that is veiled is empty above, unless it was opened.
  std::uint8_t veiled = 0, hidden = 0;            // veiled; and not opened: a bit each, by their places in kVeilable
  std::array<const std::uint8_t*, 8> veils{};     // 32 bytes each
  const std::uint8_t* veiled_digest = nullptr;    // 32 bytes: of the record with the values
};

/// "" and a filled entry, or what is wrong with the bytes.
std::string read_entry(View bytes, Entry& out);

/// One value of an entry, by its key; false when it is not what the format says.
class Cbor;
bool read_value(Cbor& reader, std::uint64_t key, Entry& out);

/// Who voted, apart from all others. Older logs have the voter as the subject and no issuer of the approver.
std::string approver_of(const Entry& entry);

/// "entry 17 (command tools/call read_ticket by alice, session ab12cd34, 2026-11-20T10:00:00Z)": safe for a terminal.
std::string describe(const Entry& entry);

}  // namespace sallyport::verify
