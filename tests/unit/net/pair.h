#pragma once
// A connection within the process: one end a Stream, the other a plain descriptor or a Stream too.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <csignal>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_future.hpp>
#include <future>

#include "net/http.h"
#include "net/tls.h"

namespace sallyport::net {

/// As main() does: OpenSSL writes to sockets without MSG_NOSIGNAL.
inline const auto kNoPipeSignal = ::signal(SIGPIPE, SIG_IGN);

struct Pair {
  int fd[2] = {-1, -1};
  Pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0); }
};

/// The raw end: what a hostile peer would use.
struct Raw {
  explicit Raw(int descriptor) : fd(descriptor) {}
  ~Raw() { end(); }
  Raw(const Raw&) = delete;
  void send(std::string_view bytes) { EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size())); }
  /// Everything up to the peer's end.
  std::string read_all() {
    std::string out;
    char piece[4096];
    for (ssize_t n; (n = ::recv(fd, piece, sizeof piece, 0)) > 0;) out.append(piece, static_cast<std::size_t>(n));
    return out;
  }
  std::string read_ready() {
    std::string out(1u << 20, '\0');
    const auto n = ::recv(fd, out.data(), out.size(), MSG_DONTWAIT);
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
  }
  void end() {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  int fd;
};

/// Runs until the coroutine has ended, for at most twenty seconds.
template <class T>
T run(boost::asio::io_context& context, boost::asio::awaitable<T> work) {
  context.restart();
  auto future = boost::asio::co_spawn(context, std::move(work), boost::asio::use_future);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  auto guard = boost::asio::make_work_guard(context);
  while (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready && std::chrono::steady_clock::now() < until)
    context.run_one_for(std::chrono::milliseconds(50));
  if (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) throw std::runtime_error("it never ended");
  return future.get();
}

}  // namespace sallyport::net
