#include "verify/note.h"

#include <algorithm>
#include <charconv>

#include "verify/crypto.h"

namespace sallyport::verify {
namespace {

constexpr std::string_view kDash = "\xE2\x80\x94 ";

bool is_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7F && c != '+'; });
}

/// UTF-8 without control characters but the line feed.
bool is_note_text(std::string_view note) {
  return is_utf8(note) && std::ranges::none_of(note, [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\n'; });
}

/// One line without its end, cut off `rest`.
std::optional<std::string_view> line(std::string_view& rest) {
  const auto end = rest.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const auto out = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return out;
}

}  // namespace

namespace {

std::optional<NoteKey> parse_typed(std::string_view text, std::uint8_t type, const char* known, std::string& why) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  const auto first = text.find('+');
  const auto second = first == std::string_view::npos ? first : text.find('+', first + 1);
  why = "a verifier key is NAME+HASH+BASE64";
  if (second == std::string_view::npos || second - first != 9) return std::nullopt;
  NoteKey key;
  key.name = std::string(text.substr(0, first));
  const auto raw = unbase64(text.substr(second + 1));
  if (!is_name(key.name) || !raw || raw->size() != 33) return std::nullopt;
  if ((*raw)[0] != type) return why = known, std::nullopt;
  std::copy(raw->begin() + 1, raw->end(), key.key.begin());
  const auto hash = Sha256().add(view(key.name)).add(view("\n")).add(*raw).done();
  std::copy_n(hash.begin(), key.id.size(), key.id.begin());
  if (hex(key.id) != text.substr(first + 1, 8)) return why = "the key's hash does not belong to it", std::nullopt;
  why.clear();
  return key;
}

}  // namespace

std::optional<NoteKey> parse_key(std::string_view text, std::string& why) { return parse_typed(text, 1, "only Ed25519 keys (type 1) are known", why); }
std::optional<NoteKey> parse_witness_key(std::string_view text, std::string& why) {
  return parse_typed(text, 4, "a witness's key is of type 4, cosignature/v1", why);
}

std::optional<std::uint64_t> cosigned_at(std::string_view text, const NoteKey& witness, const Signature& signature) {
  if (signature.bytes.size() != 8 + 64) return std::nullopt;
  std::uint64_t seconds = 0;
  for (std::size_t i = 0; i < 8; ++i) seconds = seconds << 8 | signature.bytes[i];
  const auto message = "cosignature/v1\ntime " + std::to_string(seconds) + "\n" + std::string(text);
  if (!ed25519_fits(witness.key, view(message), View(signature.bytes).subspan(8))) return std::nullopt;
  return seconds;
}

std::optional<Head> open_note(std::string_view note, const NoteKey& key, std::string& why) {
  const auto split = note.find("\n\n");
  why = "it is no signed note";
  if (note.size() > 1u << 20 || split == std::string_view::npos || !is_note_text(note)) return std::nullopt;
  const auto text = note.substr(0, split + 1);
  auto signatures = note.substr(split + 2);
  Head head;
  bool good = false;
  if (signatures.empty() || !signatures.ends_with('\n')) return std::nullopt;
  while (!signatures.empty()) {
    auto one = *line(signatures);
    if (!one.starts_with(kDash)) return std::nullopt;
    one.remove_prefix(kDash.size());
    const auto space = one.find(' ');
    if (space == std::string_view::npos || !is_name(one.substr(0, space))) return std::nullopt;
    const auto raw = unbase64(one.substr(space + 1));
    if (!raw || raw->size() < 5) return std::nullopt;
    if (one.substr(0, space) != key.name || !std::equal(key.id.begin(), key.id.end(), raw->begin())) {
      head.others.push_back({std::string(one.substr(0, space)), {(*raw)[0], (*raw)[1], (*raw)[2], (*raw)[3]}, Blob(raw->begin() + 4, raw->end())});
      continue;
    }
    if (!ed25519_fits(key.key, view(text), View(*raw).subspan(4))) return why = "the signature of " + key.name + " is wrong", std::nullopt;
    good = true;
  }
  if (!good) return why = "it is not signed by the key " + key.name + "+" + hex(key.id), std::nullopt;

  auto rest = text;
  head.text = std::string(text);
  why = "it is no checkpoint";
  const auto origin = line(rest), size = line(rest), root = line(rest);
  if (!origin || !size || !root || origin->empty()) return std::nullopt;
  head.origin = std::string(*origin);
  const auto [end, error] = std::from_chars(size->data(), size->data() + size->size(), head.size);
  if (size->empty() || error != std::errc() || end != size->data() + size->size() || (size->size() > 1 && size->front() == '0')) return std::nullopt;
  const auto raw = unbase64(*root);
  if (!raw || raw->size() != head.root.size()) return std::nullopt;
  std::copy(raw->begin(), raw->end(), head.root.begin());
  why.clear();
  return head;
}

}  // namespace sallyport::verify
