#pragma once
// The door to a target that the gateway starts as a process: one message a line on its stdin and stdout. write() takes a
// Permit; of the bytes it holds only ids may change, into numbers, for several conversations share a process. Lives on one
// worker, shared by the coroutines that read it and wait for its end: it is always reaped, and nothing of its process group
// outlives it. What it says on stderr is kept (a few lines) and logged (a few lines a second), secrets of its environment
// blotted out. A process that does not read is ended: a line cut short cannot be taken back. Errors: Unavailable (not
// started, does not read), Overloaded, Disconnected (it has ended, with how and its last words), Malformed (line too long).
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <memory>
#include <span>
#include <string>

#include "net/condition.h"
#include "net/stream.h"
#include "target/permit.h"
#include "target/spawn.h"

namespace sallyport::target {

/// A JSON string or number at this place of a permit's bytes goes out as this number.
struct Renumbered {
  std::size_t offset = 0, length = 0;
  std::uint64_t number = 0;
};

class Process : public std::enable_shared_from_this<Process> {
 public:
  /// Resumes when its program runs. `environment` is environment_of(command).
  static boost::asio::awaitable<Result<std::shared_ptr<Process>>> start(boost::asio::io_context& context, std::string target, McpCommand command,
                                                                        std::vector<std::string> environment, std::size_t max_message);
  ~Process();
  Process(const Process&) = delete;

  /// One line. Line breaks between the tokens of the JSON text become spaces; `ids` are in the order of their places.
  boost::asio::awaitable<Result<void>> write(Permit permit, std::span<const Renumbered> ids, net::Deadline deadline);
  /// The next line, without its end. One reader at a time; while nobody reads, the process has to wait.
  boost::asio::awaitable<Result<std::string>> read();

  /// stdin closed; then SIGTERM, then SIGKILL to the whole group, each after a share of the time that is left. Resumes when it is reaped.
  boost::asio::awaitable<void> end(net::Deadline deadline);
  /// SIGKILL to the group.
  void kill() const;

  bool running() const { return !ended_; }
  pid_t pid() const { return spawned_.pid; }
  std::int64_t started_ns() const { return started_ns_; }
  /// "exit status 1; its last words: …"; of one that strangers share without the words, which may be about another.
  std::string how_it_ended() const;
  /// A line that is no message, and so is dropped: into the log, as what comes on stderr.
  void note(std::string_view line);
  /// A message that goes nowhere: its kind alone, for it may speak of people.
  void say_dropped(std::string_view what, std::string_view why);

 private:
  Process(boost::asio::io_context& context, std::string target, Spawned spawned, std::size_t max_message);
  boost::asio::awaitable<void> watch();
  boost::asio::awaitable<void> listen_to_stderr();
  void keep_secrets_of(const McpCommand& command, const std::vector<std::string>& environment);
  std::string shown(std::string_view line) const;
  void say(std::string line);

  std::string target_;
  Spawned spawned_;
  boost::asio::posix::stream_descriptor exited_;
  net::Stream in_, out_, err_;
  net::Condition changed_;             // it ended, or a writer has finished
  std::size_t max_message_;
  std::vector<std::string> secrets_;
  std::string unread_;                 // bytes of stdout
  std::size_t begin_ = 0, searched_ = 0;  // of them: where the next line begins, and up to where it has no end
  std::size_t queued_ = 0;             // bytes of lines that wait for their turn
  bool shared_ = false;                // by strangers
  bool writing_ = false, ended_ = false, ending_ = false, out_over_ = false, err_over_ = false;
  int status_ = 0, code_ = 0;          // as waitid says
  std::deque<std::string> words_;      // its last lines on stderr
  std::int64_t started_ns_, window_ns_ = 0;
  std::size_t logged_ = 0, skipped_ = 0;
};

}  // namespace sallyport::target
