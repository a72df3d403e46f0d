#pragma once
// Brings the log's heads to its witnesses, on a thread of its own: every so often the newest one, to all at once. A head with the
// quorum's cosignatures becomes `checkpoint.witnessed`, and at most once a minute one more of the archive `checkpoints.witnessed`. A
// witness that cosigned what this log is no continuation of says that the log was rolled back or forked: that is recorded, and when
// enough of them say so new commands are refused from then on, also after a restart and without witnesses, until an
// administrator opens a new incarnation. docs/evidence.md, "Witnesses".
#include <condition_variable>
#include <mutex>
#include <thread>

#include "anchor/judgement.h"
#include "evidence/log.h"
#include "evidence/log_view.h"

namespace sallyport::anchor {

class Witnessing {
 public:
  Witnessing(WitnessPolicy policy, evidence::Log& log, std::string directory);
  ~Witnessing();

  struct Status {
    std::uint64_t size = 0;           // of the newest witnessed head
    std::int64_t lag_ns = 0;          // since when entries wait that are under no witnessed head; 0 = none do
    std::size_t quorum = 0;
    std::string alarm;
    struct One {
      std::string name, problem;      // "" when it cosigned the last head
      bool contradicts = false;
      std::uint64_t cosigned = 0, refusals = 0, silences = 0;   // as Judgement::Known
    };
    std::vector<One> witnesses;
  };
  /// Any thread.
  Status status() const;

 private:
  void run();
  void round();
  void keep(const evidence::SignedHead& head);
  void alarm(const std::string& words);
  void warn();
  void judge_lag();

  evidence::Log& log_;
  evidence::LogView view_;            // the thread's
  std::int64_t archived_ns_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  Judgement judgement_;               // changed by the thread alone, under the lock
  std::thread thread_;
};

/// For a gateway without witnesses: the alarm that stands from when it had some, or "". Without one, `checkpoint.witnessed` is put into
/// the archive, for it would be used and never become newer.
std::string standing_alarm(const std::string& directory);

}  // namespace sallyport::anchor
