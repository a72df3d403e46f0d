#pragma once
// PostgreSQL's door on one worker: each connection becomes a login, a session in the record, the gateway's own login at
// the target, and then a Session until it ends. Statements of other protocols' clients come in by run() (protocol/database.h).
// Used on its worker's thread only.
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <set>

#include "protocol/database.h"
#include "protocol/postgres/login.h"
#include "protocol/postgres/session.h"
#include "protocol/postgres/shared.h"

namespace sallyport::protocol::postgres {

class Endpoint : public Databases {
 public:
  Endpoint(Services services, Cancels& cancels, Catalogs::Changes changes, LoginOptions options)
      : shared_(services, cancels, std::move(changes)), options_(std::move(options)) {}

  /// Serves one connection to its end.
  boost::asio::awaitable<void> serve(net::Stream stream);
  boost::asio::awaitable<Result<DatabaseAnswer>> run(DatabaseCall call, std::shared_ptr<DatabaseStop> stop) override;
  /// No new sessions; what runs gets until the deadline.
  boost::asio::awaitable<void> drain(net::Deadline deadline);
  void reconfigure(LoginOptions options) {
    options_ = std::move(options);
    shared_.catalogs.clear();
  }

  struct Counts { std::size_t sessions = 0; std::uint64_t connections = 0, refused = 0; };
  Counts counts() const { return {sessions_.size(), connections_, refused_}; }

 private:
  boost::asio::awaitable<Result<std::shared_ptr<Session>>> open(net::Stream& stream, Login& login, LoggedIn in);
  boost::asio::awaitable<void> go_on(std::shared_ptr<Session> session);
  boost::asio::awaitable<void> serve_inner(std::shared_ptr<Session> session, std::shared_ptr<DatabaseStop> stop);
  boost::asio::awaitable<void> name_types(const DatabaseCall& call, const std::vector<std::uint32_t>& types, DatabaseAnswer& answer);

  Shared shared_;
  LoginOptions options_;
  std::set<std::shared_ptr<Session>> sessions_;
  std::uint64_t connections_ = 0, refused_ = 0;
  bool draining_ = false;
};

}  // namespace sallyport::protocol::postgres
