#include "verify/veil.h"

#include <algorithm>

#include "verify/cbor.h"
#include "verify/hmac.h"

namespace sallyport::verify {
namespace {

constexpr const char* kNames[] = {"target", "peer", "software", "action", "object", "facts", "error", "reason"};
constexpr std::size_t kBlock = 64;

/// The value that comes next, against the veil of that key.
std::string open_one(Cbor& reader, std::uint64_t key, const Hash& salt, Entry& entry) {
  const auto place = place_of(key);
  if (!place || (entry.hidden >> *place & 1) == 0) return "its key " + std::to_string(key) + " has no veil, or is opened twice";
  const auto from = reader.at();
  const bool readable = read_value(reader, key, entry);
  if (!readable) return "what is given as its " + std::string(kNames[*place]) + " is not what the format says";
  const auto veil = HmacSha256(salt).add(reader.since(from)).done();
  if (!std::equal(veil.begin(), veil.end(), entry.veils[*place])) return "what is given as its " + std::string(kNames[*place]) + " is not what its veil was made of";
  entry.hidden &= static_cast<std::uint8_t>(~(1u << *place));
  return "";
}

}  // namespace

std::optional<std::size_t> place_of(std::string_view name) {
  for (std::size_t i = 0; i < kVeilable.size(); ++i)
    if (kNames[i] == name) return i;
  return std::nullopt;
}

const char* field_name(std::size_t place) { return kNames[place]; }

std::string names_of(std::uint8_t places) {
  std::string out;
  for (std::size_t i = 0; i < kVeilable.size(); ++i)
    if ((places >> i & 1) != 0) out += (out.empty() ? "" : ", ") + std::string(kNames[i]);
  return out;
}

std::uint8_t may_be_veiled(Kind kind) {
  switch (kind) {
    case Kind::NodeStart: case Kind::NodeStop: case Kind::Recovery: case Kind::Heartbeat: case Kind::ConfigApplied: case Kind::Gap:
    case Kind::SinkFailed: case Kind::SinkRecovered: case Kind::KeyEpoch: return 0;
    case Kind::Prune: case Kind::Hold: case Kind::Erase: return 1u << 1;   // peer
    case Kind::SessionClose: return 0x7F;                                  // all but its reason
    default: return 0xFF;
  }
}

std::uint8_t clear_fields(const Entry& entry) {
  std::uint8_t there = 0;
  for (std::size_t i = 0; i < kVeilable.size(); ++i) there |= static_cast<std::uint8_t>((entry.seen >> kVeilable[i] & 1) << i);
  return there & may_be_veiled(entry.kind) & static_cast<std::uint8_t>(~entry.veiled);
}

std::string open_fields(View fields, Entry& entry) {
  Entry opened = entry;
  Cbor reader(fields);
  const auto count = reader.map();
  std::uint64_t before = 0;
  for (std::uint64_t i = 0; reader.ok() && i < count; ++i) {
    const auto key = reader.uint();
    const auto parts = reader.array();
    const auto salt = reader.bytes();
    if (!reader.ok() || key <= before || parts != 2 || salt.size() != 32) return "its opened fields are not spelled as the format says";
    before = key;
    if (auto wrong = open_one(reader, key, fixed<32>(salt, 0), opened); !wrong.empty()) return wrong;
  }
  if (!reader.ok() || !reader.at_end() || count == 0) return "its opened fields are not spelled as the format says";
  entry = opened;
  return "";
}

std::string open_values(View plain, Entry& entry) {
  if (plain.size() < 32) return "its veiled values are too short";
  Entry opened = entry;
  const auto rest = plain.subspan(32);
  Cbor reader(rest);
  const auto count = reader.map();
  std::uint64_t before = 0;
  for (std::uint64_t i = 0; reader.ok() && i < count; ++i) {
    const auto key = reader.uint();
    if (!reader.ok() || key <= before || key > 255) return "its veiled values are not one deterministic CBOR map";
    before = key;
    const auto byte = static_cast<std::uint8_t>(key);
    if (auto wrong = open_one(reader, key, HmacSha256(plain.first(32)).add({&byte, 1}).done(), opened); !wrong.empty()) return wrong;
  }
  const auto padding = reader.ok() ? rest.subspan(reader.at()) : View{};
  if (!reader.ok() || padding.size() >= kBlock || !all_zero(padding)) return "its veiled values are not one deterministic CBOR map and zeros";
  if (opened.hidden != 0) return "its veiled values lack " + names_of(opened.hidden);
  entry = opened;
  return "";
}

}  // namespace sallyport::verify
