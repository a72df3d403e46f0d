#pragma once
// Brings the log's heads to its witnesses, on a thread of its own: every so often the newest one, to all at once. A head with the
// quorum's cosignatures becomes `checkpoint.witnessed`, and at most once a minute one more of the archive `checkpoints.witnessed`. A
// witness that cosigned what this log is no continuation of says that the log was rolled back or forked: new commands are refused
// from then on, also after a restart, until an administrator opens a new incarnation. docs/evidence.md, "Witnesses".
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "evidence/log.h"
#include "evidence/log_view.h"

namespace sallyport::anchor {

struct WitnessPolicy {
  struct One {
    std::string url;
    evidence::NoteKey key;
  };
  std::vector<One> witnesses;
  std::size_t quorum = 0;
  std::int64_t every_ns = 0, timeout_ns = 0;
  std::int64_t refuse_after_ns = 0;   // 0 = never
};

class Witnessing {
 public:
  Witnessing(WitnessPolicy policy, evidence::Log& log, std::string directory);
  ~Witnessing();

  struct Status {
    std::uint64_t size = 0;           // of the newest witnessed head
    std::int64_t lag_ns = 0;          // since when entries wait that are under no witnessed head; 0 = none do
    std::vector<std::pair<std::string, std::string>> witnesses;   // name, and "" or what is wrong with it
  };
  Status status() const;

 private:
  struct Known {
    std::uint64_t size = 0;           // what it cosigned last, as far as we know
    std::string problem;
  };
  void run();
  void round();
  std::string submission(const evidence::SignedHead& head, std::uint64_t old_size);
  /// The cosignature's line, or "" when there is none.
  std::string judge(const evidence::SignedHead& head, std::size_t i, long status, const std::string& answer, const std::string& failure);
  void keep(const evidence::SignedHead& head, const std::string& lines);
  void alarm(const std::string& why);
  void judge_lag();

  const WitnessPolicy policy_;
  evidence::Log& log_;
  evidence::LogView view_;            // the thread's
  std::int64_t archived_ns_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false, alarmed_ = false, recorded_ = false;
  std::vector<Known> known_;
  std::uint64_t witnessed_ = 0;
  std::int64_t behind_since_ns_ = 0;  // monotonic; 0 = not behind
  std::thread thread_;
};

}  // namespace sallyport::anchor
