#pragma once
// Signs the tree's head behind the writer, on a thread of its own: at once when the last signature is old enough,
// else when it is; then replaces `checkpoint` and adds to `checkpoints`. The writer only hands over sizes and hashes.
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "evidence/file_ops.h"
#include "evidence/merkle.h"
#include "evidence/signer.h"

namespace sallyport::evidence {

class HeadSigning {
 public:
  HeadSigning(std::string directory, std::unique_ptr<Signer> signer, std::int64_t every_ns);
  ~HeadSigning();

  /// Entries up to tree.size() are durable. Writer thread.
  void publish(const CompactRange& tree, bool sealed);
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
  Signer& signer() { return *signer_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  void run();
  bool sign(const CompactRange& tree, bool archive);
  Result<void> write(const std::string& note, bool archive);

  std::string directory_;
  std::unique_ptr<Signer> signer_;
  std::chrono::nanoseconds every_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false, waiting_ = false, sealed_ = false;
  CompactRange tree_;
  Time unsigned_since_{};
  std::uint64_t signed_size_ = 0;
  std::string problem_;
  std::atomic<bool> broken_{false};
  // The thread only.
  File archive_;
  std::uint64_t archive_end_ = 0;
  Time archived_{}, signed_at_{};
  std::thread thread_;
};

}  // namespace sallyport::evidence
