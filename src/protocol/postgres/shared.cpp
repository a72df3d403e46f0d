#include "protocol/postgres/shared.h"

#include "base/bytes.h"
#include "base/clock.h"

namespace sallyport::protocol::postgres {

BackendKey Cancels::add(std::size_t secret_bytes, std::function<void()> cancel) {
  BackendKey key;
  key.secret.resize(secret_bytes);
  const std::lock_guard lock(mutex_);
  do {
    std::array<std::uint8_t, 4> random;
    random_bytes(random);
    key.pid = (std::uint32_t{random[0]} << 24 | std::uint32_t{random[1]} << 16 | std::uint32_t{random[2]} << 8 | random[3]) & 0x7FFFFFFF;
  } while (key.pid == 0 || keys_.contains(key.pid));
  random_bytes({reinterpret_cast<std::uint8_t*>(key.secret.data()), key.secret.size()});
  keys_[key.pid] = {key.secret, std::move(cancel)};
  return key;
}

void Cancels::remove(std::uint32_t pid) {
  const std::lock_guard lock(mutex_);
  keys_.erase(pid);
}

bool Cancels::fire(std::uint32_t pid, std::string_view secret) {
  std::function<void()> cancel;
  {
    const std::lock_guard lock(mutex_);
    const auto at = keys_.find(pid);
    if (at == keys_.end() || !equal_constant_time(as_bytes(at->second.secret), as_bytes(secret))) return false;
    cancel = at->second.cancel;
  }
  cancel();
  return true;
}

bool Shared::may_cancel(const std::string& peer) {
  constexpr int kEachSecond = 50;
  constexpr std::size_t kMostAddresses = 10'000;
  const auto second = system_clock().mono_ns() / 1'000'000'000;
  if (cancels_of_.size() > kMostAddresses) std::erase_if(cancels_of_, [&](const auto& one) { return one.second.first != second; });
  if (cancels_of_.size() > kMostAddresses) return false;
  auto& [at, count] = cancels_of_[peer.substr(0, peer.rfind(':'))];
  if (at != second) count = 0;
  at = second;
  return ++count <= kEachSecond;
}

enforce::SqlEffectsPtr Shared::effects(const sql::AnalysisPtr& analysis, const sql::SchemaPtr& schema) {
  constexpr std::size_t kMost = 8192;
  auto& kept = effects_[{analysis.get(), schema.get()}];  // the value holds both, so that no address is used twice
  if (!kept) {
    if (effects_.size() > kMost) {
      effects_.clear();
      return effects_[{analysis.get(), schema.get()}] = enforce::SqlEffects::of(analysis, schema);
    }
    kept = enforce::SqlEffects::of(analysis, schema);
  }
  return kept;
}

}  // namespace sallyport::protocol::postgres
