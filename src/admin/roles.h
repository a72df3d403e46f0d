#pragma once
// What somebody may do at the admin listener. A route names the one permission it needs; a handler may ask for further ones to
// show more. Pure, any thread.
#include <cstdint>

namespace sallyport::admin {

enum class Permission : std::uint8_t {
  Open,          // no sign-in
  SignedIn,      // whoever has a token: own identity, own requests, own receipts
  EvidenceRead,  // the log, and everybody's receipts
  EvidenceKeep,  // erase, hold, release, prune
};
constexpr std::size_t kPermissions = 4;
const char* to_string(Permission permission);

/// A set of them.
class Powers {
 public:
  Powers& add(Permission permission) { bits_ |= bit(permission); return *this; }
  bool has(Permission permission) const { return permission == Permission::Open || (bits_ & bit(permission)) != 0; }

 private:
  static std::uint32_t bit(Permission permission) { return std::uint32_t{1} << static_cast<unsigned>(permission); }
  std::uint32_t bits_ = 0;
};

}  // namespace sallyport::admin
