#include "evidence/notary.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "evidence/crc32c.h"
#include "evidence/entry.h"
#include "evidence/little_endian.h"

namespace sallyport::evidence {
namespace {

constexpr std::size_t kSlot = 4096, kEpochFile = 128;
constexpr std::string_view kMagic{"SPHEAD2\0", 8}, kEpochMagic{"SPEPOCH1", 8};

/// Overwrites a file of secrets before its name goes. What the disk itself keeps of old blocks is out of reach.
void wipe(const std::string& path) {
  if (auto file = File::open(path, O_WRONLY)) {
    FileOps ops;
    const std::array<std::uint8_t, kEpochFile> zeros{};
    (void)write_all(ops, *file, zeros, 0, path);
    (void)sync(ops, *file, path);
  }
  ::unlink(path.c_str());
}

}  // namespace

Notary::~Notary() { OPENSSL_cleanse(&epochs_, sizeof epochs_); }

Result<std::unique_ptr<Notary>> Notary::open(std::unique_ptr<KeyStore> key, std::string state_file) {
  auto out = std::unique_ptr<Notary>(new Notary(std::move(key), std::move(state_file)));
  TRY(out->file_, File::open(out->path_, O_RDWR | O_CREAT));
  if (::flock(out->file_.fd(), LOCK_EX | LOCK_NB) != 0) return fail(ErrorKind::Unavailable, out->path_ + " is in use by another notary");
  const auto slash = out->path_.rfind('/');
  TRY_VOID(sync_folder(slash == std::string::npos ? "." : out->path_.substr(0, slash + 1)));
  TRY_VOID(out->load());
  TRY_VOID(out->load_epochs());
  return out;
}

Result<void> Notary::load() {
  TRY(const auto bytes, read_file(path_));
  if (bytes.empty()) return {};
  bool found = false;
  for (std::size_t slot = 0; slot < 2; ++slot) {
    if (bytes.size() < (slot + 1) * kSlot) break;
    const auto* at = bytes.data() + slot * kSlot;
    if (as_text({at, 8}) != kMagic || get_le<std::uint32_t>(at + kSlot - 4) != crc32c({at, kSlot - 4})) continue;
    Digest owner;
    std::memcpy(owner.data(), at + 24, owner.size());
    if (owner != sha256(as_bytes(origin()))) return fail(ErrorKind::Unavailable, path_ + " belongs to another origin than " + origin());
    const auto sequence = get_le<std::uint64_t>(at + 8), size = get_le<std::uint64_t>(at + 16);
    if (found && sequence < sequence_) continue;
    std::vector<Digest> hashes(static_cast<std::size_t>(std::popcount(size)));
    for (std::size_t i = 0; i < hashes.size(); ++i) std::memcpy(hashes[i].data(), at + 56 + 32 * i, 32);
    found = true;
    sequence_ = sequence;
    tree_ = CompactRange(size, hashes);
  }
  // Without its memory the notary could sign a smaller head, so a damaged one is not taken for an empty one.
  if (!found) return fail(ErrorKind::Unavailable, path_ + " holds no readable head; restore it from a copy");
  return {};
}

Result<void> Notary::keep(const CompactRange& tree) {
  std::array<std::uint8_t, kSlot> slot{};
  std::ranges::copy(as_bytes(kMagic), slot.begin());
  put_le<std::uint64_t>(&slot[8], sequence_ + 1);
  put_le<std::uint64_t>(&slot[16], tree.size());
  std::ranges::copy(sha256(as_bytes(origin())), slot.begin() + 24);
  for (std::size_t i = 0; i < tree.hashes().size(); ++i) std::ranges::copy(tree.hashes()[i], slot.begin() + static_cast<std::ptrdiff_t>(56 + 32 * i));
  put_le<std::uint32_t>(&slot[kSlot - 4], crc32c({slot.data(), kSlot - 4}));
  FileOps ops;
  TRY_VOID(write_all(ops, file_, slot, (sequence_ + 1) % 2 * kSlot, path_));
  TRY_VOID(sync(ops, file_, path_));
  ++sequence_;
  tree_ = tree;
  return {};
}

NoteKey Notary::epoch_key(std::uint64_t number, const Digest& seed) const {
  return signer_from_seed(fmt::format("{}/epoch-{}", origin(), number), seed);
}

Result<std::string> Notary::note(const CompactRange& tree) {
  const auto text = checkpoint_text({origin(), tree.size(), tree.root()});
  TRY(const auto signature, key_->sign(text));
  auto out = text + "\n" + signature_line(key_->verifier(), signature);
  if (epochs_.number != 0) out += signature_line(epoch_key(epochs_.number, epochs_.seed), text);
  return out;
}

Result<std::string> Notary::sign(const CompactRange& grown) {
  if (grown.begin() != tree_.size()) {
    return fail(ErrorKind::Denied, fmt::format("will not sign what goes on from size {}: the last head it signed is over {}", grown.begin(), tree_.size()));
  }
  auto tree = tree_;
  tree.append(grown);
  if (sequence_ == 0 || !grown.empty()) TRY_VOID(keep(tree));
  return note(tree_);
}

Result<EpochKey> Notary::next_epoch() {
  TRY(const auto next, parse_verifier_key(verifier_key_of(epoch_key(epochs_.number + 1, epochs_.next))));
  return EpochKey{epochs_.number + 1, next.key};
}

Result<std::string> Notary::begin_epoch(ByteView announcement) {
  TRY(const auto facts, read_entry(announcement));
  TRY(const auto next, next_epoch());
  if (facts.kind != Kind::KeyEpoch || facts.index != tree_.size() || facts.epoch != next.number || facts.epoch_key != next.key) {
    return fail(ErrorKind::Denied, fmt::format("will not begin epoch {} on an entry that does not announce its key as entry {}", next.number, tree_.size()));
  }
  auto tree = tree_;
  tree.append(leaf_hash(announcement));
  TRY_VOID(keep(tree));
  TRY(auto signed_by_the_old, note(tree_));
  Epochs turned{next.number, epochs_.next, {}};
  random_bytes(turned.next);
  TRY_VOID(keep(turned));
  return signed_by_the_old;
}

Result<void> Notary::load_epochs() {
  const auto path = path_ + "-epochs";
  wipe(path + ".old");
  if (::access(path.c_str(), F_OK) != 0) {
    Epochs first;
    random_bytes(first.next);
    return keep(first);
  }
  TRY(auto bytes, read_file(path));
  if (bytes.size() != kEpochFile || as_text({bytes.data(), 8}) != kEpochMagic || get_le<std::uint32_t>(&bytes[124]) != crc32c({bytes.data(), 124})) {
    return fail(ErrorKind::Unavailable, path + " holds no readable keys; restore it from a copy, or remove it: the log then shows that its epochs began anew");
  }
  epochs_.number = get_le<std::uint64_t>(&bytes[8]);
  std::memcpy(epochs_.seed.data(), &bytes[16], 32);
  std::memcpy(epochs_.next.data(), &bytes[48], 32);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return {};
}

Result<void> Notary::keep(const Epochs& epochs) {
  const auto path = path_ + "-epochs";
  std::array<std::uint8_t, kEpochFile> bytes{};
  std::ranges::copy(as_bytes(kEpochMagic), bytes.begin());
  put_le<std::uint64_t>(&bytes[8], epochs.number);
  std::ranges::copy(epochs.seed, bytes.begin() + 16);
  std::ranges::copy(epochs.next, bytes.begin() + 48);
  put_le<std::uint32_t>(&bytes[124], crc32c({bytes.data(), 124}));
  // The old file keeps a name until its keys are overwritten.
  if (::link(path.c_str(), (path + ".old").c_str()) != 0 && errno != ENOENT) return system_failure("cannot put aside " + path, errno);
  auto done = replace_file(path, bytes);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  TRY_VOID(done);
  wipe(path + ".old");
  epochs_ = epochs;
  return {};
}

Result<std::unique_ptr<Signer>> ed25519_signer(const std::string& origin, const std::string& signer_key, const std::string& state_file) {
  TRY(auto key, memory_key(origin, signer_key));
  TRY(auto notary, Notary::open(std::move(key), state_file));
  return std::unique_ptr<Signer>(std::move(notary));
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
