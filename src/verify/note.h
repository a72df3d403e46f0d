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

struct Head {
  std::string origin;
  std::uint64_t size = 0;
  Hash root{};
};
/// The head in a note that the key signed; `why` says what is wrong otherwise.
std::optional<Head> open_note(std::string_view note, const NoteKey& key, std::string& why);

}  // namespace sallyport::verify
