#include "verify/pack_times.h"

#include <utility>

namespace sallyport::verify {

void PackTimes::entry(std::uint64_t index, std::uint64_t wall) {
  if (latest_.empty() || (wall > latest_.back().wall && wall - latest_.back().wall >= step_)) latest_.push_back({index, wall});
  while (!earliest_.empty() && earliest_.back().wall >= wall) earliest_.pop_back();
  // The last of those that lie close together stands for them all: whoever asks from among them on still finds one.
  const auto n = earliest_.size();
  if (n >= 2 && wall - earliest_[n - 2].wall < step_) earliest_.pop_back();
  earliest_.push_back({index, wall});
  if (latest_.size() > kMost || earliest_.size() > kMost) thin();
}

void PackTimes::thin() {
  step_ *= 2;
  std::vector<Entry> kept;
  for (const auto& one : latest_)
    if (kept.empty() || one.wall - kept.back().wall >= step_) kept.push_back(one);
  latest_ = std::exchange(kept, {});
  for (const auto& one : earliest_) {
    if (kept.size() >= 2 && one.wall - kept[kept.size() - 2].wall < step_) kept.pop_back();
    kept.push_back(one);
  }
  earliest_ = std::move(kept);
}

std::optional<PackTimes::Entry> PackTimes::later(std::uint64_t size, std::uint64_t limit) const {
  for (const auto& one : latest_)
    if (one.index < size && one.wall > limit) return one;
  return std::nullopt;
}

std::optional<PackTimes::Entry> PackTimes::earlier(std::uint64_t from, std::uint64_t limit) const {
  for (const auto& one : earliest_)
    if (one.index >= from && one.wall < limit) return one;
  return std::nullopt;
}

}  // namespace sallyport::verify
