#pragma once
// What the gateway knows of one tool, prompt or resource template of a target: the definition that is trusted, and the one that waits
// for somebody to look at it. Plain data, any thread.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "enforce/json_schema.h"

namespace sallyport::enforce {

// Both are stored as numbers: only ever added to.
enum class PinKind : std::uint8_t { Tool, Prompt, Template };
enum class PinState : std::uint8_t { Pinned, Quarantined, Rejected };
const char* to_string(PinKind kind);    // "tool"
const char* to_string(PinState state);  // "pinned"

/// What is suspicious about a definition.
struct Finding {
  std::string kind;     // "invisible-character", "hidden-instruction", …: docs/protocols/mcp.md has the list
  std::string place;    // JSON Pointer into the definition
  std::string shown;    // the piece of text, with what is invisible written out; cut
  bool grave = false;   // no honest description has it
  bool operator==(const Finding&) const = default;
};

/// By what a definition is known again under another name.
struct Likeness {
  Digest body{};                       // of all but names and titles; zero when that says too little
  std::vector<std::uint32_t> phrases;  // hashes, sorted, unique
};
/// The same but for names, or with nearly all of the phrases of `before`.
bool renamed(const Likeness& before, const Likeness& after);

struct Pin {
  PinKind kind = PinKind::Tool;
  std::string name;
  PinState state = PinState::Pinned;
  std::string accepted;                // canonical JSON; "" while nothing was ever trusted
  Digest accepted_digest{};
  std::int64_t accepted_wall_ns = 0;
  std::string accepted_by;             // who reviewed it; "" at first sight
  std::string offered;                 // what waits for a review, or was rejected; "" when pinned
  Digest offered_digest{};
  std::int64_t offered_wall_ns = 0;
  std::string why;                     // "changed", "renamed", "suspicious", "new"; of a pinned one "new" or "suspicious" when nobody has looked at it yet
  std::string of;                      // of "renamed": whose text it has
  std::vector<Finding> findings;       // of what is offered, or else of what is pinned

  // Made from the above when it is loaded.
  std::shared_ptr<const JsonSchema> arguments;  // of a tool's accepted definition; null when it has none that can be read
  std::vector<std::string> unchecked;           // what of it is not judged
  Likeness likeness;                            // of what is accepted, or else offered
};
using PinPtr = std::shared_ptr<const Pin>;

/// Everything that is known of one target. Immutable.
struct TargetPins {
  std::map<std::pair<PinKind, std::string>, PinPtr> pins;
  std::map<PinKind, bool> complete;    // a catalogue was seen (false) to its last page (true)

  const Pin* find(PinKind kind, const std::string& name) const;
  bool is_complete(PinKind kind) const;
  std::size_t waiting() const;         // quarantined ones
};
using TargetPinsPtr = std::shared_ptr<const TargetPins>;

}  // namespace sallyport::enforce
