#pragma once
// Trust in what targets offer (docs/protocols/mcp.md): the first definition of a tool is pinned, another one of the same name is
// quarantined until somebody accepts it. One machine, on the store's thread, for all workers; each step is an entry that is durable
// before the step counts, then rows in SQLite, so that it survives a restart. Calls read an immutable snapshot on their own thread.
// Errors: Denied with the reason, Unavailable (evidence or state).
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "enforce/tool_pin.h"
#include "evidence/log.h"
#include "identity/principal.h"
#include "state/store.h"
#include "target/catalog.h"

namespace sallyport::enforce {

/// A page of a target's list, as it came.
struct Sighting {
  struct One {
    std::string name, definition;      // canonical
    Digest digest{};
    std::vector<Finding> findings;
  };
  std::string target;
  target::ToolTrust terms;
  PinKind kind = PinKind::Tool;
  std::vector<One> seen;
  bool last = false;                   // no page follows
  identity::PrincipalPtr who;          // whose list it was
  std::string request_id;
};

/// Somebody has looked at a definition. `digest` is the one that was shown to them: another one is not decided by it.
struct PinReview {
  std::string target;
  PinKind kind = PinKind::Tool;
  std::string name;
  Digest digest{};
  bool accept = false;
  std::string reason;
  identity::PrincipalPtr who;
  std::string peer, request_id;
};

struct PinEvent {
  std::string what;                    // "quarantined", "accepted", "rejected"
  std::string target;
  std::string request_id;
  std::vector<PinPtr> pins;
};

struct PinLinks {
  std::function<Likeness(const std::string& definition)> likeness;
  std::function<void(const PinEvent&)> on_event;  // on the store's thread, when the step is durable; must not block
};

class ToolPins {
 public:
  static constexpr std::size_t kMostPins = 2000;                // of a kind at one target
  static constexpr std::size_t kMostDefinition = 128u << 10;    // bytes
  static constexpr std::size_t kMostBytes = 32u << 20;          // of all definitions of a target

  static Result<std::unique_ptr<ToolPins>> open(state::Store& store, evidence::Log& log, PinLinks links, const Clock& clock = system_clock());
  ~ToolPins();

  /// What is known of a target now; never null. Any thread.
  TargetPinsPtr of(const std::string& target) const;
  /// All that waits for a review, by target. Any thread.
  std::map<std::string, std::size_t> waiting() const;

  // Callable from any worker; resume on the caller's executor.

  /// Pins what is new, quarantines what differs; yields what is known then. An element that it does not name as pinned is not to be shown.
  boost::asio::awaitable<Result<TargetPinsPtr>> observe(Sighting sighting);
  /// Errors: Denied (nothing of that name, nothing to decide, another definition meanwhile).
  boost::asio::awaitable<Result<PinPtr>> review(PinReview review);

  struct State;

 private:
  explicit ToolPins(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::enforce
