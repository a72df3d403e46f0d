#pragma once
// A client of the gateway's own door, within it: says what any client would (extended protocol, text format) on one end of a socket
// pair whose other end is served as a Session. So a statement of another protocol's client meets everything that one of psql does.
// Lives for one statement, in the coroutine that asked; worker's thread. Errors as Databases::run.
#include "net/stream.h"
#include "protocol/database.h"
#include "protocol/postgres/wire.h"
#include "sql/schema.h"

namespace sallyport::protocol::postgres {

class InnerClient {
 public:
  InnerClient(net::Stream stream, const DatabaseCall& call) : stream_(std::move(stream)), call_(call) {}

  /// From the greeting to the session's end. `session` and the types' names are for the caller to add.
  boost::asio::awaitable<Result<DatabaseAnswer>> run();
  /// Nobody waits any more: run() ends with Disconnected.
  void close() { stream_.close(); }
  /// The oids of the answer's columns, in their order.
  const std::vector<std::uint32_t>& types() const { return types_; }

 private:
  struct Incoming { char type = 0; std::string body; bool cut = false; };
  boost::asio::awaitable<Result<Incoming>> message(std::size_t most);
  boost::asio::awaitable<Result<void>> greet(DatabaseAnswer& out);
  boost::asio::awaitable<Result<void>> more(std::size_t bytes);
  std::string statement() const;
  Result<void> take(Incoming incoming, DatabaseAnswer& out);
  Result<void> row(const Incoming& incoming, DatabaseAnswer& out);
  net::Deadline deadline() const { return net::after(call_.silence_ns); }

  net::Stream stream_;
  const DatabaseCall& call_;
  std::string in_;
  std::size_t bytes_ = 0;        // of the rows that are kept
  bool full_ = false;            // and no further ones are
  std::vector<std::uint32_t> types_;
};

}  // namespace sallyport::protocol::postgres
