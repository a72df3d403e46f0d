#pragma once
// What the rules keep of the sessions that are open (rules.h): small, for nearly every session is, and quick all the same when a log is
// made to be slow. Numbers and ids are an attacker's to choose. Pure.
#include <map>
#include <memory>

#include "verify/bytes.h"

namespace sallyport::verify {

/// Values by number, in ascending order: a few in place, and all in a tree when they become more.
template <class Value, std::size_t kFew>
class ByNumber {
 public:
  std::size_t size() const { return many_ ? many_->size() : count_; }
  bool empty() const { return size() == 0; }
  std::uint64_t first() const { return many_ ? many_->begin()->first : few_[0].number; }
  /// False when the number is there.
  bool add(std::uint64_t number, const Value& value) {
    if (!many_ && count_ == kFew) {
      many_ = std::make_unique<Tree>();
      for (const auto& one : few_) many_->emplace(one.number, one.value);
      count_ = 0;
    }
    if (many_) return many_->emplace(number, value).second;
    std::size_t at = count_;
    for (; at > 0 && few_[at - 1].number >= number; --at)
      if (few_[at - 1].number == number) return false;
    for (std::size_t i = count_++; i > at; --i) few_[i] = few_[i - 1];
    few_[at] = {number, value};
    return true;
  }
  std::optional<Value> take(std::uint64_t number) {
    if (many_) {
      const auto node = many_->extract(number);
      if (many_->empty()) many_.reset();
      return node ? std::optional(node.mapped()) : std::nullopt;
    }
    std::size_t at = 0;
    while (at < count_ && few_[at].number != number) ++at;
    if (at == count_) return std::nullopt;
    const Value out = few_[at].value;
    for (--count_; at < count_; ++at) few_[at] = few_[at + 1];
    return out;
  }
  void clear() { count_ = 0, many_.reset(); }
  template <class Visit>
  void each(Visit visit) const {
    for (std::size_t i = 0; i < count_; ++i) visit(few_[i].number);
    if (many_)
      for (const auto& [number, value] : *many_) visit(number);
  }

 private:
  using Tree = std::map<std::uint64_t, Value>;
  struct Item {
    std::uint64_t number = 0;
    [[no_unique_address]] Value value{};
  };
  std::array<Item, kFew> few_{};
  std::size_t count_ = 0;       // of few_; 0 when there is a tree, which is never empty
  std::unique_ptr<Tree> many_;
};

/// A place for each id, in flat arrays: its slot is its hash's, or the next free one behind it.
class ById {
 public:
  ById();
  static constexpr std::uint32_t kNone = UINT32_MAX;
  std::size_t size() const { return size_; }
  std::uint32_t find(const Id& id) const { return slots_[slot_of(id)].place; }  // kNone when it is not there
  /// Fetches what a find() of this id will read, for memory is slow and others are judged meanwhile.
  void expect(const Id& id) const { __builtin_prefetch(&slots_[hash(id) & (slots_.size() - 1)]); }
  /// Later: what that read says where the id's own place is. kNone or a place that may be another's.
  std::uint32_t expect_place(const Id& id) const {
    const auto at = slots_[hash(id) & (slots_.size() - 1)].place;
    if (at != kNone) __builtin_prefetch(&ids_[at]);
    return at;
  }
  /// Of an id that is not there yet. Places are indexes: those in use should be dense.
  void add(const Id& id, std::uint32_t place);
  void remove(const Id& id);

 private:
  struct Slot {
    std::uint32_t mark = 0, place = kNone;
  };
  std::uint64_t hash(const Id& id) const {
    std::uint64_t half[2];
    std::memcpy(half, id.data(), sizeof half);
    __extension__ using Wide = unsigned __int128;
    const auto product = static_cast<Wide>(half[0] ^ secret_[0]) * (half[1] ^ secret_[1]);
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
  std::size_t slot_of(const Id& id) const;  // where it is, or where it would be put
  std::vector<Slot> slots_;                 // a power of two, at most half of it in use
  std::vector<Id> ids_;                     // by place
  std::size_t size_ = 0;
  std::uint64_t secret_[2];                 // nobody can choose ids that all have one slot
};

}  // namespace sallyport::verify
