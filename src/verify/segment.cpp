#include "verify/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "verify/sha256_many.h"

namespace sallyport::verify {

std::optional<File> File::open(const std::string& path, std::string& why) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  File out;
  bool ok = fd >= 0 && ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  if (ok && info.st_size > 0) {
    void* data = ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    ok = data != MAP_FAILED;
    if (ok) {
      out.data_ = static_cast<const std::uint8_t*>(data);
      out.size_ = static_cast<std::size_t>(info.st_size);
      ::madvise(data, out.size_, MADV_SEQUENTIAL);
    }
  }
  if (!ok) why = "cannot read " + path + ": " + std::strerror(errno);
  out.fd_ = fd;
  if (!ok) return std::nullopt;
  return out;
}

bool File::copy(std::size_t at, std::span<std::uint8_t> into) const {
  while (!into.empty()) {
    const auto n = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(at));
    if (n == 0 || (n < 0 && errno != EINTR)) return false;
    if (n > 0) at += static_cast<std::size_t>(n), into = into.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

std::optional<File> File::read(const std::string& path, std::string& why) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  File out;
  bool ok = fd >= 0 && ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  if (ok) out.copy_.resize(static_cast<std::size_t>(info.st_size));
  std::size_t at = 0;
  while (ok && at < out.copy_.size()) {
    const auto n = ::pread(fd, out.copy_.data() + at, out.copy_.size() - at, static_cast<off_t>(at));
    if (n == 0) break;
    if (n < 0 && errno != EINTR) ok = false;
    else if (n > 0) at += static_cast<std::size_t>(n);
  }
  out.copy_.resize(at);
  if (!ok) why = "cannot read " + path + ": " + std::strerror(errno);
  if (fd >= 0) ::close(fd);
  if (!ok) return std::nullopt;
  return out;
}

File::File(File&& other) noexcept : copy_(std::move(other.copy_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), fd_(std::exchange(other.fd_, -1)) {}

void File::leave() const {
  if (data_ != nullptr) ::madvise(const_cast<std::uint8_t*>(data_), size_, MADV_DONTNEED);
}

File::~File() {
  if (data_ != nullptr) ::munmap(const_cast<std::uint8_t*>(data_), size_);
  if (fd_ >= 0) ::close(fd_);
}

std::string read_header(View file, Header& out) {
  if (file.size() < kHeader) return "it is shorter than a segment's header";
  if (std::memcmp(file.data(), "SPEVSEG1", 8) != 0) return "it is no segment file";
  if (little(file, 8, 4) != 1 || little(file, 12, 4) != kHeader) return "its version is unknown";
  if (crc32c(0, file.first(kHeader - 4)) != little(file, kHeader - 4, 4)) return "its header's checksum is wrong";
  out.incarnation = fixed<16>(file, 16);
  out.first = little(file, 32, 8);
  out.salt = fixed<16>(file, 40);
  out.previous = little(file, 56, 8);
  out.previous_length = little(file, 64, 8);
  out.previous_digest = fixed<32>(file, 72);
  const auto length = little(file, 112, 2);
  if (length == 0 || length > 1024) return "its origin's length is wrong";
  out.origin.assign(reinterpret_cast<const char*>(file.data()) + 114, length);
  if (!all_zero(file.subspan(114 + length, kHeader - 4 - 114 - length))) return "its header is not padded with zeros";
  return "";
}

namespace {

/// Seed, blocks of 64 bytes, tag.
constexpr bool is_veiled_size(std::uint64_t size) { return size >= 112 && size <= 70'000 && (size - 48) % 64 == 0; }

bool read_records(View payload, std::uint32_t count, Frame& out) {
  std::size_t at = 0;
  std::uint32_t entries = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (payload.size() - at < 5) return false;
    const auto type = payload[at];
    const auto length = little(payload, at + 1, 4);
    if (type < 1 || type > 3 || length > payload.size() - at - 5 || (type == 2 && length < kChunkHead) || (type == 3 && !is_veiled_size(length))) return false;
    auto& record = out.records.emplace_back();
    record.type = type;
    record.data = payload.subspan(at + 5, length);
    entries += type == 1;
    at += 5 + length;
  }
  return at == payload.size() && entries == out.entries;
}

constexpr std::size_t kAheadRecords = 1024, kAheadBytes = 256u << 10;  // what a core's cache holds: bytes are read, hashed and judged while they are there
constexpr std::size_t kMostCopied = 4u << 20;                          // of a larger frame the file itself is in view
constexpr std::size_t kShort = 16384;  // longer chunks are hashed when an entry refers to them: most belong to payloads of several

}  // namespace

Frame& FrameReader::next() {
  if (taken_ == ahead_.size()) read_ahead();
  return ahead_[taken_++];
}

/// What was in view and not read is kept.
void FrameReader::look(std::size_t size) {
  size = std::min(size, end_ - at_);
  if (file_.mapped() && size <= kMostCopied) {
    const auto kept = std::min(view_.size(), size);
    if (copy_.size() < size) {
      Blob larger(std::max(size, kAheadBytes));
      std::copy_n(view_.begin(), kept, larger.begin());
      copy_.swap(larger);
    } else if (kept > 0) {
      std::memmove(copy_.data(), view_.data(), kept);
    }
    view_ = {copy_.data(), size};
    if (file_.copy(at_ + kept, std::span(copy_).subspan(kept, size - kept))) return;
  }
  view_ = file_.bytes().subspan(at_, end_ - at_);
}

std::optional<Frame> FrameReader::in_view() const {
  if (at_ + view_.size() < end_ && (view_.size() < kFrame || view_.size() - kFrame < (little(view_, 4, 4) + 7) / 8 * 8)) return std::nullopt;
  auto out = read_frame(view_, 0, view_.size(), salt_);
  out.offset = at_;
  return out;
}

void FrameReader::read_ahead() {
  ahead_.clear();
  taken_ = 0;
  std::vector<Message> messages;
  const auto start = at_;
  look(kAheadBytes);
  while (messages.size() < kAheadRecords && at_ - start < kAheadBytes) {
    auto read = in_view();
    if (!read && !ahead_.empty()) break;
    if (!read) {
      look(kFrame + little(view_, 4, 4) + 7);
      continue;
    }
    auto& frame = ahead_.emplace_back(std::move(*read));
    for (auto& record : frame.records) {
      const auto hashed = record.type == 2 ? record.data.subspan(kChunkHead) : record.data;
      record.hashed = record.type != 2 || hashed.size() <= kShort;
      if (!record.hashed) continue;
      // The zero that RFC 6962 puts before a leaf stands there already: its length's last byte, unless it is of 16 MiB.
      if (record.type == 1 && hashed.data()[-1] == 0) messages.push_back({{hashed.data() - 1, hashed.size() + 1}, &record.hash, -1});
      else messages.push_back({hashed, &record.hash, record.type == 1 ? 0 : -1});
    }
    at_ += frame.length;
    view_ = view_.subspan(frame.length);
    if (frame.what == Frame::End || (frame.what == Frame::Bad && !frame.readable) || at_ >= end_) break;
  }
  hash_all(messages);
}

Frame read_frame(View file, std::size_t offset, std::size_t end, const Id& salt) {
  Frame out;
  out.offset = offset;
  const auto bad = [&](const char* why) {
    out.what = Frame::Bad;
    out.why = why;
    return out;
  };
  if (offset == end) return out;
  if (end - offset < kFrame) return all_zero(file.subspan(offset, end - offset)) ? out : bad("a frame's header is cut off");
  const auto head = file.subspan(offset, kFrame);
  const auto type = little(head, 0, 4);
  if (all_zero(head)) return out;
  const auto length = little(head, 4, 4);
  out.first = little(head, 8, 8);
  out.entries = static_cast<std::uint32_t>(little(head, 16, 4));
  const auto records = static_cast<std::uint32_t>(little(head, 20, 4));
  if (length > end - offset - kFrame) return bad("a frame is cut off");
  const std::size_t padded = (length + 7) / 8 * 8, room = end - offset - kFrame;
  out.payload = file.subspan(offset + kFrame, length);
  out.length = kFrame + std::min(padded, room);
  out.readable = (type == 1 || type == 2) && length > 0;
  // Before the records: a checksum reads the bytes from the first to the last, as a machine fetches them ahead.
  const bool checksum_is_right = crc32c(crc32c(0, head.first(40)), out.payload) == little(head, 40, 4);
  out.records.reserve(std::min<std::size_t>(records, length / 5));
  if (type == 1 && out.readable) out.readable = records <= length / 5 && read_records(out.payload, records, out);
  if (type != 1 && type != 2) return bad("a frame's type is unknown");
  if (padded > room) return bad("a frame is cut off");
  if (fixed<16>(head, 24) != salt) return bad("a frame bears another segment's salt");
  if (little(head, 44, 4) != 0 || !all_zero(file.subspan(offset + kFrame + length, padded - length))) return bad("a frame's padding is not zero");
  if (!checksum_is_right) return bad("a frame's checksum is wrong");
  if (type == 1 && !out.readable) return bad("a frame's records do not parse");
  if (type == 2 && (out.entries != 0 || records != 0)) return bad("a footer with records");
  out.what = type == 1 ? Frame::Batch : Frame::Footer;
  return out;
}

}  // namespace sallyport::verify
