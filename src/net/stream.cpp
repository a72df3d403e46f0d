#include "net/stream.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/stream_state.h"

namespace sallyport::net {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kYieldAfter = 1u << 20;

std::string address_text(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
    return fmt::format("{}:{}", text, ntohs(in.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
    return fmt::format("[{}]:{}", text, ntohs(in.sin6_port));
  }
  return "local";
}

std::string peer_of(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "unknown";
  return address_text(address);
}

std::unexpected<Error> closed() { return fail(ErrorKind::Disconnected, "the connection is closed"); }

}  // namespace

Stream::State::State(boost::asio::io_context& io, int fd)
    : context(io), wheel(boost::asio::use_service<DeadlineWheel>(io)), descriptor(io, fd) {
  boost::system::error_code ignored;
  descriptor.native_non_blocking(true, ignored);
  descriptor.non_blocking(true, ignored);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (auto& one : waiting) {
    one.owner = this;
    // Wakes both directions; the one whose deadline has not passed waits again.
    one.fire = [](DeadlineWheel::Node& node) {
      boost::system::error_code none;
      static_cast<Waiting&>(node).owner->descriptor.cancel(none);
    };
  }
}

Stream::State::~State() {
  close();
  for (auto& one : waiting) wheel.disarm(one);
  if (ssl != nullptr) SSL_free(ssl);
}

void Stream::State::close() {
  if (!open) return;
  open = false;
  if (ssl != nullptr && handshaken && !broken) {
    ERR_clear_error();
    SSL_shutdown(ssl);  // one try: close_notify, so that the peer knows this end from a cut
  }
  boost::system::error_code ignored;
  descriptor.close(ignored);
}

awaitable<Result<void>> Stream::State::wait(Wait what, Deadline deadline) {
  unyielded = 0;
  auto& mine = waiting[static_cast<int>(what)];
  wheel.arm(mine, deadline);
  for (;;) {
    boost::system::error_code error;
    co_await descriptor.async_wait(what == Wait::Read ? boost::asio::posix::descriptor_base::wait_read : boost::asio::posix::descriptor_base::wait_write,
                                   boost::asio::redirect_error(boost::asio::use_awaitable, error));
    if (!open) {
      wheel.disarm(mine);
      co_return closed();
    }
    if (mine.fired) {
      close();
      co_return fail(ErrorKind::Unavailable, "the peer was silent for too long");
    }
    if (what == Wait::Read && std::exchange(woken, false)) {
      wheel.disarm(mine);
      co_return fail(ErrorKind::Unavailable, "woken");
    }
    if (error == boost::asio::error::operation_aborted) continue;  // the other direction's deadline
    wheel.disarm(mine);
    if (error) {
      close();
      co_return fail(ErrorKind::Disconnected, error.message());
    }
    co_return Result<void>{};
  }
}

bool Stream::State::due(std::size_t bytes) {
  unyielded += bytes;
  return unyielded >= kYieldAfter;
}

awaitable<void> Stream::State::yield() {
  unyielded = 0;
  co_await boost::asio::post(context, boost::asio::use_awaitable);
}

Stream::State::Tried Stream::State::try_read(std::span<char> into) {
  Tried tried;
  if (ssl != nullptr) {
    ERR_clear_error();
    std::size_t got = 0;
    const int ok = SSL_read_ex(ssl, into.data(), into.size(), &got);
    if (ok == 1) {
      tried.bytes = got;
      return tried;
    }
    switch (SSL_get_error(ssl, ok)) {
      case SSL_ERROR_WANT_READ: tried.what = Tried::WantRead; return tried;
      case SSL_ERROR_WANT_WRITE: tried.what = Tried::WantWrite; return tried;
      case SSL_ERROR_ZERO_RETURN: tried.what = Tried::End; return tried;
      default: break;
    }
    broken = true;
    tried.what = Tried::Broken;
    tried.why = "the TLS connection was cut off";
    return tried;
  }
  for (;;) {
    const auto got = ::recv(descriptor.native_handle(), into.data(), into.size(), 0);
    if (got > 0) {
      tried.bytes = static_cast<std::size_t>(got);
      drained = tried.bytes < into.size();
      return tried;
    }
    if (got == 0) tried.what = Tried::End;
    else if (errno == EINTR) continue;
    else if (errno == EAGAIN || errno == EWOULDBLOCK) tried.what = Tried::WantRead;
    else {
      tried.what = Tried::Broken;
      tried.why = std::strerror(errno);
    }
    return tried;
  }
}

Stream::State::Tried Stream::State::try_write(std::string_view bytes) {
  Tried tried;
  if (ssl != nullptr) {
    ERR_clear_error();
    std::size_t put = 0;
    const int ok = SSL_write_ex(ssl, bytes.data(), bytes.size(), &put);
    if (ok == 1) {
      tried.bytes = put;
      return tried;
    }
    switch (SSL_get_error(ssl, ok)) {
      case SSL_ERROR_WANT_READ: tried.what = Tried::WantRead; return tried;
      case SSL_ERROR_WANT_WRITE: tried.what = Tried::WantWrite; return tried;
      default: break;
    }
    broken = true;
    tried.what = Tried::Broken;
    tried.why = "the TLS connection was cut off";
    return tried;
  }
  for (;;) {
    const auto put = ::send(descriptor.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put >= 0) {
      tried.bytes = static_cast<std::size_t>(put);
      return tried;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) tried.what = Tried::WantWrite;
    else {
      tried.what = Tried::Broken;
      tried.why = std::strerror(errno);
    }
    return tried;
  }
}

Stream::Stream(boost::asio::io_context& context, int fd) : state_(std::make_shared<State>(context, fd)) { state_->peer = peer_of(fd); }
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&& other) noexcept {
  if (this != &other) {
    close();
    state_ = std::move(other.state_);
  }
  return *this;
}
Stream::~Stream() { close(); }

awaitable<Result<std::size_t>> Stream::read_some(std::span<char> into, Deadline deadline) {
  const auto state = state_;  // kept over every wait, whatever becomes of the Stream
  if (!state || !state->open) co_return closed();
  if (state->due(0)) co_await state->yield();
  for (;;) {
    if (!state->open) co_return closed();
    if (std::exchange(state->drained, false)) CO_TRY_VOID(co_await state->wait(State::Wait::Read, deadline));
    auto tried = state->try_read(into);
    switch (tried.what) {
      case State::Tried::Done:
        if (state->due(tried.bytes)) co_await state->yield();
        co_return tried.bytes;
      case State::Tried::End: co_return std::size_t{0};
      case State::Tried::WantRead: CO_TRY_VOID(co_await state->wait(State::Wait::Read, deadline)); break;
      case State::Tried::WantWrite: CO_TRY_VOID(co_await state->wait(State::Wait::Write, deadline)); break;
      case State::Tried::Broken: state->close(); co_return fail(ErrorKind::Disconnected, tried.why);
    }
  }
}

awaitable<Result<void>> Stream::write(std::string_view bytes, Deadline deadline) {
  const auto state = state_;
  if (!state || !state->open) co_return closed();
  while (!bytes.empty()) {
    if (!state->open) co_return closed();
    auto tried = state->try_write(bytes);
    switch (tried.what) {
      case State::Tried::Done:
      case State::Tried::End:
        bytes.remove_prefix(tried.bytes);
        if (state->due(tried.bytes)) co_await state->yield();
        break;
      case State::Tried::WantRead: CO_TRY_VOID(co_await state->wait(State::Wait::Read, deadline)); break;
      case State::Tried::WantWrite: CO_TRY_VOID(co_await state->wait(State::Wait::Write, deadline)); break;
      case State::Tried::Broken: state->close(); co_return fail(ErrorKind::Disconnected, tried.why);
    }
  }
  co_return Result<void>{};
}

awaitable<Result<void>> Stream::readable(Deadline deadline) {
  const auto state = state_;
  if (!state || !state->open) co_return closed();
  if (state->ssl != nullptr && SSL_pending(state->ssl) > 0) co_return Result<void>{};
  state->woken = false;
  co_return co_await state->wait(State::Wait::Read, deadline);
}

Result<std::optional<std::size_t>> Stream::read_now(std::span<char> into) {
  if (!state_ || !state_->open) return closed();
  if (std::exchange(state_->drained, false)) return std::nullopt;  // readable() looks again, whatever has come meanwhile
  auto tried = state_->try_read(into);
  switch (tried.what) {
    case State::Tried::Done: return tried.bytes;
    case State::Tried::End: return std::size_t{0};
    case State::Tried::WantRead:
    case State::Tried::WantWrite: return std::nullopt;
    case State::Tried::Broken: break;
  }
  state_->close();
  return fail(ErrorKind::Disconnected, tried.why);
}

Result<std::optional<std::size_t>> Stream::peek_now(std::span<char> into) {
  if (!state_ || !state_->open) return closed();
  const auto got = ::recv(state_->descriptor.native_handle(), into.data(), into.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got >= 0) return static_cast<std::size_t>(got);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return std::nullopt;
  return fail(ErrorKind::Disconnected, std::strerror(errno));
}

Result<std::size_t> Stream::write_now(std::string_view bytes) {
  if (!state_ || !state_->open) return closed();
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    auto tried = state_->try_write(bytes.substr(sent));
    if (tried.what == State::Tried::WantRead || tried.what == State::Tried::WantWrite) break;
    if (tried.what == State::Tried::Broken) {
      state_->close();
      return fail(ErrorKind::Disconnected, tried.why);
    }
    sent += tried.bytes;
  }
  state_->unyielded += sent;
  return sent;
}

bool Stream::peer_gone() const {
  if (!is_open()) return true;
  pollfd look{state_->descriptor.native_handle(), POLLRDHUP, 0};
  return ::poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void Stream::wake() {
  if (!state_ || !state_->open) return;
  state_->woken = true;
  boost::system::error_code ignored;
  state_->descriptor.cancel(ignored);
}

void Stream::close() {
  if (state_) state_->close();
}

void Stream::end_writing() {
  if (!state_ || !state_->open) return;
  if (state_->ssl != nullptr && state_->handshaken && !state_->broken) {
    ERR_clear_error();
    SSL_shutdown(state_->ssl);
  }
  ::shutdown(state_->descriptor.native_handle(), SHUT_WR);
}

bool Stream::is_open() const { return state_ && state_->open; }

bool Stream::idle_and_healthy() {
  if (!is_open()) return false;
  char byte = 0;
  if (state_->ssl != nullptr && SSL_pending(state_->ssl) > 0) return false;
  const auto got = ::recv(state_->descriptor.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool Stream::peer_closed() const {
  if (!is_open()) return true;
  pollfd one{state_->descriptor.native_handle(), POLLRDHUP, 0};
  return ::poll(&one, 1, 0) > 0 && (one.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

std::string Stream::peer() const { return state_ ? state_->peer : std::string("closed"); }
boost::asio::io_context& Stream::context() const { return state_->context; }

Stream Stream::migrate(boost::asio::io_context& to) && {
  const auto old = std::move(state_);
  const int fd = old->descriptor.release();
  Stream moved(to, fd);
  moved.state_->peer = old->peer;
  moved.state_->ssl = std::exchange(old->ssl, nullptr);
  moved.state_->handshaken = old->handshaken;
  old->open = false;
  return moved;
}

namespace {

awaitable<Result<Stream>> connect_to(boost::asio::io_context& context, const sockaddr_storage& address, socklen_t length, Deadline deadline) {
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) co_return fail(ErrorKind::Unavailable, std::string("socket: ") + std::strerror(errno));
  const int started = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), length);
  const int error = errno;
  Stream stream(context, fd);
  if (started != 0) {
    if (error != EINPROGRESS) co_return fail(ErrorKind::Unavailable, std::strerror(error));
    if (auto ready = co_await stream.writable(deadline); !ready) co_return fail(ErrorKind::Unavailable, ready.error().what);
    int failed = 0;
    socklen_t size = sizeof failed;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    if (failed != 0) co_return fail(ErrorKind::Unavailable, std::strerror(failed));
  }
  stream.name_peer(address_text(address));
  co_return stream;
}

/// Numeric addresses and localhost without a resolver.
std::vector<std::pair<sockaddr_storage, socklen_t>> known_addresses(const std::string& host, std::uint16_t port) {
  std::vector<std::pair<sockaddr_storage, socklen_t>> out;
  const auto add = [&](const char* text, int family) {
    sockaddr_storage storage{};
    if (family == AF_INET) {
      auto& in = reinterpret_cast<sockaddr_in&>(storage);
      in.sin_family = AF_INET;
      in.sin_port = htons(port);
      if (inet_pton(AF_INET, text, &in.sin_addr) == 1) out.emplace_back(storage, sizeof in);
    } else {
      auto& in = reinterpret_cast<sockaddr_in6&>(storage);
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(port);
      if (inet_pton(AF_INET6, text, &in.sin6_addr) == 1) out.emplace_back(storage, sizeof in);
    }
  };
  if (host == "localhost") {
    add("127.0.0.1", AF_INET);
    add("::1", AF_INET6);
  } else {
    add(host.c_str(), AF_INET);
    if (out.empty()) add(host.c_str(), AF_INET6);
  }
  return out;
}

}  // namespace

awaitable<Result<void>> Stream::writable(Deadline deadline) {
  const auto state = state_;
  if (!state || !state->open) co_return closed();
  co_return co_await state->wait(State::Wait::Write, deadline);
}

void Stream::name_peer(std::string peer) { state_->peer = std::move(peer); }

awaitable<Result<Stream>> dial(boost::asio::io_context& context, std::string host, std::uint16_t port, Deadline deadline) {
  auto addresses = known_addresses(host, port);
  const std::string where = fmt::format("{}:{}", host, port);
  if (addresses.empty()) {
    using boost::asio::ip::tcp;
    tcp::resolver resolver(context);
    // The resolver has a thread of its own; a timer of its own bounds it.
    boost::asio::steady_timer limit(context);
    const auto left = deadline == kNever ? std::int64_t{30'000'000'000} : std::max<std::int64_t>(deadline - after(0), 0);
    limit.expires_after(std::chrono::nanoseconds(left));
    const auto over = std::make_shared<bool>(false);  // the handler may be queued already when this coroutine goes on
    limit.async_wait([&resolver, over](const boost::system::error_code& stopped) {
      if (!stopped && !*over) resolver.cancel();
    });
    boost::system::error_code error;
    auto found = co_await resolver.async_resolve(host, std::to_string(port), boost::asio::redirect_error(boost::asio::use_awaitable, error));
    *over = true;
    limit.cancel();
    if (error) co_return fail(ErrorKind::Unavailable, "cannot resolve " + host + ": " + error.message());
    for (const auto& entry : found) {
      sockaddr_storage storage{};
      const auto endpoint = entry.endpoint();
      std::memcpy(&storage, endpoint.data(), endpoint.size());
      addresses.emplace_back(storage, static_cast<socklen_t>(endpoint.size()));
    }
  }
  std::string why = "no address";
  for (const auto& [address, length] : addresses) {
    auto stream = co_await connect_to(context, address, length, deadline);
    if (stream) co_return stream;
    why = stream.error().what;
  }
  co_return fail(ErrorKind::Unavailable, "cannot connect to " + where + ": " + why);
}

awaitable<Result<Stream>> dial_unix(boost::asio::io_context& context, std::string path, Deadline deadline) {
  sockaddr_storage storage{};
  auto& name = reinterpret_cast<sockaddr_un&>(storage);
  if (path.size() >= sizeof name.sun_path) co_return fail(ErrorKind::Unavailable, "the socket's path is too long: " + path);
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.c_str(), path.size() + 1);
  auto stream = co_await connect_to(context, storage, sizeof name, deadline);
  if (!stream) co_return fail(ErrorKind::Unavailable, "cannot connect to " + path + ": " + stream.error().what);
  co_return stream;
}

}  // namespace sallyport::net
