#pragma once
// What all workers together have seen of the targets' tools, so that it does not matter which of them saw a list: the parameters that
// are repeated in headers (specification 2026-07-28, `x-mcp-header`; of a pinned tool the pin tells, also after a restart, of others the
// list that was seen last), and that a target has said that its list is another now. Owned beside the pins, outlives the workers; any thread.
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
  /// The target says that a list of its has changed: until somebody has looked at all of it, nothing of it is used on what the pins say.
  void changed(const std::string& target, enforce::PinKind kind);
  /// How often that has happened, and up to which of them somebody has looked.
  std::uint64_t changes(const std::string& target, enforce::PinKind kind);
  bool is_seen(const std::string& target, enforce::PinKind kind);
  void seen(const std::string& target, enforce::PinKind kind, std::uint64_t change);
  /// Whether the member of a virtual server answered when one of its conversations last spoke to it.
  void member(const std::string& server, const std::string& member, bool up);
  std::map<std::pair<std::string, std::string>, bool> members();
  /// Forgets what was listed: the configuration has changed, and a name may be of another target.
  void forget();

 private:
  struct Known {
    Digest definition{};  // of the pin that tells
    Headers headers;
  };
  struct Change {
    std::uint64_t said = 0, seen = 0;
  };
  const enforce::ToolPins& pins_;
  std::mutex mutex_;
  std::map<std::string, std::map<std::string, Known>> tools_;  // by target and name
  std::map<std::pair<std::string, enforce::PinKind>, Change> changes_;
  std::map<std::pair<std::string, std::string>, bool> members_;
};

}  // namespace sallyport::protocol::mcp
