#include "verify/by_number.h"

#include <random>

namespace sallyport::verify {

ById::ById() : slots_(64) {
  std::random_device random;
  for (auto& one : secret_) one = std::uint64_t{random()} << 32 | random();
}

std::size_t ById::slot_of(const Id& id) const {
  const auto h = hash(id);
  const auto mask = slots_.size() - 1;
  auto at = h & mask;
  // The mark is most of the hash: an id is looked at only when it is, nearly always, the right one.
  while (slots_[at].place != kNone && (slots_[at].mark != h >> 32 || ids_[slots_[at].place] != id)) at = (at + 1) & mask;
  return at;
}

void ById::add(const Id& id, std::uint32_t place) {
  if (2 * (size_ + 1) > slots_.size()) {
    std::vector<Slot> before(2 * slots_.size());
    before.swap(slots_);
    for (const auto& one : before)
      if (one.place != kNone) slots_[slot_of(ids_[one.place])] = one;
  }
  if (place >= ids_.size()) ids_.resize(place + std::size_t{1});
  ids_[place] = id;
  slots_[slot_of(id)] = {static_cast<std::uint32_t>(hash(id) >> 32), place};
  ++size_;
}

/// What stands behind it moves up, as far as its own slot allows: no gap may part an id from where it is looked for.
void ById::remove(const Id& id) {
  const auto mask = slots_.size() - 1;
  auto gap = slot_of(id);
  if (slots_[gap].place == kNone) return;
  --size_;
  for (auto at = (gap + 1) & mask; slots_[at].place != kNone; at = (at + 1) & mask) {
    const auto home = hash(ids_[slots_[at].place]) & mask;
    if (((at - home) & mask) < ((at - gap) & mask)) continue;
    slots_[gap] = slots_[at];
    gap = at;
  }
  slots_[gap].place = kNone;
}

}  // namespace sallyport::verify
