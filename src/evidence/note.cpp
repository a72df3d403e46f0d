#include "evidence/note.h"

#include <openssl/evp.h>

#include <charconv>
#include <cstdlib>

#include "evidence/cbor.h"

namespace sallyport::evidence {
namespace {

using Pkey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
constexpr std::string_view kDash = "\xE2\x80\x94 ";
constexpr std::uint8_t kEd25519 = 1;

Digest public_of(const Digest& seed) {
  const Pkey key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()), EVP_PKEY_free);
  Digest out;
  std::size_t size = out.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), out.data(), &size) != 1) std::abort();
  return out;
}

std::array<std::uint8_t, 4> id_of(std::string_view name, const Digest& public_key) {
  Bytes input(as_bytes(name).begin(), as_bytes(name).end());
  input.push_back('\n');
  input.push_back(kEd25519);
  input.insert(input.end(), public_key.begin(), public_key.end());
  const auto digest = sha256(input);
  return {digest[0], digest[1], digest[2], digest[3]};
}

std::string typed_base64(const Digest& key) {
  Bytes out{kEd25519};
  out.insert(out.end(), key.begin(), key.end());
  return base64(out);
}

Result<NoteKey> parse_key(std::string_view text) {
  const auto first = text.find('+');
  const auto second = first == std::string_view::npos ? first : text.find('+', first + 1);
  if (second == std::string_view::npos) return fail(ErrorKind::Malformed, "note key is not name+id+key");
  NoteKey key;
  key.name = text.substr(0, first);
  if (!is_key_name(key.name)) return fail(ErrorKind::Malformed, "note key has an impossible name");
  const auto id = from_hex(text.substr(first + 1, second - first - 1));
  const auto bytes = from_base64(text.substr(second + 1));
  if (!id || id->size() != 4 || !bytes || bytes->size() != 33) return fail(ErrorKind::Malformed, "note key is mangled");
  if ((*bytes)[0] != kEd25519) return fail(ErrorKind::Malformed, "note key is not of type Ed25519");
  std::ranges::copy(*id, key.id.begin());
  std::copy(bytes->begin() + 1, bytes->end(), key.key.begin());
  return key;
}

}  // namespace

bool is_key_name(std::string_view name) {
  return !name.empty() && cbor::is_utf8(name) &&
         std::ranges::none_of(name, [](char c) { return c == '+' || static_cast<unsigned char>(c) <= ' ' || c == 0x7F; });
}

Result<NoteKey> parse_verifier_key(std::string_view text) {
  TRY(auto key, parse_key(text));
  if (id_of(key.name, key.key) != key.id) return fail(ErrorKind::Malformed, "note key's id is not that of its key");
  return key;
}

Result<NoteKey> parse_signer_key(std::string_view text) {
  constexpr std::string_view kPrefix = "PRIVATE+KEY+";
  if (!text.starts_with(kPrefix)) return fail(ErrorKind::Malformed, "not a signer key: it must begin with PRIVATE+KEY+");
  TRY(auto key, parse_key(text.substr(kPrefix.size())));
  if (id_of(key.name, public_of(key.key)) != key.id) return fail(ErrorKind::Malformed, "signer key's id is not that of its key");
  return key;
}

NoteKey verifier_from_public(std::string name, const Digest& public_key) {
  NoteKey key{std::move(name), {}, public_key};
  key.id = id_of(key.name, public_key);
  return key;
}

NoteKey signer_from_seed(std::string name, const Digest& seed) {
  NoteKey key{std::move(name), {}, seed};
  key.id = id_of(key.name, public_of(seed));
  return key;
}

std::string verifier_key_text(const NoteKey& key) { return key.name + "+" + hex(key.id) + "+" + typed_base64(key.key); }

std::string verifier_key_of(const NoteKey& signer) { return verifier_key_text({signer.name, signer.id, public_of(signer.key)}); }

std::string signer_key_text(const NoteKey& signer) {
  return "PRIVATE+KEY+" + signer.name + "+" + hex(signer.id) + "+" + typed_base64(signer.key);
}

bool ed25519_fits(const Digest& public_key, std::string_view message, ByteView signature) {
  const Pkey pkey(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()), EVP_PKEY_free);
  const Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  return pkey && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, pkey.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), as_bytes(message).data(), message.size()) == 1;
}

Bytes ed25519_sign(const Digest& seed, std::string_view message) {
  const Pkey key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()), EVP_PKEY_free);
  const Context context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Bytes signature(64);
  std::size_t size = signature.size();
  if (!key || !context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, as_bytes(message).data(), message.size()) != 1) {
    std::abort();  // Ed25519 over memory cannot fail but for want of memory
  }
  return signature;
}

std::string signature_line(const NoteKey& key, ByteView signature) {
  Bytes bytes(key.id.begin(), key.id.end());
  bytes.insert(bytes.end(), signature.begin(), signature.end());
  return std::string(kDash) + key.name + " " + base64(bytes) + "\n";
}

std::string signature_line(const NoteKey& signer, std::string_view text) { return signature_line(signer, ed25519_sign(signer.key, text)); }

std::string sign_note(const NoteKey& signer, std::string_view text) { return std::string(text) + "\n" + signature_line(signer, text); }

Result<std::string> open_note(std::string_view note, const NoteKey& verifier) {
  const bool control = std::ranges::any_of(note, [](char c) { return static_cast<unsigned char>(c) < ' ' && c != '\n'; });
  if (note.size() > 1U << 20 || control || !cbor::is_utf8(note)) return fail(ErrorKind::Malformed, "note is too long, not UTF-8, or has control characters");
  const auto gap = note.rfind("\n\n");
  if (gap == std::string_view::npos || !note.ends_with('\n')) return fail(ErrorKind::Malformed, "note has no signatures");
  const auto text = note.substr(0, gap + 1);
  auto rest = note.substr(gap + 2);
  if (rest.empty()) return fail(ErrorKind::Malformed, "note has no signatures");
  bool found = false;
  while (!rest.empty()) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    const auto space = line.rfind(' ');
    if (!line.starts_with(kDash) || space <= kDash.size()) return fail(ErrorKind::Malformed, "note has a mangled signature line");
    const auto name = line.substr(kDash.size(), space - kDash.size());
    const auto bytes = from_base64(line.substr(space + 1));
    if (!is_key_name(name) || !bytes || bytes->size() < 5) return fail(ErrorKind::Malformed, "note has a mangled signature");
    if (name != verifier.name || !std::equal(verifier.id.begin(), verifier.id.end(), bytes->begin())) continue;
    if (!ed25519_fits(verifier.key, text, ByteView(*bytes).subspan(4))) return fail(ErrorKind::Denied, "note has a wrong signature");
    found = true;
  }
  if (!found) return fail(ErrorKind::Denied, "note has no signature of " + verifier.name);
  return std::string(text);
}

std::string checkpoint_text(const Checkpoint& checkpoint) {
  return fmt::format("{}\n{}\n{}\n", checkpoint.origin, checkpoint.size, base64(checkpoint.root));
}

Result<Checkpoint> parse_checkpoint(std::string_view text) {
  std::array<std::string_view, 3> lines;
  for (auto& line : lines) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return fail(ErrorKind::Malformed, "checkpoint has fewer than three lines");
    line = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  Checkpoint out;
  out.origin = lines[0];
  const auto* last = lines[1].data() + lines[1].size();
  const auto [end, error] = std::from_chars(lines[1].data(), last, out.size);
  if (error != std::errc() || end != last || (lines[1].size() > 1 && lines[1][0] == '0')) {
    return fail(ErrorKind::Malformed, "checkpoint size is not a plain decimal number");
  }
  const auto root = from_base64(lines[2]);
  if (!is_key_name(out.origin) || !root || root->size() != 32) return fail(ErrorKind::Malformed, "checkpoint origin or root is mangled");
  std::ranges::copy(*root, out.root.begin());
  return out;
}

}  // namespace sallyport::evidence
