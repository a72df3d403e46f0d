#pragma once
// How often something failed lately, by key (a name, an address): a sliding minute, bounded in keys. An attempt counts
// from its start, so that many at once do not slip through; a good one is given back. When full of fresh keys, a
// new one is refused: forgetting would open the door that the limit shuts. The worker's thread only.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

namespace sallyport::identity {

class Attempts {
 public:
  explicit Attempts(std::size_t limit) : limit_(limit) {}

  /// False when the limit is reached.
  bool begin(const std::string& key, std::int64_t mono_ns) {
    if (times_.size() >= kMaxKeys && !times_.contains(key)) {
      std::erase_if(times_, [&](const auto& item) { return item.second.back() + kWindow <= mono_ns; });
      if (times_.size() >= kMaxKeys) return false;
    }
    auto& times = times_[key];
    while (!times.empty() && times.front() + kWindow <= mono_ns) times.pop_front();
    if (times.size() >= limit_) return false;
    times.push_back(mono_ns);
    return true;
  }

  void give_back(const std::string& key, std::int64_t began_mono_ns) {
    const auto at = times_.find(key);
    if (at == times_.end()) return;
    const auto time = std::ranges::find(at->second, began_mono_ns);
    if (time != at->second.end()) at->second.erase(time);
    if (at->second.empty()) times_.erase(at);
  }

 private:
  static constexpr std::int64_t kWindow = 60'000'000'000;
  static constexpr std::size_t kMaxKeys = 10'000;
  std::size_t limit_;
  std::unordered_map<std::string, std::deque<std::int64_t>> times_;
};

}  // namespace sallyport::identity
