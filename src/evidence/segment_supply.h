#pragma once
// Zero-filled files that wait to become segments, so that rotating costs no preparing: `next`, made in the background
// by a thread of its own, and `reserve`, a small one for the day the disk is full. The same thread looks at the
// file system's used share. take() is the writer's.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "evidence/file_ops.h"

namespace sallyport::evidence {

class SegmentSupply {
 public:
  SegmentSupply(std::string folder, std::uint64_t segment_bytes, double high_water, FileOps& ops);
  ~SegmentSupply();

  struct Taken {
    File file;
    std::uint64_t bytes = 0;
  };
  /// A prepared file under its durable name, replacing one of that name. Errors: Unavailable.
  Result<Taken> take(const std::string& name);
  bool full() const { return full_.load(std::memory_order_relaxed); }

 private:
  void run();
  Result<void> prepare(const std::string& name, std::uint64_t bytes);
  bool has(const std::string& name, std::uint64_t bytes) const;

  std::string folder_;
  std::uint64_t bytes_;
  double high_water_;
  FileOps& ops_;
  std::atomic<bool> full_{false};
  std::mutex mutex_;  // the prepared files
  std::mutex wake_mutex_;
  std::condition_variable wake_;
  bool stop_ = false, wanted_ = true;
  std::thread thread_;
};

}  // namespace sallyport::evidence
