#include "evidence/reader.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <filesystem>

#include "evidence/aead.h"
#include "evidence/file_ops.h"
#include "evidence/segment.h"
#include "evidence/session_keys.h"
#include "evidence/veil_keys.h"

namespace sallyport::evidence {
namespace {

constexpr std::size_t kPiece = 64u << 10;
constexpr std::size_t kSalt = 16, kTag = 16, kMost = 1u << 20;

/// A file in memory, unmapped at its end. A mapped file that shrinks is a signal, and the log's last segment is cut to its
/// footer when it is sealed: that one is copied.
class Mapped {
 public:
  static Result<Mapped> open(const std::string& path, bool last) {
    if (!last) return open(path);
    Mapped out;
    TRY(out.copy_, read_file(path));
    return out;
  }
  static Result<Mapped> open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(ErrorKind::Unavailable, "cannot read " + path + ": " + std::strerror(errno));
    struct stat info {};
    Mapped out;
    const bool ok = ::fstat(fd, &info) == 0 && info.st_size > 0;
    if (ok) {
      out.size_ = static_cast<std::size_t>(info.st_size);
      out.data_ = ::mmap(nullptr, out.size_, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    ::close(fd);
    if (!ok || out.data_ == MAP_FAILED) return fail(ErrorKind::Unavailable, "cannot read " + path);
    return out;
  }
  Mapped(Mapped&& other) noexcept : copy_(std::move(other.copy_)), data_(std::exchange(other.data_, MAP_FAILED)), size_(other.size_) {}
  ~Mapped() {
    if (data_ != MAP_FAILED) ::munmap(data_, size_);
  }
  Mapped& operator=(Mapped&&) = delete;
  ByteView bytes() const { return data_ == MAP_FAILED ? ByteView(copy_) : ByteView(static_cast<const std::uint8_t*>(data_), size_); }

 private:
  Mapped() = default;
  Bytes copy_;
  void* data_ = MAP_FAILED;
  std::size_t size_ = 0;
};

using EntryVisit = Reader::EntryVisit;
using ChunkVisit = std::function<void(const Id16&, std::uint64_t, const Reader::ChunkPlace&)>;

struct PlaceVisitor : ScanVisitor {
  PlaceVisitor(const EntryVisit& e, const ChunkVisit& c) : on_entry(e), on_chunk(c) {}
  void entry(const EntryFacts& facts, ByteView leaf) override { stop = stop || !on_entry(leaf, facts.veiled); }
  void chunk(const Id16& session, std::uint64_t number, ByteView ciphertext) override {
    if (on_chunk && !stop) on_chunk(session, number, {segment, static_cast<std::uint32_t>(ciphertext.size()), static_cast<std::uint64_t>(ciphertext.data() - base)});
  }
  const EntryVisit& on_entry;
  const ChunkVisit& on_chunk;
  const std::uint8_t* base = nullptr;
  std::uint32_t segment = 0;
  bool stop = false;
};

struct ChunkVisitor : ScanVisitor {
  ChunkVisitor(const Id16& id, std::uint64_t from, std::uint64_t many) : wanted(id), first(from), count(many) {}
  void entry(const EntryFacts&, ByteView) override {}
  void chunk(const Id16& session, std::uint64_t number, ByteView ciphertext) override {
    if (session == wanted && number >= first && number - first < count) chunks[number] = Bytes(ciphertext.begin(), ciphertext.end());
  }
  const Id16& wanted;
  std::uint64_t first, count;
  Reader::Chunks chunks;
};

}  // namespace

Result<Bytes> open_chunk(const Digest& key, const Id16& session, std::uint64_t number, ByteView sealed) {
  if (sealed.size() < kTag || sealed.size() > kMost) return fail(ErrorKind::Malformed, "a chunk is of no possible size");
  std::array<std::uint8_t, 12> nonce{};
  std::array<std::uint8_t, 24> aad{};
  std::copy(session.begin(), session.end(), aad.begin());
  for (int i = 0; i < 8; ++i) nonce[static_cast<std::size_t>(4 + i)] = aad[static_cast<std::size_t>(16 + i)] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
  auto out = unseal(key, nonce, aad, sealed);
  if (!out) return fail(ErrorKind::Malformed, "a chunk does not decrypt under the session's key");
  return std::move(*out);
}

Result<Reader> Reader::open(std::string directory) {
  Reader out;
  out.directory_ = std::move(directory);
  TRY(const auto pruned, read_pruned(out.directory_));
  if (pruned) out.before_ = pruned->tree();
  const auto first = fmt::format("{:020}", out.before_.size());
  std::error_code error;
  std::vector<std::string> paths;
  for (const auto& file : std::filesystem::directory_iterator(out.directory_ + "/segments", error))
    if (file.path().extension() == ".seg" && file.path().stem().string() >= first) paths.push_back(file.path());
  if (error) return fail(ErrorKind::Unavailable, "there is no evidence in " + out.directory_ + ": " + error.message());
  std::ranges::sort(paths);
  std::uint64_t before = kNoSegment;
  for (const auto& path : paths) {
    TRY(const auto file, Mapped::open(path, path == paths.back()));
    auto header = decode_header(file.bytes());
    if (!header) {
      // The newest file may be one that is just being prepared.
      if (path == paths.back()) break;
      return std::unexpected(std::move(header).error());
    }
    if (!out.segments_.empty() && header->previous == before) out.segments_.back().length = header->previous_length;
    before = header->first_index;
    out.segments_.push_back({path, header->first_index, std::nullopt});
    out.origin_ = header->origin;
  }
  // Without them the entries are all there, under pseudonyms.
  if (auto names = load_names(out.directory_, out.origin_)) out.names_ = std::move(*names);
  out.veil_keys_ = std::make_shared<VeilKeys>(out.directory_, out.origin_);
  return out;
}

void resolve(const NameTable& names, StoredEntry& entry) {
  for (const auto field : {Field::Subject, Field::Approver})
    if (const auto at = entry.fields.find(field); at != entry.fields.end())
      if (auto* text = std::get_if<std::string>(&at->second)) *text = resolve(names, *text);
}

Result<void> Reader::each(const std::function<bool(const StoredEntry&)>& visit) const {
  Error error;
  TRY_VOID(scan([&](ByteView leaf, ByteView veiled) {
    auto decoded = decode_entry(leaf);
    if (decoded) {
      veil_keys_->open(veiled, *decoded);
      resolve(names_, *decoded);
      return visit(*decoded);
    }
    error = std::move(decoded).error();
    return false;
  }));
  if (!error.what.empty()) return std::unexpected(std::move(error));
  return {};
}

Result<void> Reader::leaves(const std::function<bool(ByteView)>& visit) const {
  return scan([&](ByteView leaf, ByteView) { return visit(leaf); });
}

Result<void> Reader::scan(const EntryVisit& entry, const std::function<void(const Id16&, std::uint64_t, const ChunkPlace&)>& chunk) const {
  PlaceVisitor visitor(entry, chunk);
  std::uint64_t next = before_.size();
  for (const auto& segment : segments_) {
    TRY(const auto file, Mapped::open(segment.path, !segment.length));
    const auto bytes = segment.length ? file.bytes().first(std::min<std::size_t>(*segment.length, file.bytes().size())) : file.bytes();
    TRY(const auto header, decode_header(bytes));
    visitor.base = bytes.data();
    visitor.segment = static_cast<std::uint32_t>(&segment - segments_.data());
    if (header.first_index != next)
      return fail(ErrorKind::Malformed, fmt::format("{} begins with entry {}, due is {}: a segment is missing; run sallyport-verify", segment.path, header.first_index, next));
    const auto scan = scan_segment(bytes, header, visitor);
    next = scan.next_index;
    if (visitor.stop) return {};
    if (segment.length && scan.length != *segment.length)
      return fail(ErrorKind::Malformed, segment.path + " ends at byte " + std::to_string(scan.length) + " (" + scan.stopped + "), its successor says " + std::to_string(*segment.length) + "; run sallyport-verify");
  }
  return {};
}

Result<void> Reader::scan_one(const Segment& segment, ScanVisitor& visitor) const {
  TRY(const auto file, Mapped::open(segment.path, !segment.length));
  const auto bytes = segment.length ? file.bytes().first(std::min<std::size_t>(*segment.length, file.bytes().size())) : file.bytes();
  TRY(const auto header, decode_header(bytes));
  (void)scan_segment(bytes, header, visitor);
  return {};
}

Result<Reader::Chunks> Reader::chunks(const Id16& session) const {
  ChunkVisitor visitor(session, 0, UINT64_MAX);
  for (const auto& segment : segments_) TRY_VOID(scan_one(segment, visitor));
  return std::move(visitor.chunks);
}

std::optional<std::size_t> Reader::segment_of(std::uint64_t index) const {
  const auto after = std::ranges::upper_bound(segments_, index, {}, &Segment::first);
  if (after == segments_.begin()) return std::nullopt;
  return static_cast<std::size_t>(after - segments_.begin()) - 1;
}

Result<StoredEntry> Reader::entry(std::uint64_t index) const {
  const auto absent = [&] { return fail(ErrorKind::Denied, fmt::format("there is no entry {}", index)); };
  const auto place = segment_of(index);
  if (!place || index < first()) return absent();
  std::uint64_t at = segments_[*place].first;
  Bytes leaf, veiled;
  const EntryVisit take = [&](ByteView bytes, ByteView record) {
    if (at++ != index) return true;
    leaf.assign(bytes.begin(), bytes.end());
    veiled.assign(record.begin(), record.end());
    return false;
  };
  const ChunkVisit none;
  PlaceVisitor visitor(take, none);
  TRY_VOID(scan_one(segments_[*place], visitor));
  if (leaf.empty()) return absent();
  TRY(auto out, decode_entry(leaf));
  if (out.index != index) return fail(ErrorKind::Malformed, fmt::format("entry {} says it is {}; run sallyport-verify", index, out.index));
  veil_keys_->open(veiled, out);
  resolve(names_, out);
  return out;
}

Result<Reader::Chunks> Reader::chunks_of(const StoredEntry& entry) const {
  const auto* ref = entry.payload();
  const auto place = segment_of(entry.index);
  if (ref == nullptr || !entry.session || !place) return fail(ErrorKind::Denied, fmt::format("entry {} has no payload", entry.index));
  // Chunks are written before the entry that commits to them.
  ChunkVisitor visitor(*entry.session, ref->first_chunk, ref->chunks);
  for (std::size_t i = *place + 1; i-- > 0 && visitor.chunks.size() < ref->chunks;) TRY_VOID(scan_one(segments_[i], visitor));
  return std::move(visitor.chunks);
}

Result<std::string> Reader::payload(const Id16& session, const PayloadRef& ref, const Chunks& chunks) const {
  TRY(const auto key, load_session_key(directory_, origin_, session));
  std::string plain;
  Bytes salt;
  for (std::uint64_t i = 0; i < ref.chunks; ++i) {
    const auto at = chunks.find(ref.first_chunk + i);
    if (at == chunks.end()) return fail(ErrorKind::Malformed, "chunk " + std::to_string(ref.first_chunk + i) + " is missing");
    TRY(auto text, open_chunk(key, session, at->first, at->second));
    std::size_t from = 0;
    if (i == 0) {
      if (text.size() < kSalt) return fail(ErrorKind::Malformed, "the payload has no salt");
      salt.assign(text.begin(), text.begin() + kSalt);
      from = kSalt;
    }
    std::string piece(kPiece, '\0');
    const auto size = ZSTD_decompress(piece.data(), piece.size(), text.data() + from, text.size() - from);
    if (ZSTD_isError(size)) return fail(ErrorKind::Malformed, std::string("a chunk does not decompress: ") + ZSTD_getErrorName(size));
    plain.append(piece, 0, size);
  }
  Digest commitment{};
  unsigned length = 0;
  HMAC(EVP_sha256(), salt.data(), static_cast<int>(salt.size()), reinterpret_cast<const unsigned char*>(plain.data()), plain.size(), commitment.data(), &length);
  if (commitment != ref.commitment || plain.size() != ref.plain_bytes) return fail(ErrorKind::Malformed, "the payload is not the one the entry commits to");
  return plain;
}

}  // namespace sallyport::evidence
