#pragma once
// C2SP signed notes with Ed25519, and the checkpoint text they carry. Format: docs/formats/checkpoint.md. Pure.
#include "base/bytes.h"
#include "base/result.h"

namespace sallyport::evidence {

struct NoteKey {
  std::string name;
  std::array<std::uint8_t, 4> id{};
  Digest key{};  // public key, or the seed of a signer
};

/// Errors: Malformed (form, key type, key id that is not of this key).
Result<NoteKey> parse_verifier_key(std::string_view text);
Result<NoteKey> parse_signer_key(std::string_view text);
std::string verifier_key_of(const NoteKey& signer);   // of a signer's key
std::string verifier_key_text(const NoteKey& key);    // of a public one
std::string signer_key_text(const NoteKey& signer);
NoteKey verifier_from_public(std::string name, const Digest& public_key);
NoteKey signer_from_seed(std::string name, const Digest& seed);
bool is_key_name(std::string_view name);

/// `text` must end with a line feed; the note is the text, an empty line and the signature's line.
std::string sign_note(const NoteKey& signer, std::string_view text);
/// One line of signature, by a signer's key or with a signature that was made elsewhere.
std::string signature_line(const NoteKey& signer, std::string_view text);
std::string signature_line(const NoteKey& key, ByteView signature);
bool ed25519_fits(const Digest& public_key, std::string_view message, ByteView signature);
Bytes ed25519_sign(const Digest& seed, std::string_view message);
/// The signed text. Errors: Malformed (form), Denied (no signature of the key, or a wrong one).
Result<std::string> open_note(std::string_view note, const NoteKey& verifier);

struct Checkpoint {
  std::string origin;
  std::uint64_t size = 0;
  Digest root{};
};
std::string checkpoint_text(const Checkpoint& checkpoint);
/// Errors: Malformed.
Result<Checkpoint> parse_checkpoint(std::string_view text);

}  // namespace sallyport::evidence
