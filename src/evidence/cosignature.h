#pragma once
// Cosignatures of witnesses on checkpoints: C2SP tlog-cosignature, cosignature/v1 (Ed25519, key type 0x04). The signed message is
// "cosignature/v1\ntime <seconds>\n" and the checkpoint's text; the signature's bytes carry the time before it. Pure.
#include <optional>

#include "evidence/note.h"

namespace sallyport::evidence {

/// A witness's verifier key, "<name>+<hash>+<base64(0x04 ‖ key)>". Errors: Malformed.
Result<NoteKey> parse_cosigner_key(std::string_view text);
/// From a signer key of plain form ("PRIVATE+KEY+<name>+…"), whose seed the witness signs with.
std::string cosigner_key_of(const NoteKey& signer);

/// The line of a cosignature over the checkpoint's text (which ends with a line feed).
std::string cosign(const NoteKey& signer, std::string_view text, std::uint64_t seconds);
/// When the note's text was cosigned by this witness; nullopt when it was not. Errors: Denied (a wrong signature), Malformed.
Result<std::optional<std::uint64_t>> cosigned_at(std::string_view note, const NoteKey& witness);
/// The same of one line, without its line feed.
Result<std::optional<std::uint64_t>> cosigned_at(std::string_view text, std::string_view line, const NoteKey& witness);

}  // namespace sallyport::evidence
