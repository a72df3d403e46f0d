#include "evidence/session.h"

#define OPENSSL_SUPPRESS_DEPRECATED  // HMAC_*: half the cost of EVP_MAC for the small payloads of commands

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <zstd.h>

#include <bit>
#include <stdexcept>

namespace sallyport::evidence {
namespace {

constexpr std::size_t kPiece = 65536;

void check(bool ok) {
  if (!ok) throw std::runtime_error("recording: the cryptographic library failed");
}

void put_big_endian(std::uint8_t* at, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) at[i] = static_cast<std::uint8_t>(value >> 8 * (7 - i));
}

/// What one payload is sealed with. Making contexts and looking algorithms up costs more than sealing a small command
/// does, so each worker keeps those that are done with.
struct Tools {
  template <auto Free>
  struct With {
    template <class T>
    void operator()(T* p) const { Free(p); }
  };
  std::unique_ptr<EVP_MD_CTX, With<EVP_MD_CTX_free>> hash{EVP_MD_CTX_new()};
  std::unique_ptr<HMAC_CTX, With<HMAC_CTX_free>> mac{HMAC_CTX_new()};
  std::unique_ptr<EVP_CIPHER_CTX, With<EVP_CIPHER_CTX_free>> cipher{EVP_CIPHER_CTX_new()};
  Bytes text;   // a piece, compressed
};
using ToolsPtr = std::unique_ptr<Tools>;

std::vector<ToolsPtr>& idle_tools() {
  thread_local std::vector<ToolsPtr> idle;
  return idle;
}

ToolsPtr take_tools() {
  auto& idle = idle_tools();
  if (idle.empty()) return std::make_unique<Tools>();
  auto tools = std::move(idle.back());
  idle.pop_back();
  return tools;
}

void give_back(ToolsPtr tools) {
  constexpr std::size_t kKept = 64, kShort = 4096;
  EVP_CIPHER_CTX_reset(tools->cipher.get());  // the session's key goes with it
  if (tools->text.size() > kShort) tools->text = {};
  if (idle_tools().size() < kKept) idle_tools().push_back(std::move(tools));
}

const EVP_MD* sha256_algorithm() {
  static const EVP_MD* const kFetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return kFetched;
}
const EVP_CIPHER* gcm_algorithm() {
  static const EVP_CIPHER* const kFetched = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return kFetched;
}

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

}  // namespace

SessionRecord::~SessionRecord() { OPENSSL_cleanse(key_.data(), key_.size()); }

struct Recording::State {
  explicit State(SessionRecord& s) : session(s), first(s.take_payload_number()) {
    random_bytes(salt);
    check(hash && mac && cipher && EVP_DigestInit_ex(hash.get(), sha256_algorithm(), nullptr) == 1 &&
          HMAC_Init_ex(mac.get(), salt.data(), static_cast<int>(salt.size()), sha256_algorithm(), nullptr) == 1 &&
          EVP_EncryptInit_ex(cipher.get(), gcm_algorithm(), nullptr, session.key().data(), nullptr) == 1);
  }
  ~State() { give_back(std::move(tools)); }

  void seal(std::string_view piece, std::vector<Chunk>& out) {
    auto& text = tools->text;
    if (const auto most = salt.size() + ZSTD_compressBound(piece.size()); text.size() < most) text.resize(most);
    const std::size_t before = count == 0 ? salt.size() : 0;
    if (count == 0) std::ranges::copy(salt, text.begin());
    const auto packed = piece.size() <= kStored ? store(piece, text.data() + before) : ZSTD_compressCCtx(compressor(), text.data() + before, text.size() - before, piece.data(), piece.size(), 1);
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
    check(EVP_EncryptInit_ex(cipher.get(), nullptr, nullptr, nullptr, nonce.data()) == 1 &&
          EVP_EncryptUpdate(cipher.get(), nullptr, &n, bound.data(), static_cast<int>(bound.size())) == 1 &&
          EVP_EncryptUpdate(cipher.get(), chunk.ciphertext.data(), &n, text.data(), static_cast<int>(size)) == 1 &&
          EVP_EncryptFinal_ex(cipher.get(), chunk.ciphertext.data() + n, &n) == 1 &&
          EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, 16, chunk.ciphertext.data() + size) == 1 &&
          EVP_DigestUpdate(hash.get(), chunk.ciphertext.data(), chunk.ciphertext.size()) == 1 &&
          HMAC_Update(mac.get(), as_bytes(piece).data(), piece.size()) == 1);
    plain += piece.size();
    out.push_back(std::move(chunk));
  }

  PayloadRef reference() {
    PayloadRef ref{.first_chunk = first, .chunks = count, .ciphertext = {}, .commitment = {}, .plain_bytes = plain};
    unsigned n = 0;
    check(EVP_DigestFinal_ex(hash.get(), ref.ciphertext.data(), &n) == 1 && HMAC_Final(mac.get(), ref.commitment.data(), &n) == 1);
    return ref;
  }

  SessionRecord& session;
  std::uint64_t first, plain = 0;
  std::uint32_t count = 0;
  Id16 salt;
  std::string pending;  // less than one piece
  ToolsPtr tools = take_tools();
  decltype(Tools::hash)& hash = tools->hash;
  decltype(Tools::mac)& mac = tools->mac;
  decltype(Tools::cipher)& cipher = tools->cipher;
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
