#include "verify/by_number.h"

#include <algorithm>
#include <cstring>
#include <random>

namespace sallyport::verify {

ById::ById() : slots_(64) {
  std::random_device random;
  for (auto& one : secret_) one = std::uint64_t{random()} << 32 | random();
}

std::uint64_t ById::hash(const Id& id) const {
  std::uint64_t half[2];
  std::memcpy(half, id.data(), sizeof half);
  __extension__ using Wide = unsigned __int128;
  const auto product = static_cast<Wide>(half[0] ^ secret_[0]) * (half[1] ^ secret_[1]);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
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

std::vector<std::pair<Id, std::uint32_t>> ById::sorted() const {
  std::vector<std::pair<Id, std::uint32_t>> out;
  for (const auto& slot : slots_)
    if (slot.place != kNone) out.emplace_back(ids_[slot.place], slot.place);
  std::ranges::sort(out);
  return out;
}

}  // namespace sallyport::verify
