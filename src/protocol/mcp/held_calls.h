#pragma once
// Calls that became tasks because a human has to agree first (extension io.modelcontextprotocol/tasks): the client was given an id and
// asks for what has come of it. One of each worker, on its thread; the id names the worker. Gone with the process: the same call made
// again attaches to its request. Bounded in number; an outcome is kept for some minutes. And the approvals of calls that go on in
// another round.
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "enforce/gate.h"
#include "identity/principal.h"
#include "protocol/mcp/message.h"

namespace sallyport::protocol::mcp {

inline constexpr std::string_view kTasks = "io.modelcontextprotocol/tasks";

class HeldCalls {
 public:
  explicit HeldCalls(std::size_t worker) : worker_(worker) {}

  /// A new task of this person's; "" when there are too many.
  std::string add(const identity::Principal& who, std::string target, std::string status_message, std::function<void()> cancel);
  /// What the call came to: its JSON-RPC answer.
  void settle(const std::string& id, std::string answer);
  /// The answer to tasks/get, tasks/update or tasks/cancel of one of these; nullopt when the id is none. Who did not make the call finds none.
  std::optional<std::string> answer(const Message& request, const identity::Principal& who, std::string_view target);
  /// What a call was approved with, for its next round: once, for as long as a client may take to bring its state back from the first. The
  /// key is random; "" when too many are kept.
  std::string keep(const enforce::Used& used);
  std::optional<enforce::Used> take(const std::string& key);
  /// CreateTaskResult for a call with this id.
  std::string created(const std::string& id, std::string_view request_id) const;

 private:
  struct Task {
    std::string person, agent, target, message, answer;
    std::int64_t created_wall_ns = 0, changed_wall_ns = 0;
    bool cancelled = false;
    std::function<void()> cancel;
  };
  std::string fields(const std::string& id, const Task& task) const;
  void forget_old();
  std::size_t worker_, bytes_ = 0;  // of answers
  std::map<std::string, Task, std::less<>> tasks_;
  std::map<std::string, enforce::Used> kept_;
};

}  // namespace sallyport::protocol::mcp
