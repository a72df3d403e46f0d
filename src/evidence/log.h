#pragma once
// The evidence log of one gateway node: an RFC 6962 Merkle log in segment files, written by one thread of its own.
// Workers append through a Port and are resumed when the entry is durable. Natural group commit: while one fdatasync
// is in flight the next batch forms. When writing fails or the disk passes the high water, append() returns
// Unavailable at once, for every caller, until the log finds by itself that writing works again; a failed fdatasync
// ends its segment and is never retried. Formats: docs/formats. The Log must outlive its Ports.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "evidence/entry.h"
#include "evidence/signer.h"

namespace sallyport::evidence {

struct FileOps;  // src/evidence/file_ops.h

struct Options {
  std::string directory;                 // created with mode 0700 when missing
  std::string origin;                    // C2SP origin line: "<gateway name>/evidence"
  double high_water = 0.90;              // used share of the file system above which nothing new is taken
  std::uint64_t segment_bytes = 64u << 20;
  std::int64_t checkpoint_ns = 50'000'000;     // a signed head at most this much after an entry is durable
  std::int64_t heartbeat_ns = 10'000'000'000;  // an entry at least this often
  std::int64_t epoch_ns = 0;             // a new epoch key at each start and this often; 0 = no epoch keys
  FieldSet veil = 0;                     // fields that are veiled (veil.h)
  bool pseudonyms = false;               // people in entries get pseudonyms (names.h)
  std::string version;                   // of the program, for node.start
  std::shared_ptr<FileOps> files;        // where tests let writes fail; the system's when null
};

struct LogStatus {
  bool writable = false;
  std::string why_not;          // for people, "" when writable
  std::uint64_t size = 0;       // durable entries
  std::uint64_t signed_size = 0;
  std::int64_t signed_age_ns = 0;   // how long the oldest unsigned durable entry waits; 0 when all is signed
  std::uint64_t bytes_written = 0, batches = 0, failures = 0, refused = 0;
};

class Log {
 public:
  /// Recovers what a crash left (docs/formats/segment.md), writes recovery and node.start entries, starts the writer.
  /// Errors: Unavailable (directory, lock held by another process, disk), Malformed (the log on disk contradicts
  /// the signed head: never repaired silently; opens a new incarnation with a gap entry where that is honest).
  static Result<std::unique_ptr<Log>> open(Options options, std::unique_ptr<Signer> signer,
                                           const Clock& clock = system_clock());
  ~Log();  // stop()

  /// Writes node.stop, seals the segment, signs the last head. Idempotent.
  void stop();

  /// A new session with its payload key, which becomes durable no later than the session's first entry. Any thread.
  SessionPtr new_session();

  /// From now on nothing new is taken, for this reason; "" takes it back. What runs can end, and entries of the log about itself
  /// go on. For witnesses and time stamps. Any thread.
  void refuse_new(const std::string& why);

  /// From now on the name gets another pseudonym; erase_pseudonym() erases the old one's meaning. Any thread.
  void forget(std::string name);

  /// Cheap; any thread.
  bool writable() const;
  LogStatus status() const;

  /// Blocks until durable: for start-up, reload and the command line, never on a worker. Any thread.
  Result<std::uint64_t> append_wait(Entry entry);

  struct State;
  State& state() { return *state_; }

 private:
  explicit Log(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A worker's door to the log. Made, used and destroyed on the worker's thread; completions of one batch arrive in
/// one post to its io_context.
class Port {
 public:
  Port(Log& log, boost::asio::io_context& context);
  ~Port();

  /// Resumes when the entry is durable, with its index. Entries of one Port keep their order. An abandoned awaitable
  /// does not take the entry back. Errors: Unavailable (not written: nothing of it is in the log), Overloaded (queue full).
  boost::asio::awaitable<Result<std::uint64_t>> append(Entry entry);
  /// The same without a coroutine: `done` is called once on the worker's thread, at once when the entry is refused.
  void append(Entry entry, std::move_only_function<void(Result<std::uint64_t>)> done);

  /// Stores payload chunks of a stream ahead of the entry that will refer to them; resumes when they are durable.
  boost::asio::awaitable<Result<void>> append_chunks(SessionPtr session, std::vector<Chunk> chunks);

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::evidence
