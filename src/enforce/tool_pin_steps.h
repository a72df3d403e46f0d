#pragma once
// What a sighting or a review does to a pin: the rules of trust in one place, without state, clock or evidence. Pure, any thread.
#include <optional>

#include "enforce/tool_pins.h"

namespace sallyport::enforce {

/// What has happened to a pin; `action` is what the entry says: "pinned", "new", "changed", "renamed", "suspicious", "restored", "accepted", "rejected".
struct PinStep {
  Pin next;
  std::string action;
  Digest digest{};       // the definition it is about
  Digest before{};       // the one that was trusted until then
};

/// Where a sighting is seen.
struct PinScene {
  const TargetPins& known;
  const target::ToolTrust& terms;
  PinKind kind = PinKind::Tool;
  bool first = false;                  // the first catalogue of this kind is not over yet
  std::int64_t wall_ns = 0;
  std::function<Likeness(const std::string&)> likeness;
};

/// Nothing when all is as it was.
std::optional<PinStep> sighted(const PinScene& scene, const Sighting::One& one);
/// Errors: Denied with the reason.
Result<PinStep> reviewed(const Pin& pin, const PinReview& review, std::int64_t wall_ns);
/// Fills in what a pin is made into when it is loaded.
void load_up(Pin& pin, const std::function<Likeness(const std::string&)>& likeness);

}  // namespace sallyport::enforce
