#include "evidence/session.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <zstd.h>

#include <stdexcept>

// SHA256_*: no context to allocate and look up, which costs more than hashing a small payload does.
#pragma clang diagnostic ignored "-Wdeprecated-declarations"

namespace sallyport::evidence {
namespace {

constexpr std::size_t kPiece = 65536;

void check(bool ok) {
  if (!ok) throw std::runtime_error("recording: the cryptographic library failed");
}

void put_big_endian(std::uint8_t* at, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) at[i] = static_cast<std::uint8_t>(value >> 8 * (7 - i));
}

class Hash {
 public:
  Hash() { SHA256_Init(&state_); }
  void add(ByteView bytes) { SHA256_Update(&state_, bytes.data(), bytes.size()); }
  Digest end() {
    Digest out;
    SHA256_Final(out.data(), &state_);
    return out;
  }

 private:
  SHA256_CTX state_;
};

/// HMAC-SHA256 (RFC 2104) with a salt as its key.
class Commitment {
 public:
  explicit Commitment(const Id16& salt) {
    inner_.add(block(salt, 0x36));
    outer_.add(block(salt, 0x5C));
  }
  void add(std::string_view text) { inner_.add(as_bytes(text)); }
  Digest end() {
    outer_.add(inner_.end());
    return outer_.end();
  }

 private:
  static std::array<std::uint8_t, 64> block(const Id16& key, std::uint8_t pad) {
    std::array<std::uint8_t, 64> out;
    out.fill(pad);
    for (std::size_t i = 0; i < key.size(); ++i) out[i] ^= key[i];
    return out;
  }
  Hash inner_, outer_;
};

/// One a thread: a new one has to clear its tables first, which costs ten times what it compresses.
ZSTD_CCtx* compressor() {
  struct Free {
    void operator()(ZSTD_CCtx* p) const { ZSTD_freeCCtx(p); }
  };
  thread_local const std::unique_ptr<ZSTD_CCtx, Free> context(ZSTD_createCCtx());
  return context.get();
}

/// A zstd frame (RFC 8878 §3.1.1) with one raw block: so short a text does not get shorter, and trying costs more than
/// sealing it does.
constexpr std::size_t kStored = 200;
std::size_t store(std::string_view piece, std::uint8_t* out) {
  const auto size = static_cast<std::uint32_t>(piece.size());
  const std::uint32_t block = size << 3 | 1;  // raw, the last one
  const std::uint8_t head[] = {0x28, 0xB5, 0x2F, 0xFD, 0x20, static_cast<std::uint8_t>(size),
                               static_cast<std::uint8_t>(block), static_cast<std::uint8_t>(block >> 8), static_cast<std::uint8_t>(block >> 16)};
  std::memcpy(out, head, sizeof head);
  if (size != 0) std::memcpy(out + sizeof head, piece.data(), size);
  return sizeof head + size;
}

/// Short pieces are compressed less: at level 1 the code tables of 800 bytes cost 3 µs and save 150 bytes.
constexpr std::size_t kShort = 2048;
int level_for(std::string_view piece) { return piece.size() <= kShort ? -3 : 1; }

/// Salt and frame of the piece at hand; one a thread.
std::span<std::uint8_t> scratch() {
  thread_local Bytes bytes(sizeof(Id16) + ZSTD_compressBound(kPiece));
  return bytes;
}

}  // namespace

SessionRecord::SessionRecord(const Id16& id, const Digest& key) : id_(id), key_(key) {}
SessionRecord::~SessionRecord() { OPENSSL_cleanse(key_.data(), key_.size()); }

void SessionRecord::FreeCipher::operator()(EVP_CIPHER_CTX* cipher) const { EVP_CIPHER_CTX_free(cipher); }

EVP_CIPHER_CTX* SessionRecord::cipher() {
  if (!cipher_) {
    static const EVP_CIPHER* const kFetched = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
    cipher_.reset(EVP_CIPHER_CTX_new());
    check(cipher_ && EVP_EncryptInit_ex(cipher_.get(), kFetched, nullptr, key_.data(), nullptr) == 1);
  }
  return cipher_.get();
}

struct Recording::State {
  explicit State(SessionRecord& s) : session(s), first(s.take_payload_number()) {}

  void seal(std::string_view piece, std::vector<Chunk>& out) {
    const auto text = scratch();
    const std::size_t before = count == 0 ? salt.size() : 0;
    if (count == 0) std::ranges::copy(salt, text.begin());
    const auto packed = piece.size() <= kStored ? store(piece, text.data() + before)
                                                : ZSTD_compressCCtx(compressor(), text.data() + before, text.size() - before, piece.data(), piece.size(), level_for(piece));
    check(ZSTD_isError(packed) == 0);
    const auto size = before + packed;

    Chunk chunk;
    chunk.number = first + count++;
    std::array<std::uint8_t, 12> nonce{};
    put_big_endian(&nonce[4], chunk.number);
    std::array<std::uint8_t, 24> bound{};
    std::ranges::copy(session.id(), bound.begin());
    put_big_endian(&bound[16], chunk.number);
    chunk.ciphertext.resize(size + 16);
    int n = 0;
    auto* const cipher = session.cipher();
    check(EVP_EncryptInit_ex(cipher, nullptr, nullptr, nullptr, nonce.data()) == 1 &&
          EVP_EncryptUpdate(cipher, nullptr, &n, bound.data(), static_cast<int>(bound.size())) == 1 &&
          EVP_EncryptUpdate(cipher, chunk.ciphertext.data(), &n, text.data(), static_cast<int>(size)) == 1 &&
          EVP_EncryptFinal_ex(cipher, chunk.ciphertext.data() + n, &n) == 1 &&
          EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, 16, chunk.ciphertext.data() + size) == 1);
    hash.add(chunk.ciphertext);
    commitment.add(piece);
    plain += piece.size();
    out.push_back(std::move(chunk));
  }

  PayloadRef reference() {
    return {.first_chunk = first, .chunks = count, .ciphertext = hash.end(), .commitment = commitment.end(), .plain_bytes = plain};
  }

  SessionRecord& session;
  std::uint64_t first, plain = 0;
  std::uint32_t count = 0;
  const Id16 salt = random_id();
  Hash hash;              // of what is stored
  Commitment commitment{salt};
  std::string pending;    // less than one piece
};

Recording::Recording(SessionRecord& session) : state_(std::make_unique<State>(session)) {}
Recording::~Recording() = default;

void Recording::add(std::string_view plain, std::vector<Chunk>& out) {
  auto& pending = state_->pending;
  if (!pending.empty()) {
    const auto n = std::min(kPiece - pending.size(), plain.size());
    pending += plain.substr(0, n);
    plain.remove_prefix(n);
    if (pending.size() < kPiece) return;
    state_->seal(pending, out);
    pending.clear();
  }
  for (; plain.size() >= kPiece; plain.remove_prefix(kPiece)) state_->seal(plain.substr(0, kPiece), out);
  pending = plain;
}

PayloadRef Recording::finish(std::vector<Chunk>& out) {
  auto& s = *state_;
  if (!s.pending.empty() || s.count == 0) s.seal(s.pending, out);
  s.pending.clear();
  return s.reference();
}

PayloadRef Recording::whole(SessionRecord& session, std::string_view plain, Entry& entry) {
  State state(session);
  do {
    const auto piece = plain.substr(0, kPiece);
    state.seal(piece, entry.chunks());
    plain.remove_prefix(piece.size());
  } while (!plain.empty());
  return state.reference();
}

}  // namespace sallyport::evidence
