#pragma once
// What the gateway's own OAuth endpoints have promised and not yet handed out: authorization codes (RFC 6749 §4.1, 60 s, once) and device
// grants (RFC 8628, ten minutes). In memory: a restart costs a sign-in that is under way, nothing else. Codes are kept hashed. Only who has
// signed in makes a code; devices are bounded in number and by address. The admin worker's thread only.
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "identity/attempts.h"

namespace sallyport::signin {

struct CodeGrant {
  std::string sign_in, challenge, redirect_uri;
  std::string client, agent, resource, scopes;   // of an MCP client; "" for the command line
  std::int64_t expires_mono_ns = 0;
};

struct DeviceGrant {
  enum class State : std::uint8_t { Waiting, Granted, Denied } state = State::Waiting;
  std::string user_code, sign_in, peer;
  std::int64_t expires_mono_ns = 0, asked_mono_ns = 0, interval_ns = 5'000'000'000;
};

enum class DevicePoll : std::uint8_t { Pending, SlowDown, Denied, Expired, Granted };

class Grants {
 public:
  /// The code, shown once.
  std::string make_code(CodeGrant grant, std::int64_t mono_ns);
  /// Once. A code that comes a second time was stolen: `reused` then names the sign-in that it gave.
  std::optional<CodeGrant> take_code(const std::string& code, std::int64_t mono_ns, std::string& reused);

  struct Device {
    std::string device_code, user_code;
  };
  /// nullopt when too many wait, or this address began too many.
  std::optional<Device> begin_device(const std::string& address, std::int64_t mono_ns);
  /// By the code that a person typed: case, hyphens and spaces do not count. nullptr when there is none that waits.
  DeviceGrant* find_device(std::string_view user_code, std::int64_t mono_ns);
  DevicePoll poll_device(const std::string& device_code, std::int64_t mono_ns, std::string& sign_in);

  static constexpr std::int64_t kDeviceLife = 600'000'000'000, kCodeLife = 60'000'000'000;

 private:
  void forget(std::int64_t mono_ns);
  std::map<Digest, CodeGrant> codes_;
  std::map<Digest, CodeGrant> spent_;
  std::map<Digest, DeviceGrant> devices_;
  identity::Attempts by_address_{10};
};

/// "ABCD-EFGH" without what is only for the eye; "" when it is none.
std::string plain_user_code(std::string_view typed);

}  // namespace sallyport::signin
