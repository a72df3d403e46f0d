#pragma once
// What a pack says of veiled fields (docs/formats/pack.md, "entries"): opened, but for those that the question withholds and those whose
// session was erased; or sealed, in packs that the gateway keeps of held sessions. Main thread, or the keeping one.
#include "evidence/session_keys.h"
#include "verify/entry.h"
#include "verify/manifest.h"

namespace sallyport::cli {

/// An entry's bytes, and the record of its veiled values behind it.
struct PackLeaf {
  ByteView bytes, veiled;
};

class PackFields {
 public:
  PackFields(const verify::Query& query, evidence::StoredKeys& keys) : query_(query), withheld_(verify::withheld_of(query)), keys_(keys) {}

  struct Given {
    Bytes bytes;
    bool sealed = false;
  };
  /// What stands beside a disclosed entry, empty where nothing does; opened fields are put into the entry, as views of it. Errors:
  /// Denied (a field that is to be withheld stands there in clear text), Unavailable (no key), Malformed (a record that is not the entry's).
  Result<Given> of(verify::Entry& entry, ByteView veiled);

 private:
  const verify::Query& query_;
  const std::uint8_t withheld_;
  evidence::StoredKeys& keys_;
};

/// Where a disclosed leaf stands in `entries`: appended to `out`.
void put_disclosed(Bytes& out, ByteView leaf, const PackFields::Given& given);
/// As many bytes as that.
std::uint64_t disclosed_size(ByteView leaf, const PackFields::Given& given);

}  // namespace sallyport::cli
