#pragma once
// JSON Schema (2020-12, and 2019-09, draft-07, -06 and -04 as tools use them): does a value keep to a schema that a stranger wrote?
// Both are hostile: every check has a bound on steps and depth, patterns run on RE2, and nothing is ever fetched. What cannot be judged
// here (a reference elsewhere, a pattern RE2 does not know, another dialect) is named in unchecked() and holds nothing back; what is
// over the bounds is a violation. `format` and the content keywords are annotations. Immutable, any thread.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace sallyport::enforce {

class JsonSchema {
 public:
  struct Violation {
    std::string path;      // JSON Pointer into the value, "" is the whole
    std::string keyword;   // "required", "type", …; "limit" when judging it would take too long
    std::string what;      // in words; of the schema's text, never of the value's
  };

  /// Errors: Malformed, when the text is no schema at all (neither an object nor a boolean).
  static Result<std::shared_ptr<const JsonSchema>> compile(std::string text);
  ~JsonSchema();

  /// The first thing that is wrong with it, if anything is.
  std::optional<Violation> violation(const json::Value& value) const;
  /// What of the schema is not judged: "/properties/a/pattern: …".
  const std::vector<std::string>& unchecked() const;

  struct Compiled;

 private:
  explicit JsonSchema(std::unique_ptr<const Compiled> compiled);
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace sallyport::enforce
