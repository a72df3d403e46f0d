#pragma once
// HTTP/1.1 (RFC 9112) over a Stream, both sides, on Boost.Beast's parser; strict about what smuggling lives on:
// Content-Length with Transfer-Encoding, repeated Content-Length or Host, bare CR or LF, obs-fold, names with white
// space, chunk extensions over 1 KiB. On the worker's thread only. Errors as in stream.h, Malformed for a bad message,
// Overloaded for one over its limit (the answer 400, 413 or 431 has then been sent by read_request).
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/recall.h"
#include "net/stream.h"

namespace sallyport::net {

/// Header fields in order, as sent. Names compare without case.
class Headers {
 public:
  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  /// The value of the first such field, "" when absent.
  std::string_view get(std::string_view name) const;
  std::size_t count(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return fields_; }
  void clear() { fields_.clear(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct HttpRequest {
  std::string method;   // "POST"
  std::string target;   // origin-form: path and query as sent
  Headers headers;
  std::string body;
  bool keep_alive = true;
};

struct HttpLimits {
  std::size_t header_bytes = 32u << 10;
  std::size_t body_bytes = 16u << 20;
  std::int64_t idle_ns = 300'000'000'000;     // between requests
  std::int64_t request_ns = 30'000'000'000;   // from the first byte of a request to its last
  std::int64_t write_ns = 60'000'000'000;     // a client that stops reading is let go after this
};

/// The server's side of one connection. Pipelined requests are answered in order: the next read_request is called
/// after the answer to the one before.
class HttpServerConnection {
 public:
  HttpServerConnection(Stream stream, HttpLimits limits);
  HttpServerConnection(HttpServerConnection&&) noexcept;
  ~HttpServerConnection();

  /// nullopt at the peer's orderly end or when idle too long. Answers `Expect: 100-continue`. Trailers are dropped.
  boost::asio::awaitable<Result<std::optional<HttpRequest>>> read_request();

  /// A whole answer with Content-Length. `headers` lacks Content-Length, Date and Connection: they are added.
  boost::asio::awaitable<Result<void>> respond(unsigned status, const Headers& headers, std::string_view body);

  /// An answer of unknown length: begin, chunk..., end (chunked coding). chunk() sends at once.
  boost::asio::awaitable<Result<void>> begin(unsigned status, const Headers& headers);
  boost::asio::awaitable<Result<void>> chunk(std::string_view bytes);
  boost::asio::awaitable<Result<void>> end();

  /// Resumes when the client closes or sends while an answer is under way (its bytes are kept for the next request);
  /// also when close() is called. At most one at a time, not together with read_request.
  boost::asio::awaitable<void> client_gone();

  void close();
  bool is_open() const;
  std::string peer() const;
  Stream& stream();
  /// The connection on another worker, unread bytes included; between a request and its answer, nothing outstanding.
  HttpServerConnection migrate(boost::asio::io_context& to) &&;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct Url {
  bool tls = false;
  std::string host;
  std::uint16_t port = 0;
  std::string target;       // path and query, "/" at least
  std::string authority;    // for Host
};
/// http and https only; no user information, no fragment. Errors: Malformed.
Result<Url> parse_url(std::string_view text);

/// The answer to one request sent upstream. Destroying it before the body's end closes the connection; after the end
/// the connection goes back to the pool.
class HttpExchange {
 public:
  HttpExchange(HttpExchange&&) noexcept;
  HttpExchange& operator=(HttpExchange&&) noexcept;
  ~HttpExchange();
  unsigned status() const;
  const Headers& headers() const;
  /// The next piece of the body as it arrives (de-chunked), at most 16 KiB; empty at its end. Errors: Disconnected when cut short.
  boost::asio::awaitable<Result<std::string_view>> read_some(Deadline deadline);
  /// The whole body. Errors: Overloaded over `limit`.
  boost::asio::awaitable<Result<std::string>> read_all(std::size_t limit, Deadline deadline);
  void close();

 private:
  friend class HttpClient;
  struct State;
  explicit HttpExchange(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Keep-alive connections of one worker to one origin. A request is sent again on a new connection only when a pooled
/// one was closed before a byte of it was accepted and no byte of an answer came, and only if `retry_safe`.
class HttpClient {
 public:
  HttpClient(boost::asio::io_context& context, Url origin, std::shared_ptr<const TlsClient> tls, std::size_t max_idle = 64);
  ~HttpClient();
  /// Sends head and body, resumes when the answer's head is here. Host and Content-Length are added. `recall` may take it back until then.
  boost::asio::awaitable<Result<HttpExchange>> send(const std::string& method, const std::string& target, const Headers& headers,
                                                    std::string_view body, bool retry_safe, Deadline deadline, Recall* recall = nullptr);

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::net
