#include "evidence/file_ops.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace sallyport::evidence {

ssize_t FileOps::write_at(int fd, const void* data, std::size_t size, off_t offset) {
  return ::pwrite(fd, data, size, offset);
}
int FileOps::sync(int fd) { return ::fdatasync(fd); }
int FileOps::allocate(int fd, off_t size) { return ::posix_fallocate(fd, 0, size); }
double FileOps::used_share(const std::string& path) {
  struct statvfs s {};
  if (::statvfs(path.c_str(), &s) != 0 || s.f_blocks == 0) return 0;
  return 1.0 - static_cast<double>(s.f_bavail) / static_cast<double>(s.f_blocks);
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

std::unexpected<Error> system_failure(const std::string& what, int error) {
  return fail(ErrorKind::Unavailable, what + ": " + std::generic_category().message(error));
}

Result<File> File::open(const std::string& path, int flags, unsigned mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return system_failure("cannot open " + path, errno);
  return File(fd);
}

Result<void> write_all(FileOps& ops, const File& file, ByteView bytes, std::uint64_t offset, const std::string& what) {
  // The kernel takes at most 2 GiB in one call; more than one call for a large frame is not a short write.
  constexpr std::size_t kMost = 1U << 30;
  while (!bytes.empty()) {
    const auto size = std::min(bytes.size(), kMost);
    ssize_t n;
    do n = ops.write_at(file.fd(), bytes.data(), size, static_cast<off_t>(offset));
    while (n < 0 && errno == EINTR);
    if (n < 0) return system_failure("cannot write " + what, errno);
    if (static_cast<std::size_t>(n) != size) return system_failure("short write to " + what, ENOSPC);
    bytes = bytes.subspan(size);
    offset += size;
  }
  return {};
}

Result<void> sync(FileOps& ops, const File& file, const std::string& what) {
  if (ops.sync(file.fd()) != 0) return system_failure("cannot sync " + what, errno);
  return {};
}

Result<void> sync_folder(const std::string& path) {
  TRY(const auto folder, File::open(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(folder.fd()) != 0) return system_failure("cannot sync " + path, errno);
  return {};
}

std::size_t read_some(const File& file, std::span<std::uint8_t> into, std::uint64_t offset) {
  std::size_t at = 0;
  while (at < into.size()) {
    const auto n = ::pread(file.fd(), into.data() + at, into.size() - at, static_cast<off_t>(offset + at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    at += static_cast<std::size_t>(n);
  }
  return at;
}

bool read_at(const File& file, std::span<std::uint8_t> into, std::uint64_t offset) { return read_some(file, into, offset) == into.size(); }

Result<Bytes> read_file(const std::string& path) {
  TRY(const auto file, File::open(path, O_RDONLY));
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) return system_failure("cannot read " + path, errno);
  Bytes out(static_cast<std::size_t>(info.st_size));
  std::size_t at = 0;
  while (at < out.size()) {
    const auto n = ::read(file.fd(), out.data() + at, out.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_failure("cannot read " + path, errno);
    if (n == 0) break;
    at += static_cast<std::size_t>(n);
  }
  out.resize(at);
  return out;
}

Result<void> replace_file(const std::string& path, ByteView bytes, unsigned mode) {
  FileOps plain;
  const auto temporary = path + ".tmp";
  TRY(const auto file, File::open(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode));
  TRY_VOID(write_all(plain, file, bytes, 0, temporary));
  TRY_VOID(sync(plain, file, temporary));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return system_failure("cannot rename " + temporary, errno);
  const auto slash = path.rfind('/');
  return sync_folder(slash == std::string::npos ? "." : path.substr(0, slash + 1));
}

}  // namespace sallyport::evidence
