#pragma once
// Masking (docs/masking.md): field rules first, then detectors on every string. Values are replaced in place in the
// original text, a string by a string, a number by a number, so that the result stays valid against its schema.
// Pure, any thread. Detectors never allocate for text that holds no candidate (SIMD prescan).
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "enforce/policy.h"

namespace sallyport::enforce {

/// How often each rule replaced what: key is "rule:field-or-detector". Goes into the outcome entry.
using MaskCounts = std::map<std::string, std::uint64_t>;

/// A compiled set of mask rules; made once per distinct set and cached by the caller.
class Masker {
 public:
  explicit Masker(const std::vector<const MaskRule*>& rules);
  ~Masker();
  Masker(Masker&&) noexcept;

  bool empty() const;

  /// Masks free text; returns true when `text` was changed.
  bool mask_text(std::string& text, MaskCounts& counts) const;
  /// True and the masked text in `out` when something was found; clean text is not copied.
  bool mask_view(std::string_view text, std::string& out, MaskCounts& counts) const;

  /// Masks every string under `root` (keys too: a key that holds a card number becomes masked), numbers that a
  /// detector of digits recognises, strings that themselves hold JSON (MCP's text content), and what field rules
  /// name, relative to each of `root`. Edits go to `splice`, in offsets of the document's text.
  void mask_json(const json::Value& root, json::Splice& splice, MaskCounts& counts) const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

/// Reports an unknown detector name or a JSON path that does not parse: "" when fine, else what is wrong.
std::string check_detector(std::string_view name);
std::string check_field_path(std::string_view path);

}  // namespace sallyport::enforce
