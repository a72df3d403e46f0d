#pragma once
// C2SP signed notes and checkpoints (docs/formats/checkpoint.md): a key, and what it signed. Pure.
#include "verify/bytes.h"

namespace sallyport::verify {

struct NoteKey {
  std::string name;
  std::array<std::uint8_t, 4> id{};
  std::array<std::uint8_t, 32> key{};
};
/// "<name>+<hash>+<base64>"; "" in `why` when it is one.
std::optional<NoteKey> parse_key(std::string_view text, std::string& why);

/// A signature of another key than the one a note was opened with: an epoch's, a witness's, a stranger's.
struct Signature {
  std::string name;
  std::array<std::uint8_t, 4> id{};
  Blob bytes;
};
struct Head {
  std::string origin;
  std::uint64_t size = 0;
  Hash root{};
  std::string text;                // what is signed
  std::vector<Signature> others;
};
/// A witness's verifier key: as parse_key, of type cosignature/v1 (0x04).
std::optional<NoteKey> parse_witness_key(std::string_view text, std::string& why);
/// The time at which the witness cosigned the text (c2sp.org/tlog-cosignature), in seconds; nullopt when the signature is wrong.
std::optional<std::uint64_t> cosigned_at(std::string_view text, const NoteKey& witness, const Signature& signature);

/// The head in a note that the key signed; `why` says what is wrong otherwise.
std::optional<Head> open_note(std::string_view note, const NoteKey& key, std::string& why);

}  // namespace sallyport::verify
