#pragma once
// Sessions that outlive the gateway's process (MCP's Mcp-Session-Id): what is needed to go on with one after a restart.
// Kept under the SHA-256 of its id in the embedded state, so that the state file opens no session. One for all workers;
// resumes on the caller's executor. Errors: Unavailable.
#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "state/store.h"

namespace sallyport::enforce {

struct RememberedSession {
  std::string person, agent;          // who may go on with it
  std::string target;
  std::string upstream_session;       // "" when the target has none
  std::string version;                // negotiated protocol revision
  std::string client;                 // client name and version as it said
  std::string evidence_session;       // id of the evidence session it had last
};

class RememberedSessions {
 public:
  explicit RememberedSessions(state::Store& store) : store_(store) {}
  boost::asio::awaitable<Result<void>> remember(std::string id, RememberedSession session);
  boost::asio::awaitable<Result<std::optional<RememberedSession>>> recall(std::string id);
  boost::asio::awaitable<Result<void>> forget(std::string id);

 private:
  state::Store& store_;
};

}  // namespace sallyport::enforce
