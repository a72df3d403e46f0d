// Reading a stored entry as far as recovery needs it: the writer's keys, a command's decision, an outcome's command.
#include "evidence/cbor.h"
#include "evidence/entry.h"

namespace sallyport::evidence {
namespace {

Result<void> read_id(cbor::Reader& in, Id16& out) {
  TRY(const auto bytes, in.bytes());
  if (bytes.size() != out.size()) return fail(ErrorKind::Malformed, "entry: an id is not 16 bytes long");
  std::ranges::copy(bytes, out.begin());
  return {};
}

Result<void> read_field(cbor::Reader& in, std::uint64_t field, EntryFacts& facts) {
  switch (field) {
    case 1: {
      TRY(facts.index, in.uint());
      return {};
    }
    case 2:
    case 3: TRY_VOID(in.uint()); return {};
    case 4: return read_id(in, facts.incarnation);
    case 5: facts.has_session = true; return read_id(in, facts.session);
    case 6: {
      TRY(facts.sequence, in.uint());
      return {};
    }
    case 7: {
      TRY(const auto kind, in.uint());
      if (kind < 1 || kind > static_cast<std::uint64_t>(Kind::ToolTrust)) return fail(ErrorKind::Malformed, "entry: unknown kind");
      facts.kind = static_cast<Kind>(kind);
      return {};
    }
    case static_cast<std::uint64_t>(Field::Decision): {
      TRY(const auto decision, in.uint());
      facts.allowed = decision == static_cast<std::uint64_t>(Decision::Allowed);
      return {};
    }
    case static_cast<std::uint64_t>(Field::CommandIndex): {
      TRY(facts.command_index, in.uint());
      return {};
    }
    case static_cast<std::uint64_t>(Field::Epoch): {
      TRY(facts.epoch, in.uint());
      return {};
    }
    case static_cast<std::uint64_t>(Field::EpochKey): {
      TRY(const auto key, in.bytes());
      if (key.size() != facts.epoch_key.size()) return fail(ErrorKind::Malformed, "entry: an epoch's key is not 32 bytes long");
      std::ranges::copy(key, facts.epoch_key.begin());
      return {};
    }
    default: return in.skip();
  }
}

}  // namespace

Result<EntryFacts> read_entry(ByteView leaf) {
  if (leaf.size() < 2 || leaf.size() > 65535) return fail(ErrorKind::Malformed, "entry: impossible length");
  if (leaf[0] != 1 && leaf[0] != 2) return fail(ErrorKind::Malformed, "entry: unknown format version");
  cbor::Reader in(leaf.subspan(1));
  TRY(const auto pairs, in.map());
  EntryFacts facts;
  facts.veils = leaf[0] == 2;
  std::uint64_t seen = 0, last = 0;
  for (std::uint64_t i = 0; i < pairs; ++i) {
    TRY(const auto key, in.uint());
    if (key <= last || key > static_cast<std::uint64_t>(Field::Last)) {
      return fail(ErrorKind::Malformed, "entry: keys are not ascending or unknown");
    }
    last = key;
    seen |= std::uint64_t{1} << key;
    TRY_VOID(read_field(in, key, facts));
  }
  constexpr std::uint64_t kAlways = 0b10011110;  // keys 1 to 4 and 7
  const auto session = seen >> 5 & 3;
  const bool veiled = (seen >> static_cast<unsigned>(Field::Veiled) & 1) != 0;
  if (!in.at_end() || (seen & kAlways) != kAlways || session == 1 || session == 2 || veiled != facts.veils) {
    return fail(ErrorKind::Malformed, "entry: a key is missing or bytes follow the map");
  }
  return facts;
}

}  // namespace sallyport::evidence
