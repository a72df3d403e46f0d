#include "evidence/cosignature.h"

namespace sallyport::evidence {
namespace {

constexpr std::uint8_t kCosignature = 4;
constexpr std::string_view kDash = "\xE2\x80\x94 ";

NoteKey cosigner(std::string name, const Digest& public_key) {
  NoteKey key{std::move(name), {}, public_key};
  auto input = key.name + "\n" + static_cast<char>(kCosignature);
  input.append(as_text(public_key));
  const auto digest = sha256(as_bytes(input));
  std::copy_n(digest.begin(), key.id.size(), key.id.begin());
  return key;
}

std::string message(std::string_view text, std::uint64_t seconds) { return fmt::format("cosignature/v1\ntime {}\n{}", seconds, text); }

}  // namespace

Result<NoteKey> parse_cosigner_key(std::string_view text) {
  const auto first = text.find('+');
  const auto second = first == std::string_view::npos ? first : text.find('+', first + 1);
  if (second == std::string_view::npos) return fail(ErrorKind::Malformed, "a witness's key is name+id+key");
  const auto bytes = from_base64(text.substr(second + 1));
  if (!bytes || bytes->size() != 33 || (*bytes)[0] != kCosignature) return fail(ErrorKind::Malformed, "a witness's key is of type 0x04, cosignature/v1");
  Digest key;
  std::copy(bytes->begin() + 1, bytes->end(), key.begin());
  auto out = cosigner(std::string(text.substr(0, first)), key);
  if (!is_key_name(out.name) || hex(out.id) != text.substr(first + 1, second - first - 1)) return fail(ErrorKind::Malformed, "a witness's key has a wrong name or id");
  return out;
}

std::string cosigner_key_of(const NoteKey& signer) {
  const auto plain = *parse_verifier_key(verifier_key_of(signer));
  const auto key = cosigner(signer.name, plain.key);
  Bytes typed{kCosignature};
  typed.insert(typed.end(), key.key.begin(), key.key.end());
  return key.name + "+" + hex(key.id) + "+" + base64(typed);
}

std::string cosign(const NoteKey& signer, std::string_view text, std::uint64_t seconds) {
  const auto key = cosigner(signer.name, parse_verifier_key(verifier_key_of(signer))->key);
  Bytes signature(8);
  for (std::size_t i = 0; i < 8; ++i) signature[i] = static_cast<std::uint8_t>(seconds >> (56 - 8 * i));
  const auto made = ed25519_sign(signer.key, message(text, seconds));
  signature.insert(signature.end(), made.begin(), made.end());
  return signature_line(key, signature);
}

Result<std::optional<std::uint64_t>> cosigned_at(std::string_view text, std::string_view line, const NoteKey& witness) {
  const auto space = line.rfind(' ');
  if (!line.starts_with(kDash) || space <= kDash.size()) return fail(ErrorKind::Malformed, "a mangled signature line");
  if (line.substr(kDash.size(), space - kDash.size()) != witness.name) return std::nullopt;
  const auto bytes = from_base64(line.substr(space + 1));
  if (!bytes || bytes->size() < 5) return fail(ErrorKind::Malformed, "a mangled signature");
  if (!std::equal(witness.id.begin(), witness.id.end(), bytes->begin())) return std::nullopt;
  if (bytes->size() != 4 + 8 + 64) return fail(ErrorKind::Malformed, "a cosignature of impossible length");
  std::uint64_t seconds = 0;
  for (std::size_t i = 4; i < 12; ++i) seconds = seconds << 8 | (*bytes)[i];
  if (!ed25519_fits(witness.key, message(text, seconds), ByteView(*bytes).subspan(12))) return fail(ErrorKind::Denied, "a wrong cosignature of " + witness.name);
  return seconds;
}

Result<std::optional<std::uint64_t>> cosigned_at(std::string_view note, const NoteKey& witness) {
  const auto gap = note.rfind("\n\n");
  if (gap == std::string_view::npos) return fail(ErrorKind::Malformed, "a note without signatures");
  const auto text = note.substr(0, gap + 1);
  auto rest = note.substr(gap + 2);
  while (!rest.empty()) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    TRY(const auto at, cosigned_at(text, line, witness));
    if (at) return at;
  }
  return std::nullopt;
}

}  // namespace sallyport::evidence
