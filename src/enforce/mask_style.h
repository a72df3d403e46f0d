#pragma once
// What a masked value looks like (docs/masking.md has a table). A masked value is never found again by a detector and
// masks to itself, so that masking twice changes nothing. Pure but for the key of Hash, which is random and lives as
// long as the process: equal values have equal tokens, and no one can try values out against a token. Any thread.
#include <string>
#include <string_view>

#include "enforce/detect.h"
#include "enforce/policy.h"

namespace sallyport::enforce {

/// Of two ways to mask one value the one that shows less.
MaskWith stricter(MaskWith a, MaskWith b);

/// What stands in a text in place of a hit. Null has no form within a text and looks like Redact.
std::string mask_hit(const Hit& hit, MaskWith with);

/// The whole of a string that a field rule names.
std::string mask_whole(std::string_view value, MaskWith with);

/// A number for a number: a card number that a detector found (its last four digits at most) …
std::string mask_card_number(std::string_view digits, MaskWith with);
/// … or one that a field rule names.
std::string mask_number(std::string_view raw, MaskWith with);

}  // namespace sallyport::enforce
