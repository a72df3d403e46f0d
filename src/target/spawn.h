#pragma once
// Starting a server as a process: forked without a shell, put into a session, user, network and limits of its own, then
// exec'd. Between fork and exec only system calls are made, for the gateway has many threads. Whatever of it the kernel
// refuses ends the child before its program runs: Unavailable with the step and the reason. Any thread; the parent thread's
// end kills the child (PR_SET_PDEATHSIG). Sources: fork(2), unshare(2), credentials(7), prctl(2), signal-safety(7).
#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "target/catalog.h"

namespace sallyport::target {

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int fd() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

struct Spawned {
  pid_t pid = 0;                    // the leader of its own session and process group
  Descriptor exited;                // a pidfd: readable when it has ended
  Descriptor in, out, err;          // our ends of its stdin, stdout and stderr: stream sockets, as libuv gives to its children
  Descriptor report;                // end of file once the program runs; else what explain() reads
};

/// The environment as the child gets it, "NAME=value". Errors: Unavailable, a secret that cannot be read.
Result<std::vector<std::string>> environment_of(const McpCommand& command);

/// Forks. That the program runs is known only when `report` has ended without a byte.
Result<Spawned> spawn(const McpCommand& command, const std::vector<std::string>& environment);

/// What the bytes of a report say.
std::string explain(std::string_view report, const McpCommand& command);

}  // namespace sallyport::target
