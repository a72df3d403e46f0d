#pragma once
// One TCP connection, plain or TLS (OpenSSL over the socket, no intermediate BIO). First station of the data path.
// Owned by one connection coroutine and used on its worker's thread only; migrate() is the one way to another worker.
// Writes go out directly and wait only on would-block; at most one read and one write are outstanding at a time (they
// may overlap each other). Errors: Disconnected (peer gone or close() called), Unavailable (deadline passed),
// Malformed (TLS broken). After any error the stream is closed. The process ignores SIGPIPE.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/deadline.h"

namespace sallyport::net {

class TlsServer;
class TlsClient;

class Stream {
 public:
  Stream(boost::asio::io_context& context, int fd);  // takes the descriptor over; sets it non-blocking, TCP_NODELAY
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  boost::asio::awaitable<Result<void>> accept_tls(const TlsServer& tls, Deadline deadline);
  /// Verifies the certificate chain and `host` (name or IP address).
  boost::asio::awaitable<Result<void>> connect_tls(const TlsClient& tls, std::string host, Deadline deadline);

  /// Bytes read; 0 is the peer's orderly end.
  boost::asio::awaitable<Result<std::size_t>> read_some(std::span<char> into, Deadline deadline);
  /// All of it, or an error.
  boost::asio::awaitable<Result<void>> write(std::string_view bytes, Deadline deadline);

  /// Resumes when something can be read; nothing is taken. wake() ends it early with Unavailable.
  boost::asio::awaitable<Result<void>> readable(Deadline deadline);
  void wake();
  /// Looks at what could be read without taking it; for plain connections, before TLS.
  Result<std::optional<std::size_t>> peek_now(std::span<char> into);
  /// Sends what the socket takes at once: how many bytes, 0 when it takes none.
  Result<std::size_t> write_now(std::string_view bytes);
  /// True when the peer has ended or cut the connection, whatever it sent before and is not read yet. Does not block.
  bool peer_gone() const;
  bool is_tls() const;
  /// The protocol that ALPN (RFC 7301) chose, "" for none.
  std::string alpn() const;
  /// Of the peer's certificate, for channel binding tls-server-end-point (RFC 5929 §4); empty without one.
  std::string peer_certificate_hash() const;
  /// Common name of the certificate that a client presented and that was verified; "" for none.
  std::string peer_common_name() const;
  /// What can be read at once; nullopt when nothing can, 0 at the peer's end.
  Result<std::optional<std::size_t>> read_now(std::span<char> into);
  /// Resumes when the socket takes bytes; a connection that is being made is then made or has failed.
  boost::asio::awaitable<Result<void>> writable(Deadline deadline);

  /// No more writes; the peer reads an orderly end after what was written.
  void end_writing();
  /// Fails what is outstanding with Disconnected. Idempotent.
  void close();
  bool is_open() const;
  /// For pooled connections: false when the peer has closed or sent something unasked for. Does not block.
  bool idle_and_healthy();
  /// True when the peer has closed its side, whatever it sent before; a half-closed one counts as closed.
  bool peer_closed() const;
  std::string peer() const;  // "127.0.0.1:51234"
  boost::asio::io_context& context() const;

  void name_peer(std::string peer);

  /// Moves the connection to another worker; nothing may be outstanding. The old object is empty afterwards.
  Stream migrate(boost::asio::io_context& to) &&;

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the operations that wait
};

/// Resolves and connects (loopback names and addresses without a resolver thread). Errors: Unavailable.
boost::asio::awaitable<Result<Stream>> dial(boost::asio::io_context& context, std::string host, std::uint16_t port,
                                            Deadline deadline);

/// Connects to the socket file. Errors: Unavailable.
boost::asio::awaitable<Result<Stream>> dial_unix(boost::asio::io_context& context, std::string path, Deadline deadline);

}  // namespace sallyport::net
