#include "enforce/tool_pin.h"

#include <algorithm>
#include <cmath>

namespace sallyport::enforce {

namespace {
constexpr std::size_t kFewPhrases = 8;   // fewer say too little to be recognised by
constexpr double kNearlyAll = 0.8;
}  // namespace

const char* to_string(PinKind kind) { return kind == PinKind::Tool ? "tool" : kind == PinKind::Prompt ? "prompt" : "template"; }
const char* to_string(PinState state) { return state == PinState::Pinned ? "pinned" : state == PinState::Quarantined ? "quarantined" : "rejected"; }

bool renamed(const Likeness& before, const Likeness& after) {
  if (before.body != Digest{} && before.body == after.body) return true;
  if (before.phrases.size() < kFewPhrases) return false;
  // Both are sorted; as soon as too many are gone the rest need not be looked at.
  const auto all = static_cast<double>(before.phrases.size());
  auto gone = static_cast<std::int64_t>(all - std::ceil(kNearlyAll * all));
  auto at = after.phrases.begin();
  for (const auto phrase : before.phrases) {
    while (at != after.phrases.end() && *at < phrase) ++at;
    if ((at == after.phrases.end() || *at != phrase) && --gone < 0) return false;
  }
  return true;
}

const Pin* TargetPins::find(PinKind kind, const std::string& name) const {
  const auto at = pins.find({kind, name});
  return at == pins.end() ? nullptr : at->second.get();
}

bool TargetPins::is_complete(PinKind kind) const {
  const auto at = complete.find(kind);
  return at != complete.end() && at->second;
}

std::size_t TargetPins::waiting() const {
  return static_cast<std::size_t>(std::ranges::count_if(pins, [](const auto& one) { return one.second->state == PinState::Quarantined; }));
}

}  // namespace sallyport::enforce
