// Decoding one entry for people and programs. See reader.h.
#include "base/json.h"
#include "evidence/cbor.h"
#include "evidence/reader.h"
#include "evidence/veil.h"

namespace sallyport::evidence {
namespace {

constexpr std::string_view kNames[] = {"request_id", "subject", "issuer", "agent", "groups", "target", "peer", "protocol", "software",
                                       "policy", "decision", "rules", "approval", "action", "object", "facts", "payload", "masked",
                                       "result", "error", "items", "bytes", "duration_ns", "command_index", "totals", "reason", "quorum",
                                       "approver", "expires", "digest", "name", "related_session", "discarded", "discarded_digest",
                                       "signed_size", "previous_incarnation", "epoch_key", "epoch", "first", "root", "targets",
                                       "starts", "about", "step", "approver_issuer", "veiled"};
constexpr std::string_view kDecisions[] = {"", "allowed", "blocked", "held"};
constexpr std::string_view kResults[] = {"", "ok", "error", "denied", "cancelled", "interrupted", "failed"};

Result<Id16> read_id(cbor::Reader& reader) {
  TRY(const auto bytes, reader.bytes());
  Id16 id{};
  if (bytes.size() != id.size()) return fail(ErrorKind::Malformed, "an id is not 16 bytes long");
  std::copy(bytes.begin(), bytes.end(), id.begin());
  return id;
}

Result<Digest> read_digest(cbor::Reader& reader) {
  TRY(const auto bytes, reader.bytes());
  Digest digest{};
  if (bytes.size() != digest.size()) return fail(ErrorKind::Malformed, "a digest is not 32 bytes long");
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

Result<FieldValue> read_field(cbor::Reader& reader, Field field) {
  switch (field) {
    case Field::Decision: case Field::Result: case Field::Items: case Field::Bytes: case Field::DurationNs: case Field::CommandIndex:
    case Field::Quorum: case Field::ExpiresWallNs: case Field::Discarded: case Field::SignedSize:
    case Field::Epoch: case Field::First: case Field::StartsWallNs: case Field::Step: {
      TRY(const auto value, reader.uint());
      return value;
    }
    case Field::PolicyDigest: case Field::Digest: case Field::RelatedSession: case Field::DiscardedDigest: case Field::Incarnation:
    case Field::EpochKey: case Field::Root: case Field::Veiled: {
      TRY(const auto value, reader.bytes());
      return Bytes(value.begin(), value.end());
    }
    case Field::Groups: case Field::Rules: case Field::Targets: {
      std::vector<std::string> out;
      TRY(const auto count, reader.array());
      for (std::uint64_t i = 0; i < count; ++i) {
        TRY(const auto text, reader.text());
        out.emplace_back(text);
      }
      return out;
    }
    case Field::Facts: {
      std::map<std::string, std::string> out;
      TRY(const auto count, reader.map());
      for (std::uint64_t i = 0; i < count; ++i) {
        TRY(const auto key, reader.text());
        TRY(const auto value, reader.text());
        out[std::string(key)] = std::string(value);
      }
      return out;
    }
    case Field::Masked: {
      std::map<std::string, std::uint64_t> out;
      TRY(const auto count, reader.map());
      for (std::uint64_t i = 0; i < count; ++i) {
        TRY(const auto key, reader.text());
        TRY(const auto value, reader.uint());
        out[std::string(key)] = value;
      }
      return out;
    }
    case Field::Payload: {
      PayloadRef ref;
      TRY(const auto count, reader.array());
      if (count != 5) return fail(ErrorKind::Malformed, "a payload reference has five parts");
      TRY(ref.first_chunk, reader.uint());
      TRY(const auto chunks, reader.uint());
      ref.chunks = static_cast<std::uint32_t>(chunks);
      TRY(ref.ciphertext, read_digest(reader));
      TRY(ref.commitment, read_digest(reader));
      TRY(ref.plain_bytes, reader.uint());
      return ref;
    }
    case Field::Totals: {
      std::array<std::uint64_t, 4> totals{};
      TRY(const auto count, reader.array());
      if (count != totals.size()) return fail(ErrorKind::Malformed, "totals have four parts");
      for (auto& one : totals) {
        TRY(const auto value, reader.uint());
        one = value;
      }
      return totals;
    }
    default: {
      TRY(const auto text, reader.text());
      return std::string(text);
    }
  }
}

std::string json_of(Field field, const FieldValue& value) {
  const auto word = [](std::uint64_t n, auto& words) { return n < std::size(words) ? json::quote(words[n]) : std::to_string(n); };
  if (const auto* n = std::get_if<std::uint64_t>(&value))
    return field == Field::Decision ? word(*n, kDecisions) : field == Field::Result ? word(*n, kResults) : std::to_string(*n);
  if (const auto* text = std::get_if<std::string>(&value)) return json::quote(*text);
  if (const auto* bytes = std::get_if<Bytes>(&value)) return json::quote(hex(*bytes));
  if (const auto* veil = std::get_if<Veil>(&value)) return fmt::format(R"({{"veil":"{}"}})", hex(veil->hash));
  std::string out;
  const auto comma = [&] { return out.empty() ? "" : ","; };
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    for (const auto& one : *list) out += comma() + json::quote(one);
    return "[" + out + "]";
  }
  if (const auto* map = std::get_if<std::map<std::string, std::string>>(&value)) {
    for (const auto& [key, one] : *map) out += comma() + json::quote(key) + ":" + json::quote(one);
    return "{" + out + "}";
  }
  if (const auto* counts = std::get_if<std::map<std::string, std::uint64_t>>(&value)) {
    for (const auto& [key, one] : *counts) out += comma() + json::quote(key) + ":" + std::to_string(one);
    return "{" + out + "}";
  }
  if (const auto* ref = std::get_if<PayloadRef>(&value))
    return fmt::format(R"({{"first_chunk":{},"chunks":{},"ciphertext":"{}","commitment":"{}","bytes":{}}})", ref->first_chunk, ref->chunks, hex(ref->ciphertext),
                       hex(ref->commitment), ref->plain_bytes);
  const auto& totals = std::get<std::array<std::uint64_t, 4>>(value);
  return fmt::format(R"({{"entries":{},"commands":{},"outcomes":{},"chunks":{}}})", totals[0], totals[1], totals[2], totals[3]);
}

}  // namespace

std::string_view name_of(Field field) {
  const auto at = static_cast<std::size_t>(field) - 8;
  return at < std::size(kNames) ? kNames[at] : "unknown";
}

Result<StoredEntry> decode_entry(ByteView leaf) {
  if (leaf.empty() || (leaf[0] != 1 && leaf[0] != 2)) return fail(ErrorKind::Malformed, "an entry of an unknown version");
  cbor::Reader reader(leaf.subspan(1));
  StoredEntry out;
  TRY(const auto count, reader.map());
  for (std::uint64_t i = 0; i < count; ++i) {
    TRY(const auto key, reader.uint());
    switch (key) {
      case 1: { TRY(out.index, reader.uint()); break; }
      case 2: { TRY(const auto wall, reader.uint()); out.wall_ns = static_cast<std::int64_t>(wall); break; }
      case 3: { TRY(out.mono_ns, reader.uint()); break; }
      case 4: { TRY(out.incarnation, read_id(reader)); break; }
      case 5: { TRY(out.session, read_id(reader)); break; }
      case 6: { TRY(out.sequence, reader.uint()); break; }
      case 7: { TRY(const auto kind, reader.uint()); out.kind = static_cast<Kind>(kind); break; }
      default: {
        if (key > static_cast<std::uint64_t>(Field::Last)) return fail(ErrorKind::Malformed, "an entry has the unknown key " + std::to_string(key));
        const auto field = static_cast<Field>(key);
        if (leaf[0] == 2 && reader.next_is_bytes() && (bit_of(field) & veilable(out.kind)) != 0) {
          TRY(const auto hash, read_digest(reader));
          out.fields.emplace(field, Veil{hash});
          break;
        }
        TRY(auto value, read_field(reader, field));
        out.fields.emplace(field, std::move(value));
      }
    }
  }
  if (!reader.at_end()) return fail(ErrorKind::Malformed, "bytes follow an entry");
  return out;
}

Result<void> open_veils(const Digest& key, ByteView record, StoredEntry& entry) {
  TRY(const auto values, open_record(key, record));
  auto opened = entry.fields;
  for (const auto& one : values) {
    const auto at = opened.find(one.field);
    const auto* veil = at == opened.end() ? nullptr : std::get_if<Veil>(&at->second);
    if (veil == nullptr || one.veil() != veil->hash) return fail(ErrorKind::Malformed, fmt::format("the veiled values of entry {} are others than it has veils for", entry.index));
    cbor::Reader reader(one.value);
    TRY(at->second, read_field(reader, one.field));
  }
  entry.fields = std::move(opened);
  return {};
}

bool StoredEntry::is_veiled(Field field) const {
  const auto at = fields.find(field);
  return at != fields.end() && std::holds_alternative<Veil>(at->second);
}

std::string StoredEntry::text(Field field) const {
  const auto at = fields.find(field);
  const auto* value = at == fields.end() ? nullptr : std::get_if<std::string>(&at->second);
  return value == nullptr ? "" : *value;
}

std::uint64_t StoredEntry::uint(Field field) const {
  const auto at = fields.find(field);
  const auto* value = at == fields.end() ? nullptr : std::get_if<std::uint64_t>(&at->second);
  return value == nullptr ? 0 : *value;
}

const PayloadRef* StoredEntry::payload() const {
  const auto at = fields.find(Field::Payload);
  return at == fields.end() ? nullptr : std::get_if<PayloadRef>(&at->second);
}

std::string to_json(const StoredEntry& entry) {
  std::string out = fmt::format(R"({{"index":{},"wall_ns":{},"incarnation":"{}","kind":"{}")", entry.index, entry.wall_ns, hex(entry.incarnation), to_string(entry.kind));
  if (entry.session) out += fmt::format(R"(,"session":"{}","sequence":{})", hex(*entry.session), entry.sequence);
  for (const auto& [field, value] : entry.fields) out += fmt::format(R"(,"{}":{})", name_of(field), json_of(field, value));
  return out + "}";
}

}  // namespace sallyport::evidence
