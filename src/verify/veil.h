#pragma once
// Veils (docs/formats/entry.md): which fields can have one, and opening them. An opened field is computed anew: only then is it put into
// the entry. The verifier's own. Pure; views point into what was opened.
#include "verify/entry.h"

namespace sallyport::verify {

/// Target, peer, software, action, object, facts, error, reason.
constexpr std::array<std::uint8_t, 8> kVeilable = {13, 14, 16, 21, 22, 23, 27, 33};
inline std::optional<std::size_t> place_of(std::uint64_t key) {
  for (std::size_t i = 0; i < kVeilable.size(); ++i)
    if (kVeilable[i] == key) return i;
  return std::nullopt;
}
// Bits of sets of them.
constexpr std::uint8_t kTargetField = 1, kPeerField = 2, kSoftwareField = 4, kActionField = 8, kObjectField = 16, kErrorField = 64, kReasonField = 128;
std::optional<std::size_t> place_of(std::string_view name);
const char* field_name(std::size_t place);
/// "peer, object" of a set of places.
std::string names_of(std::uint8_t places);

std::uint8_t may_be_veiled(Kind kind);
/// Those that stand in an entry in clear text and could have been veiled.
std::uint8_t clear_fields(const Entry& entry);

/// {key => [salt, value]}, of a pack: some of an entry's veiled fields. "" or what is wrong; then nothing was put into the entry.
std::string open_fields(View fields, Entry& entry);
/// What a record of veiled values holds, decrypted: all of an entry's veiled fields. As open_fields.
std::string open_values(View plain, Entry& entry);

}  // namespace sallyport::verify
