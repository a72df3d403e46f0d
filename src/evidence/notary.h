#pragma once
// The notary: signs tree heads of one log and is their memory. It keeps the last tree durable before it signs, and computes each
// next one itself from that memory and what was added: a smaller, other or forked tree cannot even be put to it. Each head is
// signed by the log's stable key and by the epoch's, whose successor the log announces before it is used; then the old one is
// erased. Formats: docs/formats/checkpoint.md. One thread.
#include "evidence/file_ops.h"
#include "evidence/key_store.h"
#include "evidence/signer.h"

namespace sallyport::evidence {

class Notary : public Signer {
 public:
  /// `state_file` keeps the last tree, `state_file`-epochs the epoch keys. Errors: Unavailable (files; a damaged memory is not
  /// taken for an empty one), Denied (the memory is in use by another notary).
  static Result<std::unique_ptr<Notary>> open(std::unique_ptr<KeyStore> key, std::string state_file);

  Result<CompactRange> last() override { return tree_; }
  Result<std::string> sign(const CompactRange& grown) override;
  Result<EpochKey> next_epoch() override;
  Result<std::string> begin_epoch(ByteView announcement) override;
  std::string verifier_key() const override { return verifier_key_text(key_->verifier()); }
  const std::string& origin() const { return key_->verifier().name; }
  ~Notary() override;

 private:
  struct Epochs {
    std::uint64_t number = 0;  // the one in use; 0 = none yet
    Digest seed{}, next{};
  };
  Notary(std::unique_ptr<KeyStore> key, std::string path) : key_(std::move(key)), path_(std::move(path)) {}
  Result<void> load();
  Result<void> load_epochs();
  Result<void> keep(const CompactRange& tree);
  Result<void> keep(const Epochs& epochs);
  Result<std::string> note(const CompactRange& tree);
  NoteKey epoch_key(std::uint64_t number, const Digest& seed) const;

  std::unique_ptr<KeyStore> key_;
  std::string path_;
  File file_;
  std::uint64_t sequence_ = 0;
  CompactRange tree_;
  Epochs epochs_;
};

/// A notary in this process, with the key in memory: for tests and benchmarks. Errors as of memory_key and Notary::open.
Result<std::unique_ptr<Signer>> ed25519_signer(const std::string& origin, const std::string& signer_key, const std::string& state_file);
/// A new key pair for an origin, as signer and verifier key texts.
std::pair<std::string, std::string> generate_note_key(const std::string& origin);

}  // namespace sallyport::evidence
