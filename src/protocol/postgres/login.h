#pragma once
// The client's side of the greeting: TLS by SSLRequest or directly (ALPN "postgresql"), the startup packet, and who asks:
// a token by SCRAM-SHA-256(-PLUS), OAUTHBEARER (RFC 7628) or as password inside TLS, or a client certificate. Nothing is
// known of the peer here: every step has the login's one deadline, and what does not fit ends the connection.
// Worker's thread. Errors are answered before they are returned.
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "net/stream.h"
#include "net/tls.h"
#include "protocol/postgres/shared.h"
#include "protocol/postgres/wire.h"

namespace sallyport::protocol::postgres {

struct LoginOptions {
  std::shared_ptr<const net::TlsServer> tls;   // null: plain text, on loopback only
  enum class Method { Auto, Scram, Password, OAuth } method = Method::Auto;
  std::string issuer;                          // whose tokens OAUTHBEARER is told to bring; "" when there is no one such
};

struct LoggedIn {
  identity::PrincipalPtr who;
  std::string target, database;     // database is "" when the client named none
  Parameters parameters;            // of its startup packet that go on to the target
  std::string software;             // application_name
  std::string greeting;             // NegotiateProtocolVersion, if that is due
  std::size_t key_bytes = 4;        // of the cancel key: 32 from protocol 3.2 on
  std::string cause;                // request id of another protocol's command that this is for
};

class Login {
 public:
  Login(Shared& shared, net::Stream& stream, const LoginOptions& options, net::Deadline deadline)
      : shared_(shared), stream_(stream), options_(options), deadline_(deadline) {}

  /// nullopt: it was a cancel request, or the peer went away before it said anything.
  boost::asio::awaitable<Result<std::optional<LoggedIn>>> run();

  /// FATAL to the client.
  boost::asio::awaitable<void> refuse(const char* code, std::string message, std::string hint = "");

 private:
  boost::asio::awaitable<Result<std::optional<Startup>>> greet();
  boost::asio::awaitable<Result<void>> start_tls(bool direct);
  boost::asio::awaitable<Result<void>> cancel(std::string_view body);
  boost::asio::awaitable<Result<void>> negotiate(const Startup& startup, LoggedIn& out);
  boost::asio::awaitable<Result<void>> parameters(const Startup& startup, LoggedIn& out);
  boost::asio::awaitable<Result<identity::PrincipalPtr>> authenticate(const std::string& user);
  boost::asio::awaitable<Result<identity::PrincipalPtr>> by_password();
  boost::asio::awaitable<Result<identity::PrincipalPtr>> by_sasl(const std::string& user, identity::ScramSet set);
  boost::asio::awaitable<Result<identity::PrincipalPtr>> by_bearer(std::string_view message);
  boost::asio::awaitable<Result<std::string>> read(std::size_t bytes);
  boost::asio::awaitable<Result<std::string>> answer();
  boost::asio::awaitable<Result<void>> ask(std::uint32_t kind, std::string_view data);
  std::unexpected<Error> broken(std::string what) { return fail(ErrorKind::Malformed, std::move(what)); }

  Shared& shared_;
  net::Stream& stream_;
  const LoginOptions& options_;
  net::Deadline deadline_;
};

/// "alice@target" or a plain name with the target as database: user, target, database. The last '@' counts.
struct Names {
  std::string user, target, database;
};
Names names_of(std::string_view user, std::string_view database);

/// The settings in `options` ("-c name=value", "--name=value"). Errors: Denied naming what is not understood.
Result<Parameters> read_options(std::string_view text);

}  // namespace sallyport::protocol::postgres
