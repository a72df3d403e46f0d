#pragma once
// A second reading of a text for the detectors: without characters that show nothing, full-width forms and digits of
// other scripts as ASCII, every dash as '-', every space as ' ', JSON escapes resolved. It is only searched, never sent.
// Pure, any thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::enforce {

struct Folded {
  std::string text;
  std::vector<std::uint32_t> from;  // the place in the original of each byte, and the original's size at the end
};

/// The original is at most 4 GiB.
Folded fold(std::string_view original);

}  // namespace sallyport::enforce
