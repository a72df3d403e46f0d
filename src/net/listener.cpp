#include "net/listener.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>

namespace sallyport::net {

struct Listener::State {
  State(boost::asio::io_context& io, int fd) : descriptor(io, fd), pause(io) {}
  boost::asio::posix::stream_descriptor descriptor;
  boost::asio::steady_timer pause;
  std::vector<boost::asio::io_context*> workers;
  std::function<void(std::size_t, int)> on_connection;
  std::uint16_t port = 0;
  std::size_t next = 0;
  bool stopped = false;
};

namespace {

struct Opened {
  int fd = -1;
  std::string why;
};

Opened bind_to(const addrinfo& address) {
  Opened out;
  out.fd = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (out.fd < 0) return {-1, std::strerror(errno)};
  const int on = 1;
  ::setsockopt(out.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.ai_family == AF_INET6) ::setsockopt(out.fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(out.fd, address.ai_addr, address.ai_addrlen) != 0 || ::listen(out.fd, 4096) != 0) {
    out.why = std::strerror(errno);
    ::close(out.fd);
    out.fd = -1;
  }
  return out;
}

std::uint16_t port_of(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(const std::string& address, std::vector<boost::asio::io_context*> workers,
                                                 std::function<void(std::size_t, int)> on_connection) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) return fail(ErrorKind::Malformed, "\"" + address + "\" is not host:port");
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), address.substr(colon + 1).c_str(), &hints, &found); error != 0)
    return fail(ErrorKind::Unavailable, "cannot listen on " + address + ": " + gai_strerror(error));
  Opened opened;
  for (const addrinfo* one = found; one != nullptr && opened.fd < 0; one = one->ai_next) opened = bind_to(*one);
  ::freeaddrinfo(found);
  if (opened.fd < 0) return fail(ErrorKind::Unavailable, "cannot listen on " + address + ": " + opened.why);

  auto state = std::make_shared<State>(*workers.front(), opened.fd);
  state->workers = std::move(workers);
  state->on_connection = std::move(on_connection);
  state->port = port_of(opened.fd);
  auto accept_loop = [](std::shared_ptr<State> self) -> boost::asio::awaitable<void> {
    boost::system::error_code error;
    std::size_t in_a_row = 0;
    while (!self->stopped) {
      const int fd = ::accept4(self->descriptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        const std::size_t index = self->next++ % self->workers.size();
        boost::asio::post(*self->workers[index], [self, index, fd] { self->on_connection(index, fd); });
        // A flood of connections must not keep this worker from those it has.
        if (++in_a_row % 32 == 0) co_await boost::asio::post(*self->workers.front(), boost::asio::use_awaitable);
        continue;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        co_await self->descriptor.async_wait(boost::asio::posix::descriptor_base::wait_read,
                                             boost::asio::redirect_error(boost::asio::use_awaitable, error));
        if (error) co_return;
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        // Accepting again at once would only spin: connections that end give descriptors back.
        self->pause.expires_after(std::chrono::milliseconds(100));
        co_await self->pause.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
      }
      // Everything else belongs to a connection that is gone already.
    }
  };
  boost::asio::co_spawn(*state->workers.front(), accept_loop(state), boost::asio::detached);
  return std::unique_ptr<Listener>(new Listener(std::move(state)));
}

Listener::Listener(std::shared_ptr<State> state) : state_(std::move(state)) {}
Listener::~Listener() = default;
std::uint16_t Listener::port() const { return state_->port; }

void Listener::stop() {
  boost::asio::post(*state_->workers.front(), [state = state_] {
    if (std::exchange(state->stopped, true)) return;
    state->pause.cancel();
    boost::system::error_code ignored;
    state->descriptor.close(ignored);
  });
}

}  // namespace sallyport::net
