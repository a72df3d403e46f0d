#pragma once
// Accepts connections on one address and hands each to a worker in turn; the handshake never runs in the accept loop.
// Lives on the first worker's thread. Running out of descriptors pauses accepting, never ends it.
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace sallyport::net {

class Listener {
 public:
  /// "host:port", "[::1]:port"; port 0 takes a free one. `on_connection(worker index, fd)` runs on that worker's thread.
  static Result<std::unique_ptr<Listener>> open(const std::string& address, std::vector<boost::asio::io_context*> workers,
                                                std::function<void(std::size_t, int)> on_connection);
  ~Listener();
  std::uint16_t port() const;
  void stop();  // no new connections; idempotent; on the first worker's thread or before it runs

 private:
  struct State;
  explicit Listener(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::net
