#pragma once
// The door to a target that speaks a protocol of its own over one connection (PostgreSQL): one Wire a session. Until
// ready() the protocol's target side talks freely, for that is the gateway's own login; from then on only permits pass,
// data under a permit that is running, and the protocol's own control messages under the session's permit.
// Output is buffered here: queue first, then flush() or drain(). Worker's thread. Errors: Unavailable (address, TLS,
// deadline), Disconnected, Internal (bytes that nobody permitted).
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <span>
#include <string>

#include "net/stream.h"
#include "net/tls.h"
#include "target/permit.h"

namespace sallyport::target {

struct WireAddress {
  std::string host;
  std::uint16_t port = 0;
  std::string unix_path;  // instead of host and port
};

class Wire {
 public:
  static boost::asio::awaitable<Result<std::unique_ptr<Wire>>> connect(boost::asio::io_context& context, WireAddress address, std::string target,
                                                                       net::Deadline deadline);

  // The gateway's own login.
  boost::asio::awaitable<Result<void>> greet(std::string_view bytes, net::Deadline deadline);
  boost::asio::awaitable<Result<void>> start_tls(const net::TlsClient& tls, std::string host, net::Deadline deadline);
  bool is_tls() const { return stream_.is_tls(); }
  std::string certificate_hash() const { return stream_.peer_certificate_hash(); }
  void ready() { ready_ = true; }

  // Commands.
  Result<void> queue(Permit permit);
  /// More bytes of what a permit has begun: rows of a COPY, the rest of a long message.
  Result<void> queue_data(const SessionPermit& session, std::string_view bytes);
  Result<void> queue_control(const SessionPermit& session, std::string_view message);

  /// Writes what the socket takes now; false when something is left.
  Result<bool> flush();
  /// Resumes when at most `left` bytes wait to be written.
  boost::asio::awaitable<Result<void>> drain(std::size_t left, net::Deadline deadline);
  std::size_t waiting() const { return out_.size() - sent_; }

  // Answers.
  boost::asio::awaitable<Result<void>> readable(net::Deadline deadline) { return stream_.readable(deadline); }
  Result<std::optional<std::size_t>> read_now(std::span<char> into) { return stream_.read_now(into); }
  boost::asio::awaitable<Result<std::size_t>> read_some(std::span<char> into, net::Deadline deadline) { return stream_.read_some(into, deadline); }
  void end_writing() { stream_.end_writing(); }
  void close() { stream_.close(); }
  bool is_open() const { return stream_.is_open(); }

 private:
  Wire(net::Stream stream, std::string target) : stream_(std::move(stream)), target_(std::move(target)) {}
  Result<void> check(const SessionPermit& session) const;

  net::Stream stream_;
  std::string target_;
  std::string out_;
  std::size_t sent_ = 0;
  bool ready_ = false;
};

}  // namespace sallyport::target
