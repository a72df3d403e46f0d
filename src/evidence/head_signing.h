#pragma once
// Has the tree's head signed behind the writer, on a thread of its own: at once when the last signature is old enough,
// else when it is; then replaces `checkpoint` and adds to `checkpoints` and `tiles`. The writer only hands over what was added to the tree,
// in ranges of hashes. Now and then it announces the signer's next epoch key in the log. docs/formats/checkpoint.md.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "evidence/entry.h"
#include "evidence/file_ops.h"
#include "evidence/log.h"
#include "evidence/note_archive.h"
#include "evidence/signing_queue.h"
#include "evidence/tile_files.h"

namespace sallyport::evidence {

class HeadSigning {
 public:
  /// `unsigned_range`: what the log holds beyond the signer's last head.
  HeadSigning(const Options& options, std::unique_ptr<Signer> signer, const CompactRange& unsigned_range, TileFiles tiles);
  ~HeadSigning();
  /// Writes an entry and waits for it: for announcements.
  using Append = std::function<Result<std::uint64_t>(Entry)>;
  void start(Append append);
  /// These entries are durable. Writer thread.
  void publish(const std::vector<Added>& added, const TileHashes& tiles);
  /// A segment is sealed: the next head is archived. Writer thread.
  void seal();
  /// Signs what is published and ends the thread.
  void stop();
  struct Status {
    std::uint64_t signed_size = 0;
    std::int64_t unsigned_age_ns = 0;
    std::string problem;
  };
  Status status() const;
  /// The signer refused, or has failed for two seconds: nothing new may be taken that nobody would sign.
  bool broken() const { return broken_.load(std::memory_order_relaxed); }

 private:
  using Time = std::chrono::steady_clock::time_point;
  void run();
  bool announce();
  bool sign_first(std::unique_lock<std::mutex>& lock);
  Result<void> write(const std::string& note, bool archive);

  std::string directory_;
  std::unique_ptr<Signer> signer_;
  std::chrono::nanoseconds every_, epoch_;
  Append append_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false, waiting_ = false, sealed_ = false;
  TileHashes made_;                    // not yet in their files
  SigningQueue queue_;
  Time unsigned_since_{};
  std::string problem_;
  std::atomic<bool> broken_{false};

  // The thread only.
  TileFiles tiles_;
  std::optional<NoteArchive> archive_;
  Time archived_{}, signed_at_{}, epoch_at_{};
  std::thread thread_;
};

}  // namespace sallyport::evidence
