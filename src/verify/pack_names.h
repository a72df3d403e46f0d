#pragma once
// The member `names` of a pack: openings of pseudonyms, each of which must be what its salt and value make. Pure.
#include "verify/report_html.h"

namespace sallyport::verify {

/// nullopt with what is wrong, and in which line, in `why`.
std::optional<Openings> read_names(std::string_view text, std::string& why);

}  // namespace sallyport::verify
