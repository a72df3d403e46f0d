#include "evidence/signer.h"

#include <fcntl.h>
#include <openssl/crypto.h>

#include "evidence/crc32c.h"
#include "evidence/file_ops.h"
#include "evidence/little_endian.h"
#include "evidence/note.h"

namespace sallyport::evidence {
namespace {

constexpr std::size_t kSlot = 512;
constexpr std::string_view kMagic{"SPHEAD1\0", 8};

class Ed25519Signer : public Signer {
 public:
  Ed25519Signer(std::string origin, NoteKey key, File file, std::string path)
      : origin_(std::move(origin)), key_(std::move(key)), file_(std::move(file)), path_(std::move(path)) {}
  ~Ed25519Signer() override { OPENSSL_cleanse(key_.key.data(), key_.key.size()); }

  Result<void> load() {
    TRY(const auto bytes, read_file(path_));
    // Empty, or zeros where a crash cut the very first write short of its bytes: nothing was signed yet.
    if (std::ranges::all_of(bytes, [](std::uint8_t b) { return b == 0; })) return {};
    bool found = false;
    for (std::size_t slot = 0; slot < 2; ++slot) {
      if (bytes.size() < (slot + 1) * kSlot) break;
      const auto* at = bytes.data() + slot * kSlot;
      if (as_text({at, 8}) != kMagic || get_le<std::uint32_t>(at + 508) != crc32c({at, 508})) continue;
      Digest owner;
      std::memcpy(owner.data(), at + 56, owner.size());
      if (owner != sha256(as_bytes(origin_))) return fail(ErrorKind::Unavailable, path_ + " belongs to another origin than " + origin_);
      const auto sequence = get_le<std::uint64_t>(at + 8);
      if (found && sequence < sequence_) continue;
      found = true;
      sequence_ = sequence;
      size_ = get_le<std::uint64_t>(at + 16);
      std::memcpy(root_.data(), at + 24, root_.size());
    }
    // Without its memory the signer could sign a smaller head, so a damaged one is not taken for an empty one.
    if (!found) return fail(ErrorKind::Unavailable, path_ + " holds no readable head; restore it from a copy");
    return {};
  }

  Result<std::string> sign(std::uint64_t size, const Digest& root) override {
    if (size < size_) return fail(ErrorKind::Denied, fmt::format("will not sign size {}: size {} was signed before", size, size_));
    if (size == size_ && sequence_ != 0 && root != root_) {
      return fail(ErrorKind::Denied, fmt::format("will not sign another root for size {}", size));
    }
    if (sequence_ == 0 || size != size_) TRY_VOID(keep(size, root));
    return sign_note(key_, checkpoint_text({origin_, size, root}));
  }

  std::pair<std::uint64_t, Digest> last() const override { return {size_, root_}; }
  std::string verifier_key() const override { return verifier_key_of(key_); }

 private:
  Result<void> keep(std::uint64_t size, const Digest& root) {
    std::array<std::uint8_t, kSlot> slot{};
    std::ranges::copy(as_bytes(kMagic), slot.begin());
    put_le<std::uint64_t>(&slot[8], sequence_ + 1);
    put_le<std::uint64_t>(&slot[16], size);
    std::ranges::copy(root, slot.begin() + 24);
    std::ranges::copy(sha256(as_bytes(origin_)), slot.begin() + 56);
    put_le<std::uint32_t>(&slot[508], crc32c({slot.data(), 508}));
    FileOps ops;
    TRY_VOID(write_all(ops, file_, slot, (sequence_ + 1) % 2 * kSlot, path_));
    TRY_VOID(sync(ops, file_, path_));
    ++sequence_;
    size_ = size;
    root_ = root;
    return {};
  }

  std::string origin_;
  NoteKey key_;
  File file_;
  std::string path_;
  std::uint64_t sequence_ = 0, size_ = 0;
  Digest root_{};
};

}  // namespace

Result<std::unique_ptr<Signer>> ed25519_signer(std::string origin, const std::string& private_key,
                                               const std::string& state_file) {
  TRY(auto key, parse_signer_key(private_key));
  if (key.name != origin) return fail(ErrorKind::Malformed, "the signer key is for " + key.name + ", not for " + origin);
  TRY(auto file, File::open(state_file, O_RDWR | O_CREAT));
  const auto slash = state_file.rfind('/');
  TRY_VOID(sync_folder(slash == std::string::npos ? "." : state_file.substr(0, slash + 1)));
  auto signer = std::make_unique<Ed25519Signer>(std::move(origin), std::move(key), std::move(file), state_file);
  TRY_VOID(signer->load());
  return signer;
}

std::pair<std::string, std::string> generate_note_key(const std::string& origin) {
  Digest seed;
  random_bytes(seed);
  auto key = signer_from_seed(origin, seed);
  std::pair<std::string, std::string> out{signer_key_text(key), verifier_key_of(key)};
  OPENSSL_cleanse(seed.data(), seed.size());
  OPENSSL_cleanse(key.key.data(), key.key.size());
  return out;
}

}  // namespace sallyport::evidence
