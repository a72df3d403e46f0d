#pragma once
// Where the log's stable signing key lives: in memory, or in a PKCS#11 token (an HSM; SoftHSM2 in the tests) that never gives
// it out. Ed25519 (RFC 8032). The notary's one thread. Errors: Unavailable (the token does not answer), Malformed (no such key).
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "evidence/note.h"

namespace sallyport::evidence {

struct KeyStore {
  virtual ~KeyStore() = default;
  /// Name, id and public key.
  virtual const NoteKey& verifier() const = 0;
  /// 64 bytes over the message.
  virtual Result<Bytes> sign(std::string_view message) = 0;
};

/// `signer_key` is a C2SP signer key text ("PRIVATE+KEY+…") for this origin. Errors: Malformed.
Result<std::unique_ptr<KeyStore>> memory_key(const std::string& origin, const std::string& signer_key);

/// A key pair of type CKK_EC_EDWARDS labelled `label` in the token `token` of the PKCS#11 v3.0 library `module`. The session stays
/// open; after a failure the next sign() logs in anew.
Result<std::unique_ptr<KeyStore>> pkcs11_key(const std::string& origin, const std::string& module, const std::string& token,
                                             const std::string& label, const std::string& pin);

}  // namespace sallyport::evidence
