#pragma once
// What the routes of the admin listener work with: the admin worker's stations and what all workers share. Built by main; outlives
// the Admin. Everything here is used on the admin worker's thread.
#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "admin/reading_record.h"
#include "admin/route.h"
#include "enforce/approval.h"
#include "enforce/tool_pins.h"
#include "evidence/keeping.h"
#include "evidence/log_reading.h"
#include "evidence/session_reading.h"
#include "identity/authenticator.h"

namespace sallyport::admin {

/// One sample of /metrics, Prometheus text format 0.0.4.
struct Metric {
  std::string name, help, type;              // type: "counter" or "gauge"
  std::map<std::string, std::string> labels;
  double value = 0;
};

/// How the log's witnesses are. `each` is empty where there are none; an alarm can stand all the same.
struct WitnessStatus {
  std::uint64_t size = 0;                    // of the newest head with the quorum
  std::int64_t lag_ns = 0;                   // for how long entries have been waiting for it
  std::size_t quorum = 0;
  std::string alarm;
  struct One {
    std::string name, problem;
    bool contradicts = false;
    std::uint64_t cosigned = 0, refusals = 0, silences = 0;
  };
  std::vector<One> each;
};

/// The configuration as it runs, for whoever may read it. Made anew at each reload.
struct AdminConfig {
  RoleGroups roles;
  std::string shown;                         // JSON, secrets as references
  Digest policy{};
  std::map<std::string, identity::LocalUser> users;
};

struct AdminServices {
  boost::asio::io_context& context;          // the worker it lives on
  identity::Authenticator& authenticator;    // that worker's
  identity::Directory& directory;
  enforce::Approvals& approvals;
  enforce::ToolPins& pins;
  evidence::Log& log;
  evidence::Port& port;                      // that worker's
  evidence::LogReading& reading;
  evidence::Keeping& keeping;
  evidence::SessionReading& sessions;
  std::shared_ptr<const AdminConfig> config; // Admin::reconfigure changes it
  std::function<boost::asio::awaitable<Result<std::string>>()> reload;  // as SIGHUP; the policy's digest. Errors: Denied with what is wrong
  std::function<bool()> draining;            // true after SIGTERM: /readyz is red
  std::function<WitnessStatus()> witnesses;
  std::function<boost::asio::awaitable<std::vector<Metric>>()> metrics;  // of the protocols and the process
  std::string own_origin;                    // "https://host:port" that browsers see; "" = no pages
  std::shared_ptr<ReadingRecord> readings = {};  // made by Admin
};

/// An attempt that came to nothing, for the record: who, what, why.
boost::asio::awaitable<void> record_refusal(evidence::Port& port, const Call& call, std::string action, std::string reason);
/// A change that somebody makes here, durable before it is made. Errors: Unavailable; nothing may change then.
boost::asio::awaitable<Result<void>> record_change(evidence::Port& port, const Call& call, std::string action, std::string object);

}  // namespace sallyport::admin
