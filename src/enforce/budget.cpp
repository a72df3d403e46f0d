#include "enforce/budget.h"

#include <algorithm>
#include <cmath>

namespace sallyport::enforce {
namespace {

constexpr std::size_t kLookAt = 10'000;  // uses that are kept before those at rest are dropped

/// A bucket that fills evenly and holds what one stretch allows.
struct Bucket {
  double level = 0;
  std::int64_t at_ns = 0;
  bool begun = false;
  void fill(double capacity, std::int64_t per_ns, std::int64_t now) {
    if (!std::exchange(begun, true)) level = capacity;
    else level = std::min(capacity, level + capacity * static_cast<double>(now - at_ns) / static_cast<double>(per_ns));
    at_ns = now;
  }
  /// Seconds until there is `need` again.
  std::int64_t wait_s(double need, double capacity, std::int64_t per_ns) const {
    return std::max<std::int64_t>(1, std::llround(std::ceil((need - level) / capacity * static_cast<double>(per_ns) / 1e9)));
  }
};

std::string per_text(std::int64_t ns) {
  const auto seconds = ns / 1'000'000'000;
  if (seconds % 3600 == 0) return std::to_string(seconds / 3600) + " h";
  return seconds % 60 == 0 ? std::to_string(seconds / 60) + " min" : std::to_string(seconds) + " s";
}

}  // namespace

struct Budgets::Use {
  std::mutex mutex;
  target::Budget terms;  // the newest
  Bucket calls, bytes;
  std::uint64_t running = 0;
  std::int64_t touched_ns = 0;
};

Budgets::Place::Place(std::shared_ptr<Use> use, bool running, const Clock& clock) : use_(std::move(use)), running_(running), clock_(clock) {}

Budgets::Place::~Place() {
  if (!running_) return;
  const std::lock_guard lock(use_->mutex);
  --use_->running;
}

void Budgets::Place::spend(std::uint64_t bytes) {
  const std::lock_guard lock(use_->mutex);
  if (use_->terms.bytes == 0) return;
  use_->bytes.fill(static_cast<double>(use_->terms.bytes), use_->terms.per_ns, clock_.mono_ns());
  use_->bytes.level -= static_cast<double>(bytes);
}

Result<Budgets::PlacePtr> Budgets::take(const identity::Principal& who, const target::Target& target, bool counted) {
  const auto& terms = target.budget;
  if (terms.calls == 0 && terms.bytes == 0 && terms.concurrent == 0) return PlacePtr();
  const auto now = clock_.mono_ns();
  std::shared_ptr<Use> use;
  {
    const std::lock_guard lock(mutex_);
    if (uses_.size() >= kLookAt)
      std::erase_if(uses_, [&](const auto& one) { return one.second.use_count() == 1 && now - one.second->touched_ns > one.second->terms.per_ns; });
    auto& found = uses_[who.person() + "\n" + who.agent + "\n" + target.name];
    if (!found) found = std::make_shared<Use>();
    use = found;
  }
  const std::lock_guard lock(use->mutex);
  use->terms = terms;
  use->touched_ns = now;
  const auto used_up = [&](const std::string& what, std::int64_t wait_s) {
    return fail(ErrorKind::Denied, "the budget of " + who.display() + " on " + target.name + " is used up: " + what + (wait_s > 0 ? "; again in " + std::to_string(wait_s) + " s" : ""));
  };
  if (terms.bytes != 0) {
    use->bytes.fill(static_cast<double>(terms.bytes), terms.per_ns, now);
    if (use->bytes.level <= 0) return used_up(std::to_string(terms.bytes) + " bytes in " + per_text(terms.per_ns), use->bytes.wait_s(1, static_cast<double>(terms.bytes), terms.per_ns));
  }
  if (counted) {
    if (terms.concurrent != 0 && use->running >= terms.concurrent) return used_up(std::to_string(terms.concurrent) + " commands are running", 0);
    if (terms.calls != 0) {
      use->calls.fill(static_cast<double>(terms.calls), terms.per_ns, now);
      if (use->calls.level < 1) return used_up(std::to_string(terms.calls) + " calls in " + per_text(terms.per_ns), use->calls.wait_s(1, static_cast<double>(terms.calls), terms.per_ns));
      use->calls.level -= 1;
    }
  }
  if (counted) ++use->running;
  return std::make_shared<Place>(use, counted, clock_);
}

}  // namespace sallyport::enforce
