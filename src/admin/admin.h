#pragma once
// The admin listener's HTTP API (docs/admin-api.md): health, metrics, tokens, approvals, receipts and the log. Runs on one worker's thread,
// one coroutine a connection. Everything but /livez, /readyz, /metrics and POST /api/tokens wants a bearer token; errors
// are application/problem+json (RFC 9457) with the request id. Changes and failed attempts are evidence entries.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "enforce/approval.h"
#include "evidence/keeping.h"
#include "evidence/log_reading.h"
#include "identity/authenticator.h"
#include "net/http.h"

namespace sallyport::admin {

/// One sample of /metrics, Prometheus text format 0.0.4.
struct Metric {
  std::string name, help, type;              // type: "counter" or "gauge"
  std::map<std::string, std::string> labels;
  double value = 0;
};

struct AdminServices {
  boost::asio::io_context& context;          // the worker it lives on
  identity::Authenticator& authenticator;    // that worker's
  enforce::Approvals& approvals;
  evidence::Log& log;
  evidence::Port& port;                      // that worker's
  evidence::LogReading& reading;
  evidence::Keeping& keeping;
  std::function<bool(const identity::Principal&)> may_keep;      // on this worker, as configured now
  std::function<bool(const identity::Principal&)> may_read_log;  // on this worker, as configured now
  std::function<bool(const identity::Principal&)> may_administer;  // revokes anybody's access; empty: nobody
  std::function<bool()> draining;            // true after SIGTERM: /readyz is red
  std::function<boost::asio::awaitable<std::vector<Metric>>()> metrics;  // of the protocols and the process
};

class Admin {
 public:
  explicit Admin(AdminServices services);
  ~Admin();
  /// Serves one connection to its end.
  boost::asio::awaitable<void> serve(net::HttpServerConnection http);
  /// Closes every connection: the gateway stops.
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::admin
