#pragma once
// One core's share of the gateway: an io_context, the thread that runs it, and the stations of the data path that live
// on it, in their order. Built and destroyed by main; everything else of it is used on its own thread. A session never
// leaves its worker; a connection whose session lives elsewhere is handed over between two requests.
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <thread>

#include "admin/admin.h"
#include "anchor/timestamping.h"
#include "anchor/witnessing.h"
#include "cli/config.h"
#include "enforce/gate.h"
#include "enforce/remembered.h"
#include "enforce/tool_pins.h"
#include "identity/authenticator.h"
#include "identity/oauth_grants.h"
#include "net/tls.h"
#include "notify/outbox.h"
#include "protocol/mcp/endpoint.h"
#include "protocol/postgres/endpoint.h"
#include "target/link.h"

namespace sallyport {

/// What all workers share. Owned by main, outlives them.
struct Shared {
  cli::Config config;                                   // as started or last reloaded; main thread
  std::unique_ptr<state::Store> store;
  std::unique_ptr<evidence::Log> log;
  std::unique_ptr<evidence::LogReading> reading;
  std::unique_ptr<evidence::Keeping> keeping;
  std::unique_ptr<evidence::SessionReading> sessions;
  std::unique_ptr<anchor::Witnessing> witnessing;       // null without witnesses
  std::string standing_alarm;                           // from when there were some
  std::unique_ptr<anchor::Timestamping> timestamping;   // null without an authority
  std::unique_ptr<identity::Directory> directory;
  std::unique_ptr<identity::UpstreamTokens> upstream;
  std::unique_ptr<identity::OAuthGrants> oauth;
  std::string admin_origin;                             // what browsers see of the admin listener; set before the first worker runs
  std::unique_ptr<notify::Outbox> outbox;
  std::unique_ptr<enforce::Approvals> approvals;
  enforce::Budgets budgets;
  std::unique_ptr<enforce::RememberedSessions> remembered;
  std::unique_ptr<enforce::ToolPins> pins;
  std::unique_ptr<protocol::mcp::Sights> sights;
  std::shared_ptr<identity::KeySource> keys;
  std::shared_ptr<const net::TlsServer> tls, tls_mcp;   // null when TLS is off
  protocol::postgres::LoginOptions postgres;
  protocol::postgres::Cancels cancels;
  protocol::postgres::Catalogs::Changes schema_changes = std::make_shared<std::atomic<std::uint64_t>>(0);
};

/// The MCP door as an OAuth resource, as configured now.
protocol::mcp::ResourceServerOptions resource_server(const Shared& shared);

class Worker {
 public:
  Worker(std::size_t index, Shared& shared, protocol::mcp::EndpointOptions options, protocol::mcp::Endpoint::Handoff handoff);
  ~Worker();  // after join()

  void start();
  boost::asio::io_context& context() { return context_; }
  protocol::mcp::Endpoint& mcp() { return mcp_; }
  identity::Authenticator& authenticator() { return authenticator_; }
  protocol::postgres::Endpoint& postgres() { return postgres_; }
  evidence::Port& port() { return port_; }
  enforce::Gate& gate() { return gate_; }

  /// A fresh connection: TLS, then `serve`. On this worker's thread.
  void accept(int fd, net::HttpLimits limits, std::function<boost::asio::awaitable<void>(net::HttpServerConnection)> serve);

  /// The same for MCP, whose clients may bring a certificate.
  void accept_mcp(int fd, net::HttpLimits limits, std::function<boost::asio::awaitable<void>(net::HttpServerConnection)> serve);

  /// A fresh connection of a PostgreSQL client. On this worker's thread.
  void accept_postgres(int fd);

  /// New rules, targets, users and certificate for what comes from now on. On this worker's thread.
  void reconfigure(const Shared& shared);

  /// Lets the thread end when nothing is left to do; false when it has not within the limit.
  bool finish(std::int64_t limit_ns);

 private:
  void run(boost::asio::awaitable<void> connection);
  void accept(int fd, std::shared_ptr<const net::TlsServer> tls, net::HttpLimits limits, std::function<boost::asio::awaitable<void>(net::HttpServerConnection)> serve);
  boost::asio::awaitable<void> recheck();

  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::shared_ptr<const net::TlsServer> tls_, tls_mcp_;
  evidence::Port port_;
  identity::Authenticator authenticator_;
  enforce::Gate gate_;
  target::Links links_;
  protocol::postgres::Endpoint postgres_;
  protocol::mcp::Endpoint mcp_;
  std::size_t connections_ = 0;
  boost::asio::steady_timer recheck_timer_{context_};
  bool finishing_ = false;
  std::jthread thread_;
  std::atomic<bool> ended_ = false;
};

}  // namespace sallyport
