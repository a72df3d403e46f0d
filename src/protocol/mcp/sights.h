#pragma once
// What all workers together have seen of the targets' tools, so that it does not matter which of them saw a list: the parameters that
// are repeated in headers (specification 2026-07-28, `x-mcp-header`). Of a pinned tool the pin tells, also after a restart; of others
// the list that was seen last. Owned beside the pins, outlives the workers; any thread.
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "enforce/tool_pins.h"
#include "protocol/mcp/era.h"

namespace sallyport::protocol::mcp {

class Sights {
 public:
  explicit Sights(const enforce::ToolPins& pins) : pins_(pins) {}

  using Headers = std::shared_ptr<const std::vector<ParamHeader>>;
  /// A tool as it was listed, where tools are not pinned.
  void listed(const std::string& target, const std::string& tool, std::vector<ParamHeader> headers);
  /// What of the tool's arguments stands in headers; never null, empty when nothing is known.
  Headers headers_of(const std::string& target, const target::ToolTrust& trust, const std::string& tool);
  /// Forgets what was listed: the configuration has changed, and a name may be of another target.
  void forget();

 private:
  struct Known {
    Digest definition{};  // of the pin that tells
    Headers headers;
  };
  const enforce::ToolPins& pins_;
  std::mutex mutex_;
  std::map<std::string, std::map<std::string, Known>> tools_;  // by target and name
};

}  // namespace sallyport::protocol::mcp
