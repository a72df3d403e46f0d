#pragma once
// Signs tree heads (C2SP tlog-checkpoint in a signed-note). It sees sizes and roots only, keeps the last head durable
// before it signs, and never signs a smaller size or another root for the same size. Used by the log's signing
// thread only.
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace sallyport::evidence {

struct Signer {
  virtual ~Signer() = default;
  /// The checkpoint note for (size, root). Errors: Denied (smaller or contradicting head), Unavailable (cannot keep the head).
  virtual Result<std::string> sign(std::uint64_t size, const Digest& root) = 0;
  /// The last head it signed; size 0 when none.
  virtual std::pair<std::uint64_t, Digest> last() const = 0;
  /// C2SP verifier key: "<origin>+<hash>+<base64>".
  virtual std::string verifier_key() const = 0;
};

/// Ed25519 with the key in memory. `private_key` is a C2SP signer key ("PRIVATE+KEY+<name>+<hash>+<base64>");
/// `state_file` keeps the last head. Errors: Malformed (key), Unavailable (state file).
Result<std::unique_ptr<Signer>> ed25519_signer(std::string origin, const std::string& private_key,
                                               const std::string& state_file);

/// A new key pair for an origin, as signer and verifier key texts.
std::pair<std::string, std::string> generate_note_key(const std::string& origin);

}  // namespace sallyport::evidence
