#include "enforce/tool_pin.h"

#include <algorithm>

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
  const auto kept = std::ranges::count_if(before.phrases, [&](auto phrase) { return std::ranges::binary_search(after.phrases, phrase); });
  return static_cast<double>(kept) >= kNearlyAll * static_cast<double>(before.phrases.size());
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
