#include "signin/grants.h"

#include <algorithm>

#include "signin/browser_flow.h"

namespace sallyport::signin {

namespace {

constexpr std::size_t kMaxCodes = 10'000, kMaxDevices = 10'000;
constexpr std::string_view kLetters = "BCDFGHJKLMNPQRSTVWXZ";  // RFC 8628 §6.1: no vowels, so that it makes no words; 20^8 codes
constexpr std::size_t kUserCode = 8;

std::string new_user_code() {
  std::string out;
  while (out.size() < kUserCode) {
    std::array<std::uint8_t, 16> random;
    random_bytes(random);
    for (const auto byte : random) {
      if (byte >= 240 || out.size() == kUserCode) continue;  // 240 is 12 times 20: every letter is as likely
      out += kLetters[byte % kLetters.size()];
    }
  }
  return out;
}

template <class Map>
void erase_over(Map& map, std::int64_t now) {
  std::erase_if(map, [&](const auto& one) { return one.second.expires_mono_ns <= now; });
}

}  // namespace

std::string plain_user_code(std::string_view typed) {
  std::string out;
  for (char c : typed) {
    if (c == '-' || c == ' ') continue;
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    if (kLetters.find(c) == kLetters.npos) return "";
    out += c;
  }
  return out.size() == kUserCode ? out : "";
}

void Grants::forget(std::int64_t now) {
  erase_over(codes_, now);
  erase_over(spent_, now);
  erase_over(devices_, now);
}

std::string Grants::make_code(CodeGrant grant, std::int64_t now) {
  forget(now);
  if (codes_.size() >= kMaxCodes) codes_.erase(codes_.begin());
  grant.expires_mono_ns = now + kCodeLife;
  auto code = random_text();
  codes_[sha256(as_bytes(code))] = std::move(grant);
  return code;
}

std::optional<CodeGrant> Grants::take_code(const std::string& code, std::int64_t now, std::string& reused) {
  forget(now);
  const auto digest = sha256(as_bytes(code));
  if (const auto at = spent_.find(digest); at != spent_.end()) reused = at->second.sign_in;
  const auto at = codes_.find(digest);
  if (at == codes_.end()) return std::nullopt;
  auto grant = at->second;
  codes_.erase(at);
  grant.expires_mono_ns = now + 10 * kCodeLife;
  spent_[digest] = grant;
  return grant;
}

std::optional<Grants::Device> Grants::begin_device(const std::string& address, std::int64_t now) {
  forget(now);
  if (devices_.size() >= kMaxDevices || !by_address_.begin(address, now)) return std::nullopt;
  Device out{random_text(), new_user_code()};
  while (find_device(out.user_code, now) != nullptr) out.user_code = new_user_code();
  DeviceGrant grant;
  grant.user_code = out.user_code;
  grant.peer = address;
  grant.expires_mono_ns = now + kDeviceLife;
  devices_[sha256(as_bytes(out.device_code))] = std::move(grant);
  return out;
}

DeviceGrant* Grants::find_device(std::string_view typed, std::int64_t now) {
  const auto code = plain_user_code(typed);
  for (auto& [digest, grant] : devices_)
    if (!code.empty() && grant.user_code == code && grant.expires_mono_ns > now && grant.state == DeviceGrant::State::Waiting) return &grant;
  return nullptr;
}

DevicePoll Grants::poll_device(const std::string& device_code, std::int64_t now, std::string& sign_in) {
  const auto at = devices_.find(sha256(as_bytes(device_code)));
  if (at == devices_.end() || at->second.expires_mono_ns <= now) return DevicePoll::Expired;
  auto& grant = at->second;
  if (grant.state == DeviceGrant::State::Waiting) {
    const bool early = grant.asked_mono_ns != 0 && now - grant.asked_mono_ns < grant.interval_ns - 500'000'000;
    grant.asked_mono_ns = now;
    if (early) grant.interval_ns += 5'000'000'000;  // RFC 8628 §3.5
    return early ? DevicePoll::SlowDown : DevicePoll::Pending;
  }
  const bool granted = grant.state == DeviceGrant::State::Granted;
  sign_in = grant.sign_in;
  devices_.erase(at);
  return granted ? DevicePoll::Granted : DevicePoll::Denied;
}

}  // namespace sallyport::signin
