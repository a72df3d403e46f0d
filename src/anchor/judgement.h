#pragma once
// What a gateway asks its witnesses and what it makes of their answers: which head is put to whom, when it counts as witnessed, when
// the answers say that the log was rolled back or forked, and when nothing new may be taken. One witness's word against the log is a
// warning; the alarm takes as many as leave no quorum without them, or are one. No thread, clock, network or file: Witnessing
// drives it. docs/evidence.md, "Witnesses".
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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

  /// How many witnesses must contradict the log for the alarm: no quorum is left without them, or they are one themselves. More than
  /// half of the witnesses as quorum makes the first the smaller.
  std::size_t halting() const { return std::min(quorum, witnesses.size() - quorum + 1); }
};

class Judgement {
 public:
  /// `alarm`: of an earlier run, "" when there was none. `witnessed`: the size of the newest witnessed head.
  Judgement(WitnessPolicy policy, std::string alarm, std::uint64_t witnessed);

  /// Why nothing new may be taken before the first round, or "".
  std::string at_start() const;

  /// Begins a round over the newest head there is. False when that is not the newest which was signed, as after a power loss: what a
  /// witness has seen beyond it says nothing then.
  bool begin(evidence::SignedHead head, std::uint64_t signed_size);
  /// The witnesses to be asked now. One that was restarted, or that we never met, first says how far it is, and is asked once more.
  std::vector<std::size_t> due();
  std::string submission(std::size_t witness, const evidence::NodeSource& nodes) const;
  void answer(std::size_t witness, long status, const std::string& body, const std::string& failure);
  /// Ends the round: the head with its cosignatures when the quorum gave them, else nothing.
  std::optional<evidence::SignedHead> end() const;
  /// That head is kept.
  void witnessed(std::uint64_t size) { witnessed_ = size; }

  /// The words of an alarm that was raised since this was asked last.
  std::optional<std::string> raised();
  /// Of one witness: that it contradicts the log, or that it no longer does. To be recorded; at most two a minute and witness.
  struct Warning {
    std::size_t witness = 0;
    std::string words;      // "" when it cosigns again
  };
  std::vector<Warning> warnings(std::int64_t now_ns);

  struct Lag {
    std::string refusal;    // why nothing new may be taken, "" when it may
    bool changed = false;   // it is to be recorded
  };
  /// After each round: how long entries have been waiting for the quorum. `size`: of the log. Nothing when there is nothing to say.
  std::optional<Lag> lag(std::uint64_t size, std::int64_t now_ns);

  std::uint64_t witnessed_size() const { return witnessed_; }
  std::int64_t behind_since_ns() const { return behind_since_ns_; }  // monotonic; 0 = not behind
  const std::string& alarm() const { return alarm_; }
  const WitnessPolicy& policy() const { return policy_; }

  struct Known {
    std::uint64_t size = 0;           // what it cosigned last, as far as we know
    std::string problem;              // "" when it cosigned the last head
    std::string contradiction;        // what it said against this log; stands until it cosigns a head
    std::uint64_t cosigned = 0;       // the newest head that we have its cosignature of, since the start
    std::uint64_t refusals = 0, silences = 0;  // answers that were no cosignature, and none at all
    bool due = false;
    unsigned asked = 0;               // in this round
    bool warned = false;              // its contradiction was recorded, and
    std::int64_t warned_ns = 0;       // when the last one was
  };
  const Known& known(std::size_t witness) const { return known_[witness]; }

 private:
  void contradicted(std::size_t witness, const std::string& why);
  void alarm(const std::string& why);
  void cosigned(std::size_t witness, const std::string& body);
  void is_elsewhere(std::size_t witness, const std::string& body);

  WitnessPolicy policy_;
  std::vector<Known> known_;
  evidence::SignedHead head_;         // of this round
  std::string lines_;                 // its cosignatures
  std::size_t count_ = 0;
  std::string alarm_, new_alarm_;
  std::uint64_t witnessed_ = 0;
  std::int64_t behind_since_ns_ = 0;
  bool recorded_ = false;
};

}  // namespace sallyport::anchor
