#include "trace.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <mutex>

namespace sallyport::crash {
namespace {

struct Recording {
  std::mutex mutex;
  std::atomic<bool> on{false};
  std::string root;  // with its slash
  std::map<std::string, std::uint32_t> names;
  std::map<int, std::uint32_t> open;
  std::map<int, std::string> folders;
  std::uint32_t next = 0;
  std::vector<Step> steps;

  bool inside(const char* path) const { return std::string_view(path).starts_with(root); }
  std::string relative(const char* path) const {
    std::string out(path + root.size());
    while (out.ends_with('/')) out.pop_back();
    return out;
  }
};
// Never destroyed: the C library's own exit handlers write too.
Recording& recording() {
  static auto* one = new Recording;
  return *one;
}

template <class Call, class Note>
auto caught(Call call, Note note) {
  auto& r = recording();
  if (!r.on) return call();
  const std::lock_guard lock(r.mutex);
  const auto result = call();
  const int error = errno;
  if (r.on && result >= 0) note(r, result);
  errno = error;
  return result;
}

}  // namespace

std::string describe(const Step& s) {
  static constexpr const char* kNames[] = {"create", "write", "resize", "sync", "rename", "remove", "mkdir", "sync folder", "told", "signed", "opened"};
  std::string out = kNames[s.what];
  if (s.what == Step::Create || s.what >= Step::Rename) out += " " + s.path + (s.to.empty() ? "" : " -> " + s.to);
  if (s.what <= Step::Sync) out += " #" + std::to_string(s.file);
  if (s.what == Step::Write) out += " " + std::to_string(s.at) + "+" + std::to_string(s.data.size());
  if (s.what == Step::Resize || s.what == Step::Told || s.what == Step::Signed) out += " " + std::to_string(s.at);
  return out;
}

void trace::start(const std::string& folder, const std::map<std::string, std::uint32_t>& there) {
  auto& r = recording();
  const std::lock_guard lock(r.mutex);
  r.root = folder + "/";
  r.names = there;
  r.next = 0;
  for (const auto& [name, file] : there) r.next = std::max(r.next, file + 1);
  r.open.clear();
  r.folders.clear();
  r.steps.clear();
  r.on = true;
}

std::vector<Step> trace::stop() {
  auto& r = recording();
  const std::lock_guard lock(r.mutex);
  r.on = false;
  return std::move(r.steps);
}

void trace::note(Step step) {
  auto& r = recording();
  const std::lock_guard lock(r.mutex);
  if (r.on) r.steps.push_back(std::move(step));
}

}  // namespace sallyport::crash

// The C library's own names, taken over by this program. Only the kernel is called from here.
using sallyport::crash::caught;
using sallyport::crash::Recording;
using sallyport::crash::Step;

extern "C" {

int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list list;
    va_start(list, flags);
    mode = va_arg(list, mode_t);
    va_end(list);
  }
  return caught([&] { return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode)); },
                [&](Recording& r, int fd) {
                  r.open.erase(fd);
                  r.folders.erase(fd);
                  if (!r.inside(path) && std::string(path) + "/" != r.root) return;
                  const auto name = std::string(path) + "/" == r.root ? std::string() : r.relative(path);
                  if ((flags & O_DIRECTORY) != 0) {
                    r.folders[fd] = name;
                    return;
                  }
                  const auto [at, fresh] = r.names.try_emplace(name, r.next);
                  if (fresh) {
                    ++r.next;
                    r.steps.push_back({.what = Step::Create, .file = at->second, .path = name});
                  } else if ((flags & O_TRUNC) != 0) {
                    r.steps.push_back({.what = Step::Resize, .file = at->second});
                  }
                  r.open[fd] = at->second;
                });
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  return caught([&] { return static_cast<ssize_t>(::syscall(SYS_pwrite64, fd, data, size, at)); },
                [&](Recording& r, ssize_t n) {
                  const auto found = r.open.find(fd);
                  if (found == r.open.end()) return;
                  const auto* bytes = static_cast<const std::uint8_t*>(data);
                  r.steps.push_back({.what = Step::Write, .file = found->second, .at = static_cast<std::uint64_t>(at), .data = {bytes, bytes + n}});
                });
}
ssize_t pwrite64(int fd, const void* data, size_t size, off_t at) { return pwrite(fd, data, size, at); }

int ftruncate(int fd, off_t size) noexcept {
  return caught([&] { return static_cast<int>(::syscall(SYS_ftruncate, fd, size)); },
                [&](Recording& r, int) {
                  if (const auto found = r.open.find(fd); found != r.open.end())
                    r.steps.push_back({.what = Step::Resize, .file = found->second, .at = static_cast<std::uint64_t>(size)});
                });
}

int posix_fallocate(int fd, off_t from, off_t size) {
  const int result = caught([&] { return static_cast<int>(::syscall(SYS_fallocate, fd, 0, from, size)); },
                            [&](Recording& r, int) {
                              if (const auto found = r.open.find(fd); found != r.open.end())
                                r.steps.push_back({.what = Step::Resize, .file = found->second, .at = static_cast<std::uint64_t>(from + size)});
                            });
  return result < 0 ? errno : 0;
}

static int sync_of(int fd, long call) {
  return caught([&] { return static_cast<int>(::syscall(call, fd)); },
                [&](Recording& r, int) {
                  if (const auto folder = r.folders.find(fd); folder != r.folders.end())
                    r.steps.push_back({.what = Step::SyncFolder, .path = folder->second});
                  else if (const auto found = r.open.find(fd); found != r.open.end())
                    r.steps.push_back({.what = Step::Sync, .file = found->second});
                });
}
int fdatasync(int fd) { return sync_of(fd, SYS_fdatasync); }
int fsync(int fd) { return sync_of(fd, SYS_fsync); }

int rename(const char* from, const char* to) noexcept {
  return caught([&] { return static_cast<int>(::syscall(SYS_rename, from, to)); },
                [&](Recording& r, int) {
                  if (!r.inside(from)) return;
                  const auto a = r.relative(from), b = r.relative(to);
                  r.steps.push_back({.what = Step::Rename, .path = a, .to = b});
                  r.names[b] = r.names[a];
                  r.names.erase(a);
                });
}

int unlink(const char* path) noexcept {
  return caught([&] { return static_cast<int>(::syscall(SYS_unlink, path)); },
                [&](Recording& r, int) {
                  if (!r.inside(path)) return;
                  r.steps.push_back({.what = Step::Remove, .path = r.relative(path)});
                  r.names.erase(r.relative(path));
                });
}

int mkdir(const char* path, mode_t mode) noexcept {
  return caught([&] { return static_cast<int>(::syscall(SYS_mkdir, path, mode)); },
                [&](Recording& r, int) {
                  if (r.inside(path)) r.steps.push_back({.what = Step::MakeFolder, .path = r.relative(path)});
                });
}

}  // extern "C"
