#include "evidence/veil.h"

// As in merkle.cpp: twice as fast as EVP for a few bytes.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <stdexcept>

#include "evidence/aead.h"
#include "evidence/cbor.h"
#include "evidence/reader.h"
#include "evidence/session.h"

namespace sallyport::evidence {
namespace {

constexpr std::size_t kSeed = 32, kSalt = 32, kBlock = 64, kVeil = 34;   // kVeil: in CBOR
constexpr std::string_view kPurpose = "sallyport veiled values";
constexpr std::array<std::uint8_t, 12> kNonce{};   // each key is used once

/// HMAC (RFC 2104) under a digest; the key is hashed once for many texts.
class Mac {
 public:
  explicit Mac(const Digest& key) {
    std::array<std::uint8_t, 64> block{};
    std::ranges::copy(key, block.begin());
    for (auto& byte : block) byte ^= 0x36;
    SHA256_Init(&inner_);
    SHA256_Update(&inner_, block.data(), block.size());
    for (auto& byte : block) byte ^= 0x36 ^ 0x5C;
    SHA256_Init(&outer_);
    SHA256_Update(&outer_, block.data(), block.size());
    OPENSSL_cleanse(block.data(), block.size());
  }
  Digest of(ByteView text) const {
    Digest out;
    auto context = inner_;
    SHA256_Update(&context, text.data(), text.size());
    SHA256_Final(out.data(), &context);
    context = outer_;
    SHA256_Update(&context, out.data(), out.size());
    SHA256_Final(out.data(), &context);
    return out;
  }

 private:
  SHA256_CTX inner_, outer_;
};

Digest salt_of(const Mac& salt, Field field) {
  const auto key = static_cast<std::uint8_t>(field);
  return salt.of({&key, 1});
}

Digest key_of(const Digest& key, ByteView seed) {
  std::array<std::uint8_t, kPurpose.size() + kSeed> text;
  std::ranges::copy(seed, std::ranges::copy(as_bytes(kPurpose), text.begin()).out);
  return Mac(key).of(text);
}

std::unexpected<Error> bad_record() { return fail(ErrorKind::Malformed, "the veiled values of an entry are none"); }

}  // namespace

FieldSet bit_of(Field field) {
  const auto at = std::ranges::find(kVeilable, field);
  return at == kVeilable.end() ? FieldSet{0} : static_cast<FieldSet>(1U << (at - kVeilable.begin()));
}

FieldSet veilable(Kind kind) {
  constexpr FieldSet kAll = 0xFF, kReason = 0x80, kPeer = 0x02;
  switch (kind) {
    case Kind::AuthOk: case Kind::AuthFailed: case Kind::SessionOpen: case Kind::Command: case Kind::Outcome: case Kind::ApprovalRequested:
    case Kind::ApprovalGranted: case Kind::ApprovalDenied: case Kind::ApprovalExpired: case Kind::ApprovalUsed: case Kind::AdminAction: case Kind::EvidenceRead: return kAll;
    case Kind::SessionClose: return kAll & ~kReason;
    case Kind::Prune: case Kind::Hold: case Kind::Erase: return kPeer;
    default: return 0;
  }
}

std::optional<Field> veilable_field(std::string_view name) {
  for (const auto field : kVeilable)
    if (name_of(field) == name) return field;
  return std::nullopt;
}

Digest ClearField::veil() const { return Mac(salt).of(value); }

void Entry::veil(FieldSet fields, const Digest& node_key) {
  fields &= veilable(kind_);
  if (fields == 0 || !veiled_.empty()) return;
  struct Part {
    Field field;
    std::size_t at, value, end;
  };
  std::vector<Part> parts;
  cbor::Reader in(body_);
  while (!in.at_end()) {
    const auto at = in.offset();
    const auto key = in.uint();
    const auto value = in.offset();
    if (!key || !in.skip()) throw std::logic_error("an entry's body cannot be read");
    if (const auto field = static_cast<Field>(*key); (bit_of(field) & fields) != 0) parts.push_back({field, at, value, in.offset()});
  }
  if (parts.empty()) return;
  Digest seed, salt;
  random_bytes(seed);
  random_bytes(salt);
  Bytes plain(salt.begin(), salt.end()), body;
  cbor::put_map(plain, parts.size());
  body.reserve(body_.size() + (parts.size() + 1) * (kVeil + 2));
  const Mac salts(salt);
  const auto at = [&](std::size_t n) { return body_.begin() + static_cast<std::ptrdiff_t>(n); };
  std::size_t from = 0;
  for (const auto& part : parts) {
    body.insert(body.end(), at(from), at(part.value));
    cbor::put_bytes(body, Mac(salt_of(salts, part.field)).of(ByteView(body_).subspan(part.value, part.end - part.value)));
    plain.insert(plain.end(), at(part.at), at(part.end));
    from = part.end;
  }
  body.insert(body.end(), at(from), body_.end());
  // Where the writer will look for people and put totals.
  const auto move = [&](auto& place) {
    auto moved = static_cast<std::ptrdiff_t>(place);
    for (const auto& part : parts)
      if (part.end <= static_cast<std::size_t>(place)) moved += static_cast<std::ptrdiff_t>(kVeil) - static_cast<std::ptrdiff_t>(part.end - part.value);
    place = static_cast<std::remove_reference_t<decltype(place)>>(moved);
  };
  for (auto& person : std::span(people_.data(), people_count_)) move(person.at), move(person.name), move(person.end);
  if (totals_at_ >= 0) move(totals_at_);
  body_.swap(body);
  plain.resize((plain.size() + kBlock - 1) / kBlock * kBlock);
  const auto sealed = seal(key_of(session_ ? session_->key() : node_key, seed), kNonce, {}, plain);
  OPENSSL_cleanse(plain.data(), plain.size());
  OPENSSL_cleanse(salt.data(), salt.size());
  veiled_.reserve(seed.size() + sealed.size());
  veiled_.assign(seed.begin(), seed.end());
  veiled_.insert(veiled_.end(), sealed.begin(), sealed.end());
  bytes(Field::Veiled, sha256(veiled_));
}

Result<std::vector<ClearField>> open_record(const Digest& key, ByteView record) {
  if (!is_record_size(record.size())) return bad_record();
  const auto plain = unseal(key_of(key, record.first(kSeed)), kNonce, {}, record.subspan(kSeed));
  if (!plain) return fail(ErrorKind::Malformed, "the veiled values of an entry do not decrypt");
  Digest salt;
  std::copy_n(plain->begin(), kSalt, salt.begin());
  const Mac salts(salt);
  const auto rest = ByteView(*plain).subspan(kSalt);
  cbor::Reader in(rest);
  TRY(const auto count, in.map());
  std::vector<ClearField> out;
  for (std::uint64_t i = 0; i < count; ++i) {
    TRY(const auto number, in.uint());
    const auto field = static_cast<Field>(number);
    if (number > 255 || bit_of(field) == 0 || (!out.empty() && field <= out.back().field)) return bad_record();
    const auto from = in.offset();
    TRY_VOID(in.skip());
    const auto value = rest.subspan(from, in.offset() - from);
    out.push_back({field, salt_of(salts, field), Bytes(value.begin(), value.end())});
  }
  const auto padding = rest.subspan(in.offset());
  if (out.empty() || padding.size() >= kBlock || std::ranges::any_of(padding, [](std::uint8_t byte) { return byte != 0; })) return bad_record();
  return out;
}

}  // namespace sallyport::evidence
