#pragma once
// The target side: the gateway's own login at a PostgreSQL server, with credentials that never reach the client, and what
// the server says of itself before the first command. Also cancel requests and the gateway's own queries for the catalog.
// Worker's thread. Errors: Unavailable (address, TLS, login; the text names no secret), Malformed (not PostgreSQL).
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "protocol/postgres/wire.h"
#include "target/catalog.h"
#include "target/wire.h"

namespace sallyport::protocol::postgres {

using Parameters = std::vector<std::pair<std::string, std::string>>;

struct BackendKey {
  std::uint32_t pid = 0;
  std::string secret;
};

struct Upstream {
  std::unique_ptr<target::Wire> wire;
  Parameters parameters;         // ParameterStatus as reported at login, in order
  BackendKey key;
  std::string notices;           // NoticeResponse messages that came with the login
  char status = 'I';
};

/// `parameters`: of the startup packet, without user. Not yet ready() for commands.
boost::asio::awaitable<Result<Upstream>> log_in(boost::asio::io_context& context, const target::Target& target, const target::PostgresTarget& server,
                                                Parameters parameters);

/// Sends CancelRequest on a connection of its own, as the protocol wants it.
boost::asio::awaitable<Result<void>> cancel(boost::asio::io_context& context, const target::Target& target, const target::PostgresTarget& server,
                                            BackendKey key);

/// The rows of one of the gateway's own queries, as text; NULL is "". For the catalog only, on a connection that is never
/// ready() for a client's commands.
using Rows = std::vector<std::vector<std::string>>;
boost::asio::awaitable<Result<Rows>> query(Upstream& upstream, std::string text);

}  // namespace sallyport::protocol::postgres
