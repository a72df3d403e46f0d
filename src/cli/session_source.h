#pragma once
// Where `sallyport sessions` reads from: a directory, by whoever may read its files, or a running gateway, by whoever may read sessions
// there. Both say the same JSON. Each says on stderr what went wrong and gives the exit code for it. Main thread.
#include <functional>
#include <memory>
#include <string>

#include "base/json.h"
#include "cli/client.h"
#include "evidence/session_summary.h"

namespace sallyport::cli {

class SessionSource {
 public:
  virtual ~SessionSource() = default;
  /// Sessions, oldest first: the last `limit` of them.
  virtual int list(const evidence::SessionFilter& filter, const std::function<void(const json::Value&)>& visit) = 0;
  /// The entries of the one session whose id begins so, and of its approvals. False ends it.
  virtual int entries(const std::string& prefix, const std::function<bool(const json::Value&)>& visit) = 0;
  /// What an entry refers to by its `payload`, in clear text.
  virtual Result<std::string> payload(const json::Value& entry) = 0;
};

std::unique_ptr<SessionSource> directory_source(std::string directory);
std::unique_ptr<SessionSource> gateway_source(ClientOptions options);

}  // namespace sallyport::cli
