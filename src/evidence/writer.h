#pragma once
// The log's one writer: takes all that is queued, gives it places, encodes one frame, writes and syncs it, tells every
// caller. While it syncs, the next batch forms. One thread; reckon(), enqueue(), refusal() and the figures are for any thread.
// A failed write rolls sequences, totals and tree back and refuses everything until a fresh segment is durable.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "evidence/head_signing.h"
#include "evidence/log.h"
#include "evidence/port_state.h"
#include "evidence/recovery.h"
#include "evidence/segment_supply.h"
#include "evidence/names.h"
#include "evidence/session_keys.h"

namespace sallyport::evidence {

class Writer {
 public:
  Writer(const Options& options, FileOps& ops, const Clock& clock, SessionKeys keys, std::optional<Names> names, HeadSigning& heads, Recovered found);
  ~Writer();

  /// Writes the first entries of the incarnation on the calling thread, then starts the writer's own.
  Result<void> start();
  void stop();

  /// Why the entry will not be taken now, if so.
  std::optional<Error> refusal(const Entry& entry, bool chunks_only) const;
  /// Readies it for the queue, where it counts from now on.
  void reckon(Op& op);
  /// What was reckoned, in this order; moved from.
  void enqueue(std::span<OpPtr> ops);
  /// Blocks until the entry is durable. Not on the writer's thread.
  Result<std::uint64_t> append(Entry entry);
  void refuse_new(const std::string& why);
  void forget(std::string name);
  bool writable() const;
  void status(LogStatus& out) const;

 private:
  // What points into an op lives as long as the batch: ops are told, and so given back, after it.
  struct Undo {
    const SessionPtr* session;
    std::uint64_t sequence, commands, outcomes, chunks;
    bool key_stored, closed;
  };
  struct Opened {  // or ended, an allowed command
    SessionRecord* session;
    std::uint64_t command;
    bool ended;
  };
  struct Batch {
    std::uint64_t next = 0, chunks = 0;
    std::vector<Added> added;
    TileHashes tiles;
    std::int64_t wall = 0, mono = 0;
    std::vector<Undo> undo;
    std::vector<Opened> opened;
    std::vector<std::uint64_t*> places;  // that this batch has told
    std::vector<SessionPtr> new_keys;
  };

  void run();
  bool take(std::vector<OpPtr>& ops, bool& stopping);
  void write_all_of(std::span<OpPtr> ops);
  void refuse(std::span<OpPtr> ops, const Error& why);
  // One batch (writer_batch.cpp).
  void begin(Batch& batch);
  void add(Batch& batch, Op& op);
  void add_entry(Batch& batch, const Entry& entry);
  void put_body(Bytes& out, const Entry& entry, std::size_t from, std::size_t to);
  void touch(Batch& batch, const SessionPtr& session);
  void roll_back(Batch& batch);
  // Files (writer_files.cpp).
  bool commit(std::span<OpPtr> ops);
  Result<void> write(Batch& batch);
  Result<void> open_segment();
  void seal();
  void fail_segment(const Error& why);
  void try_again();
  std::vector<OpPtr> first_entries();
  void close_open_sessions(std::vector<OpPtr>& ops);
  static void tell(std::span<OpPtr> ops);

  const Options options_;
  FileOps& ops_;
  const Clock& clock_;
  SessionKeys keys_;
  std::optional<Names> names_;
  HeadSigning& heads_;
  SegmentSupply supply_;

  // The writer thread's.
  std::uint64_t next_ = 0, batch_number_ = 0;
  CompactRange tree_;
  Id16 incarnation_{};
  std::int64_t last_mono_ = 0;
  std::map<Id16, SessionPtr> open_;
  SegmentLink link_;            // of the last durable frame; its digest is made when it is needed
  bool digest_due_ = false;
  Batch batch_;                 // kept for its memory
  FrameBuilder frame_;
  Bytes last_frame_;
  File segment_;
  Id16 salt_{};
  std::uint64_t segment_number_ = 0, offset_ = 0, segment_size_ = 0, segment_entries_ = 0, segment_chunks_ = 0;
  bool fresh_ = false;          // no frame of the segment is durable yet
  Recovered found_;
  std::chrono::steady_clock::time_point last_entry_, retry_at_;

  // Shared.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::string> forgotten_;
  std::vector<OpPtr> queue_;
  std::size_t queue_bytes_ = 0;
  bool sleeping_ = false, urgent_ = false, stopping_ = false;
  std::string why_not_, why_nothing_new_;
  std::atomic<bool> failed_{false}, stopped_{false}, nothing_new_{false};
  std::atomic<std::size_t> queued_{0}, queued_bytes_{0};
  std::atomic<std::uint64_t> size_{0}, bytes_{0}, batches_{0}, failures_{0};
  mutable std::atomic<std::uint64_t> refused_{0};
  std::thread thread_;
};

}  // namespace sallyport::evidence
