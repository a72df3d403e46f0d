#include <openssl/crypto.h>

#include "evidence/key_store.h"

namespace sallyport::evidence {
namespace {

class MemoryKey : public KeyStore {
 public:
  explicit MemoryKey(NoteKey key) : key_(std::move(key)), verifier_(*parse_verifier_key(verifier_key_of(key_))) {}
  ~MemoryKey() override { OPENSSL_cleanse(key_.key.data(), key_.key.size()); }
  const NoteKey& verifier() const override { return verifier_; }
  Result<Bytes> sign(std::string_view message) override { return ed25519_sign(key_.key, message); }

 private:
  NoteKey key_, verifier_;
};

}  // namespace

Result<std::unique_ptr<KeyStore>> memory_key(const std::string& origin, const std::string& signer_key) {
  TRY(auto key, parse_signer_key(signer_key));
  if (key.name != origin) return fail(ErrorKind::Malformed, "the signer key is for " + key.name + ", not for " + origin);
  return std::make_unique<MemoryKey>(std::move(key));
}

}  // namespace sallyport::evidence
