#pragma once
// For clients that only start commands: JSON-RPC lines on stdin and stdout (stdio transport), Streamable HTTP towards the
// gateway. Each request is a POST of its own, so that several run at once; the target's own messages come on a GET stream,
// resumed with Last-Event-ID. Everything that fails is an error answer to the request it concerns, a session that was lost
// too. stdout carries messages and nothing else. One thread and its io_context; a second thread reads stdin.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <string>

#include "base/json.h"
#include "net/condition.h"
#include "net/http.h"
#include "protocol/mcp/sse.h"

namespace sallyport::cli {

class StdioBridge {
 public:
  /// `token` is asked before each request: a renewed one counts at once.
  StdioBridge(boost::asio::io_context& context, net::Url url, std::shared_ptr<const net::TlsClient> tls, std::function<Result<std::string>()> token);

  /// One line of the client; resumes when the next one may be read.
  boost::asio::awaitable<void> take(std::string line);
  /// The client says no more: what runs gets a short time, then the session is deleted.
  boost::asio::awaitable<void> end(std::int64_t patience_ns);

 private:
  struct Call {
    std::string id;                       // raw JSON
    bool initialize = false;
    bool modern = false;                  // revision 2026-07-28: a closed stream is how it is cancelled
    net::HttpExchange* exchange = nullptr;
    bool cancelled = false, answered = false;
  };
  using CallPtr = std::shared_ptr<Call>;

  boost::asio::awaitable<void> request(std::string line, CallPtr call, net::Headers headers);
  boost::asio::awaitable<void> one_way(std::string line, net::Headers headers);
  boost::asio::awaitable<void> listen();
  boost::asio::awaitable<Result<net::HttpExchange>> send(std::string method, const net::Headers& headers, std::string body);
  /// Reads events to the end; false when the stream broke. `last` and `retry` are kept up to date.
  boost::asio::awaitable<bool> read_events(net::HttpExchange& exchange, Call* call, std::string& last, std::int64_t& retry_ns);
  boost::asio::awaitable<void> resume(Call& call, std::string last, std::int64_t retry_ns);
  Result<net::Headers> headers(const json::Value& message) const;
  void deliver(std::string text, Call* call);
  void fail(Call& call, std::string why);
  std::string refused(unsigned status, const std::string& body);

  boost::asio::io_context& context_;
  net::Url url_;
  net::HttpClient client_;
  std::function<Result<std::string>()> token_;
  net::Condition changed_;
  std::map<std::string, CallPtr> calls_;   // by raw id
  std::string session_, version_;
  std::uint64_t sessions_ = 0;             // a listener belongs to one of them
  net::HttpExchange* listening_ = nullptr;
  bool ending_ = false;
};

}  // namespace sallyport::cli
