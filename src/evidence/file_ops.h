#pragma once
// The few writes the log's promises hang on, in one place, so that a test can let any of them fail. Any thread.
#include <sys/types.h>

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace sallyport::evidence {

struct FileOps {
  virtual ~FileOps() = default;
  virtual ssize_t write_at(int fd, const void* data, std::size_t size, off_t offset);
  virtual int sync(int fd);                           // fdatasync
  virtual int allocate(int fd, off_t size);           // posix_fallocate: returns the error number
  virtual double used_share(const std::string& path); // of the file system, as one without privileges sees it
};

/// A file descriptor that closes itself.
class File {
 public:
  File() = default;
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~File();
  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }

  /// Errors: Unavailable naming the path.
  static Result<File> open(const std::string& path, int flags, unsigned mode = 0600);

 private:
  int fd_ = -1;
};

/// Writes all of it at the offset. A short write is an error: what follows it is not known. Errors: Unavailable.
Result<void> write_all(FileOps& ops, const File& file, ByteView bytes, std::uint64_t offset, const std::string& what);
Result<void> sync(FileOps& ops, const File& file, const std::string& what);
/// Makes renames and new names in a folder durable. Errors: Unavailable.
Result<void> sync_folder(const std::string& path);
/// As much as there is, from the offset on; 0 at the end or on an error.
std::size_t read_some(const File& file, std::span<std::uint8_t> into, std::uint64_t offset);
/// All of it, or false.
bool read_at(const File& file, std::span<std::uint8_t> into, std::uint64_t offset);
Result<Bytes> read_file(const std::string& path);
/// A new file with this content, durable under its name before it returns (temporary file, fsync, rename).
Result<void> replace_file(const std::string& path, ByteView bytes, unsigned mode = 0600);
/// "…: No space left on device" as an Unavailable error.
std::unexpected<Error> system_failure(const std::string& what, int error);

}  // namespace sallyport::evidence
