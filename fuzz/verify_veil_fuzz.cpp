// An entry of any bytes, and what is given for its veils: opened fields of a pack, and the plain text of a record. Nothing is opened
// but what has the veil in the entry, and what is not opened stays hidden.
#include <bit>

#include "verify/hmac.h"
#include "verify/veil.h"

using namespace sallyport::verify;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const View all(data, size);
  if (size < 2) return 0;
  const auto length = std::min<std::size_t>(little(all, 0, 2), size - 2);
  const auto leaf = all.subspan(2, length), given = all.subspan(2 + length);
  Entry entry;
  if (!read_entry(leaf, entry).empty()) return 0;
  if ((entry.veiled != 0) != (leaf[0] == 2) || (entry.veiled & ~may_be_veiled(entry.kind)) != 0 || entry.hidden != entry.veiled) __builtin_trap();
  if ((clear_fields(entry) & entry.veiled) != 0) __builtin_trap();
  for (const bool fields : {true, false}) {
    Entry opened = entry;
    const auto wrong = fields ? open_fields(given, opened) : open_values(given, opened);
    if (!wrong.empty() && opened.hidden != entry.hidden) __builtin_trap();
    if (wrong.empty() && (opened.hidden == entry.hidden || (!fields && opened.hidden != 0))) __builtin_trap();
    (void)describe(opened);
    (void)names_of(opened.hidden);
  }
  return 0;
}
