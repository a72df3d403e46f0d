#pragma once
// Tokens that a worker has judged, by their SHA-256: bounded in number (the least recently used goes) and in time. One
// for good tokens and one for bad ones, so that a flood of garbage drives no good one out. The worker's thread only.
#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"

namespace sallyport::identity {

template <class Verdict>
class TokenCache {
 public:
  explicit TokenCache(std::size_t capacity) : capacity_(capacity) {}

  /// nullptr when it is not there or its time is over.
  const Verdict* find(const Digest& token, std::int64_t mono_ns) {
    const auto at = index_.find(token);
    if (at == index_.end()) return nullptr;
    if (mono_ns >= at->second->until) {
      items_.erase(at->second);
      index_.erase(at);
      return nullptr;
    }
    items_.splice(items_.begin(), items_, at->second);
    return &at->second->verdict;
  }

  void put(const Digest& token, Verdict verdict, std::int64_t until_mono_ns) {
    if (const auto at = index_.find(token); at != index_.end()) {
      items_.erase(at->second);
      index_.erase(at);
    }
    items_.push_front({token, std::move(verdict), until_mono_ns});
    index_[token] = items_.begin();
    if (items_.size() > capacity_) {
      index_.erase(items_.back().token);
      items_.pop_back();
    }
  }

  void clear() {
    index_.clear();
    items_.clear();
  }
  std::size_t size() const { return items_.size(); }

 private:
  struct Item {
    Digest token;
    Verdict verdict;
    std::int64_t until;
  };
  struct First8 {  // a SHA-256 is as good a hash as any; nobody can choose collisions of it
    std::size_t operator()(const Digest& digest) const {
      std::size_t value = 0;
      for (int i = 0; i < 8; ++i) value = value << 8 | digest[static_cast<std::size_t>(i)];
      return value;
    }
  };
  std::size_t capacity_;
  std::list<Item> items_;
  std::unordered_map<Digest, typename std::list<Item>::iterator, First8> index_;
};

}  // namespace sallyport::identity
