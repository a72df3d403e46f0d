#pragma once
// One server process and the sessions that speak to it (stdio transport, MCP 2025-11-25 basic/transports). Ids of requests
// and progress tokens become numbers that are unique on the process. `initialize` happens once: later sessions get the
// remembered answer. Owned by the pool and by its sessions' Backs; lives on one worker. When the process ends, everything
// that runs fails with how it ended, and the channel is dead for good: what the server kept is gone.
#include <string>

#include "protocol/mcp/multiplex.h"
#include "target/process.h"

namespace sallyport::protocol::mcp {

/// What has to be equal for two sessions to share a process.
struct ChannelTerms {
  std::string target;
  target::McpCommand command;
  std::vector<std::string> environment;
  std::size_t max_message = 0;
  std::int64_t timeout_ns = 0;
  std::string handshake;         // revision and capabilities of the client, canonical
  bool operator==(const ChannelTerms&) const = default;
};

class Channel : public std::enable_shared_from_this<Channel> {
 public:
  Channel(boost::asio::io_context& context, ChannelTerms terms);

  const ChannelTerms& terms() const { return terms_; }
  bool usable() const { return state_ != State::Dead && !retired_; }
  bool dead() const { return state_ == State::Dead; }
  bool retired() const { return retired_; }
  const Error& why_dead() const { return why_; }
  std::size_t sessions() const { return multiplex_.guests(); }

  /// Starts the process; `ended` is called once when it is over, with how long it ran. Errors as Process::start.
  boost::asio::awaitable<Result<void>> start(std::function<void(std::int64_t ran_ns)> ended);
  /// Nobody new comes here.
  void retire() { retired_ = true; }
  boost::asio::awaitable<void> end(net::Deadline deadline);

  Multiplex::GuestPtr join() {
    ++visits_;
    return multiplex_.join();
  }
  std::uint64_t visits() const { return visits_; }
  void leave(const Multiplex::GuestPtr& guest) { multiplex_.leave(guest); }

  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> request(Multiplex::GuestPtr guest, target::Permit permit, net::Recall* recall = nullptr);
  /// The first initialize is sent, the others wait for what came of it.
  boost::asio::awaitable<Result<std::unique_ptr<Answers>>> initialize(Multiplex::GuestPtr guest, target::Permit permit);
  boost::asio::awaitable<Result<void>> post(Multiplex::GuestPtr guest, target::Permit permit);
  std::unique_ptr<Answers> listen(const Multiplex::GuestPtr& guest);

 private:
  enum class State { Starting, Started, Initializing, Ready, Dead };
  boost::asio::awaitable<void> run(std::function<void(std::int64_t)> ended);
  void remember(const Message& answer);
  void die(Error why);

  boost::asio::io_context& context_;
  ChannelTerms terms_;
  std::shared_ptr<target::Process> process_;
  Multiplex multiplex_;
  net::Condition changed_;
  State state_ = State::Starting;
  bool retired_ = false, announced_ = false;    // announced: notifications/initialized has been sent
  std::uint64_t visits_ = 0;
  std::string initialize_id_;                   // at the process
  std::string answer_;                          // to initialize: its result, raw
  Error why_;
};

}  // namespace sallyport::protocol::mcp
