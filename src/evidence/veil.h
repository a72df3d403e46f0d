#pragma once
// Veils: in an entry of version 2 salted hashes stand in place of single fields, and a record behind it holds their values, encrypted
// (docs/formats/entry.md, "Veils"). Made on the worker that built the entry, before it is queued (Entry::veil); opened by whoever
// reads files. Any thread. Errors: Malformed (a record that is none, or of other values than the veils).
#include <optional>

#include "base/result.h"
#include "evidence/entry.h"

namespace sallyport::evidence {

/// In the order of their keys, which is that of a FieldSet's bits.
constexpr std::array kVeilable = {Field::Target, Field::Peer, Field::Software, Field::Action, Field::Object, Field::Facts, Field::Error, Field::Reason};

/// Those of a kind of entry. What the log says of itself, and how a session ended, is never veiled.
FieldSet veilable(Kind kind);
/// Its bit; 0 of a field that cannot be veiled.
FieldSet bit_of(Field field);
/// "peer"; nullopt when there is no such field, or it cannot be veiled.
std::optional<Field> veilable_field(std::string_view name);

/// A field as the record has it: the salt opens this field alone.
struct ClearField {
  Field field;
  Digest salt;
  Bytes value;   // CBOR, as it would stand in the entry
  Digest veil() const;
};
/// `key`: the session's, or the node's for an entry without one.
Result<std::vector<ClearField>> open_record(const Digest& key, ByteView record);

constexpr std::size_t kRecordLeast = 112, kRecordMost = 70'000;   // of its data
/// Whether a record can be of this length: seed, whole blocks of 64, tag.
constexpr bool is_record_size(std::size_t size) { return size >= kRecordLeast && size <= kRecordMost && (size - 48) % 64 == 0; }

}  // namespace sallyport::evidence
