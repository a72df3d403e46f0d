#pragma once
// The admin listener (docs/admin-api.md): takes a connection's requests through the route table, one after the other: Origin, route,
// sign-in, permission, handler, answer. Runs on one worker's thread, one coroutine a connection. Errors are application/problem+json
// (RFC 9457) with the request id; a change that was refused is an evidence entry.
#include <boost/asio/awaitable.hpp>
#include <memory>

#include "admin/router.h"
#include "admin/services.h"

namespace sallyport::admin {

class Admin {
 public:
  explicit Admin(AdminServices services);
  ~Admin();
  /// What another folder serves here. Before the first connection.
  void add(Routes routes);
  const Router& router() const;
  /// After a reload. On the admin worker's thread.
  void reconfigure(std::shared_ptr<const AdminConfig> config);
  /// Serves one connection to its end.
  boost::asio::awaitable<void> serve(net::HttpServerConnection http);
  /// Closes every connection: the gateway stops.
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::admin
