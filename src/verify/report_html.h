#pragma once
// report.html of a pack: what an auditor reads. Made only of what the pack's entries say and of its manifest, so a verifier makes
// it again and compares. No script, no link, nothing fetched; every recorded text is escaped, also what turns the
// direction of text. Another text for the same entries is another kReportVersion (manifest.h). Pure.
#include <map>

#include "verify/note.h"
#include "verify/pack_story.h"

namespace sallyport::verify {

/// Value of each opened pseudonym.
using Openings = std::map<std::string, std::string, std::less<>>;

/// For an element's text or a quoted attribute. Control characters, C1, and those that change how text is laid out become U+XXXX.
std::string html(std::string_view text);

std::string report_html(const Manifest& manifest, const Hash& root, const PackStory& story, const Openings& names);
/// README.txt.
std::string readme_of(const Manifest& manifest);

}  // namespace sallyport::verify
