#pragma once
// Segment files as the verifier reads them (docs/formats/segment.md): a mapped file, its header, its frames. No judgement
// here but on form; what frames mean together is check.h's. Pure but for opening files.
#include <functional>

#include "verify/bytes.h"

namespace sallyport::verify {

/// A file in memory, read-only. A mapped one that becomes shorter is a signal (main.cpp says so).
class File {
 public:
  static std::optional<File> open(const std::string& path, std::string& why);  // mapped
  static std::optional<File> read(const std::string& path, std::string& why);  // a copy
  File(File&& other) noexcept;
  ~File();
  File& operator=(File&&) = delete;
  /// What was read of it need not stay in memory: it comes back when it is read again.
  void leave() const;
  View bytes() const { return data_ == nullptr ? View(copy_) : View(data_, size_); }
  bool mapped() const { return data_ != nullptr; }
  /// Copies bytes of a mapped file, which is faster than to look at each of its pages for the first time. False when they cannot be read.
  bool copy(std::size_t at, std::span<std::uint8_t> into) const;

 private:
  File() = default;
  Blob copy_;
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  int fd_ = -1;
};

constexpr std::size_t kHeader = 4096, kFrame = 48, kChunkHead = 24;  // kChunkHead: a chunk's session and number

struct Header {
  Id incarnation{}, salt{};
  std::uint64_t first = 0, previous = 0, previous_length = 0;
  Hash previous_digest{};
  std::string origin;
};
/// "" and a filled header, or what is wrong.
std::string read_header(View file, Header& out);

struct Record {
  std::uint8_t type = 0;   // 1 entry, 2 chunk, 3 veiled values
  View data;
  Hash hash;               // FrameReader's: an entry's leaf hash, a chunk's ciphertext's digest where `hashed`, of veiled values all of them
  bool hashed = false;
};
struct Frame {
  enum What { Batch, Footer, End, Bad } what = End;
  std::size_t offset = 0, length = 0;   // in the file, padding included
  std::uint64_t first = 0;
  std::uint32_t entries = 0;
  std::vector<Record> records;
  View payload;
  std::string why;                      // of Bad: what is wrong, "" otherwise
  bool readable = false;                // of Bad: its length and records could be made out all the same
};
/// The frame at `offset` of the first `end` bytes.
Frame read_frame(View file, std::size_t offset, std::size_t end, const Id& salt);

/// The frames of a segment one behind the other, read some way ahead, so that the hashes of many records are made at once.
class FrameReader {
 public:
  FrameReader(const File& file, std::size_t end, const Id& salt) : file_(file), end_(end), salt_(salt) {}
  /// The next frame: it follows the one before. End, or the Bad one that is not readable, is the last. Valid until the next call, as
  /// are its bytes, which are copies.
  Frame& next();

 private:
  void read_ahead();
  /// The next frame, if what is in view holds it.
  std::optional<Frame> in_view() const;
  void look(std::size_t size);
  const File& file_;
  std::size_t end_, at_ = kHeader;
  Blob copy_;
  View view_;             // of the file: from at_ on, at least `size` bytes of it or all
  const Id& salt_;
  std::vector<Frame> ahead_;
  std::size_t taken_ = 0;
};

}  // namespace sallyport::verify
