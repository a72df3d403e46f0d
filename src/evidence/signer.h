#pragma once
// Who signs tree heads (C2SP tlog-checkpoint in a signed-note): it sees sizes, hashes of subtrees and announcements of its own
// keys, nothing else. Two implementations: the notary itself (notary.h), and its client over a socket (notary_link.h), which is
// what a gateway uses. Used by the log's signing thread only, but for last() before that starts.
#include <memory>
#include <string>

#include "base/result.h"
#include "evidence/merkle.h"

namespace sallyport::evidence {

/// The key that will sign from its announcement on, beside the log's stable key.
struct EpochKey {
  std::uint64_t number = 0;  // dense from 1
  Digest key{};              // Ed25519 public key
};

struct Signer {
  virtual ~Signer() = default;
  /// The tree of the last head it signed; size 0 when none. Errors: Unavailable (notary away).
  virtual Result<CompactRange> last() = 0;
  /// The head over the last tree and what was added to it: `grown` begins where that ends, so nothing before can have changed.
  /// With nothing added, the last head again. Errors: Denied (another beginning), Unavailable (head not kept, notary away).
  virtual Result<std::string> sign(const CompactRange& grown) = 0;
  /// The next epoch's key, the same until it is begun. Errors: Unavailable.
  virtual Result<EpochKey> next_epoch() = 0;
  /// Adds this one entry, which must announce that key, signs that head with the keys so far, and erases the old epoch's key.
  /// Errors as of sign().
  virtual Result<std::string> begin_epoch(ByteView announcement) = 0;
  /// C2SP verifier key of the stable key: "<origin>+<hash>+<base64>".
  virtual std::string verifier_key() const = 0;
};

}  // namespace sallyport::evidence
