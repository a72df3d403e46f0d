#include "cli/pack_fields.h"

#include "evidence/cbor.h"
#include "evidence/veil.h"
#include "verify/veil.h"

namespace sallyport::cli {

Result<PackFields::Given> PackFields::of(verify::Entry& entry, ByteView veiled) {
  if (const auto clear = static_cast<std::uint8_t>(verify::clear_fields(entry) & withheld_); clear != 0)
    return fail(ErrorKind::Denied, fmt::format("entry {} has its {} in clear text, for evidence.veil did not name it when that was written: nothing can withhold it alone; ask for less (--session, --from-index)",
                                               entry.index, verify::names_of(clear)));
  if (entry.veiled == 0) return Given{};
  if (query_.fields == "sealed") return Given{{veiled.begin(), veiled.end()}, true};
  const auto wanted = static_cast<std::uint8_t>(entry.veiled & ~withheld_);
  if (wanted == 0 || (entry.session && keys_.erased(*entry.session))) return Given{};
  TRY(const auto key, entry.session ? keys_.key(*entry.session) : keys_.node_key());
  TRY(const auto values, evidence::open_record(key, veiled));
  Given out;
  evidence::cbor::put_map(out.bytes, static_cast<unsigned>(std::popcount(wanted)));
  for (const auto& one : values) {
    if ((evidence::bit_of(one.field) & wanted) == 0) continue;
    evidence::cbor::put_uint(out.bytes, static_cast<std::uint64_t>(one.field));
    evidence::cbor::put_array(out.bytes, 2);
    evidence::cbor::put_bytes(out.bytes, one.salt);
    out.bytes.insert(out.bytes.end(), one.value.begin(), one.value.end());
  }
  if (const auto wrong = verify::open_fields(out.bytes, entry); !wrong.empty()) return fail(ErrorKind::Malformed, fmt::format("entry {}: {}; run sallyport-verify with --keys", entry.index, wrong));
  return out;
}

std::uint64_t disclosed_size(ByteView leaf, const PackFields::Given& given) { return leaf.size() + (given.bytes.empty() ? 5 : 9 + given.bytes.size()); }

void put_disclosed(Bytes& out, ByteView leaf, const PackFields::Given& given) {
  const auto length = [&](std::size_t n) {
    for (int i = 0; i < 4; ++i) out.push_back(static_cast<std::uint8_t>(n >> (8 * i)));
  };
  out.push_back(given.bytes.empty() ? 1 : given.sealed ? 3 : 2);
  length(leaf.size());
  if (!given.bytes.empty()) length(given.bytes.size());
  out.insert(out.end(), leaf.begin(), leaf.end());
  out.insert(out.end(), given.bytes.begin(), given.bytes.end());
}

}  // namespace sallyport::cli
