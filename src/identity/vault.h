#pragma once
// Secrets of others that must survive a restart (refresh tokens, upstream tokens): AES-256-GCM under a key in a file of its own, mode 0600,
// made at first use, so that the database alone, or a backup of it, gives nothing away. Immutable after open; any thread.
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace sallyport::identity {

class Vault {
 public:
  /// Errors: Unavailable (the file cannot be read or made, or is not a key).
  static Result<Vault> open(const std::string& path);
  /// For tests: a key that is forgotten with the process.
  static Vault in_memory();

  /// `bound_to` names what the secret is of: it opens nowhere else.
  Bytes seal(std::string_view bound_to, std::string_view secret) const;
  /// Errors: Unavailable (another key, or bytes that somebody changed).
  Result<std::string> unseal(std::string_view bound_to, ByteView sealed) const;

 private:
  explicit Vault(const Digest& key) : key_(key) {}
  Digest key_;
};

}  // namespace sallyport::identity
