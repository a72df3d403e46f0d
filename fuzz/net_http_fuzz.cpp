// Any bytes as requests on a connection, and as an answer to one: no crash, nothing unbounded, and what is accepted has one
// framing only.
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <csignal>

#include "net/http.h"
#include "net/http_check.h"

using namespace sallyport;
using namespace sallyport::net;

namespace {

boost::asio::awaitable<void> serve(HttpServerConnection& http) {
  for (int i = 0; i < 16; ++i) {
    auto request = co_await http.read_request();
    if (!request || !*request) break;
    if ((*request)->headers.count("Host") > 1 || (*request)->headers.count("Content-Length") > 1) std::abort();
    if ((*request)->headers.count("Content-Length") != 0 && (*request)->headers.count("Transfer-Encoding") != 0) std::abort();
    if (!co_await http.respond(200, {}, "ok")) break;
  }
  http.close();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto ignored = ::signal(SIGPIPE, SIG_IGN);
  (void)ignored;
  if (size > 60'000) return 0;
  int fd[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0) return 0;
  boost::asio::io_context context{1};
  HttpLimits limits;
  limits.body_bytes = 1u << 16;
  HttpServerConnection http(Stream(context, fd[0]), limits);
  (void)!::write(fd[1], data, size);
  ::shutdown(fd[1], SHUT_WR);
  boost::asio::co_spawn(context, serve(http), [&context](std::exception_ptr) { context.stop(); });
  context.run_for(std::chrono::seconds(5));
  if (!context.stopped()) std::abort();  // it waits for a peer that is gone
  ::close(fd[1]);
  (void)check_answer_head({reinterpret_cast<const char*>(data), size});
  if (auto url = parse_url({reinterpret_cast<const char*>(data), std::min<std::size_t>(size, 400)})) {
    if (url->host.empty() || url->port == 0 || url->target.find_first_of(" \r\n") != std::string::npos) std::abort();
  }
  return 0;
}
