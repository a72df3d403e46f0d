#include "worker.h"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <chrono>

namespace sallyport {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kMaxConnections = 20'000;         // of one worker; beyond it new ones are closed at once
constexpr std::chrono::seconds kRecheck{1};             // sessions that may not go on end within this, and what it takes to end them
constexpr std::int64_t kHandshake = 10'000'000'000;

awaitable<void> serve_connection(boost::asio::io_context& context, int fd, std::shared_ptr<const net::TlsServer> tls, net::HttpLimits limits,
                                 std::function<awaitable<void>(net::HttpServerConnection)> serve) {
  net::Stream stream(context, fd);
  if (tls) {
    // A peer that does not get through the handshake has not said who it is: nothing to record but a count.
    const auto accepted = co_await stream.accept_tls(*tls, net::after(kHandshake));
    if (!accepted) co_return;
  }
  co_await serve(net::HttpServerConnection(std::move(stream), limits));
}

}  // namespace

/// The gateway's own authorization server first: who has both may have the gateway's consent page and refresh tokens.
protocol::mcp::ResourceServerOptions resource_server(const Shared& shared) {
  protocol::mcp::ResourceServerOptions out;
  out.public_url = shared.config.gateway.public_url;
  if (shared.config.identity.oauth.on) out.authorization_servers.push_back(shared.admin_origin);
  for (const auto& one : shared.config.identity.oidc) out.authorization_servers.push_back(one.issuer);
  out.scopes = protocol::mcp::known_scopes(*shared.config.targets);
  return out;
}

Worker::Worker(std::size_t index, Shared& shared, protocol::mcp::EndpointOptions options, protocol::mcp::Endpoint::Handoff handoff)
    : guard_(context_.get_executor()),
      tls_(shared.tls),
      tls_mcp_(shared.tls_mcp),
      port_(*shared.log, context_),
      authenticator_(context_, std::make_shared<const identity::IdentityConfig>(shared.config.identity), shared.keys, *shared.directory, port_),
      gate_(context_, *shared.log, port_, *shared.approvals, shared.config.policy, shared.config.targets),
      links_(context_, *shared.upstream),
      postgres_(protocol::Services{index, context_, authenticator_, gate_, links_, *shared.remembered, shared.directory->vault(), shared.admin_origin, *shared.pins}, shared.cancels, shared.schema_changes, shared.postgres),
      mcp_(protocol::Services{index, context_, authenticator_, gate_, links_, *shared.remembered, shared.directory->vault(), shared.admin_origin, *shared.pins, &postgres_}, *shared.sights, std::move(options), std::move(handoff)) {
  gate_.read_receipts_with(*shared.reading);
  gate_.ask_standing_of(*shared.directory);
  gate_.keep_to(shared.budgets);
}

Worker::~Worker() = default;

void Worker::start() {
  boost::asio::co_spawn(context_, mcp_.sweep(), boost::asio::detached);
  boost::asio::co_spawn(context_, mcp_.tend(), boost::asio::detached);
  boost::asio::co_spawn(context_, recheck(), boost::asio::detached);
  thread_ = std::jthread([this] {
    context_.run();
    ended_ = true;
    ended_.notify_all();
  });
}

void Worker::accept(int fd, net::HttpLimits limits, std::function<awaitable<void>(net::HttpServerConnection)> serve) { accept(fd, tls_, limits, std::move(serve)); }

void Worker::accept_mcp(int fd, net::HttpLimits limits, std::function<awaitable<void>(net::HttpServerConnection)> serve) { accept(fd, tls_mcp_, limits, std::move(serve)); }

void Worker::accept(int fd, std::shared_ptr<const net::TlsServer> tls, net::HttpLimits limits, std::function<awaitable<void>(net::HttpServerConnection)> serve) {
  if (connections_ >= kMaxConnections) {
    ::close(fd);
    return;
  }
  run(serve_connection(context_, fd, std::move(tls), limits, std::move(serve)));
}

void Worker::accept_postgres(int fd) {
  if (connections_ >= kMaxConnections) {
    ::close(fd);
    return;
  }
  run(postgres_.serve(net::Stream(context_, fd)));
}

void Worker::run(boost::asio::awaitable<void> connection) {
  ++connections_;
  boost::asio::co_spawn(context_, std::move(connection), [this](std::exception_ptr failure) {
    --connections_;
    // The supervisor of a connection: a bug in it costs this connection, not its neighbours.
    if (failure) {
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& error) {
        fmt::print(stderr, "sallyport: a connection ended by an internal error: {}\n", error.what());
      }
    }
  });
}

void Worker::reconfigure(const Shared& shared) {
  gate_.reconfigure(shared.config.policy, shared.config.targets);
  links_.clear();
  mcp_.forget_targets();
  authenticator_.reconfigure(std::make_shared<const identity::IdentityConfig>(shared.config.identity), shared.keys);
  postgres_.reconfigure(shared.postgres);
  tls_ = shared.tls;
  tls_mcp_ = shared.tls_mcp;
  mcp_.describe(resource_server(shared));
}

awaitable<void> Worker::recheck() {
  while (!finishing_) {
    recheck_timer_.expires_after(kRecheck);
    boost::system::error_code over;
    co_await recheck_timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, over));
    if (!finishing_) gate_.recheck();
  }
}

bool Worker::finish(std::int64_t limit_ns) {
  boost::asio::post(context_, [this] {
    finishing_ = true;
    recheck_timer_.cancel();
  });
  guard_.reset();
  const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(limit_ns);
  while (!ended_ && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  if (ended_ && thread_.joinable()) thread_.join();
  return ended_;
}

}  // namespace sallyport
