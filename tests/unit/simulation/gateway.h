#pragma once
// A gateway as far as its evidence goes: it takes commands into batches, makes them durable, has their heads signed by the real queue
// and notary, and asks witnesses by the real judgement. What the real one does on its threads happens here one step at a time. The order
// and the conditions are those of evidence/head_signing.cpp, evidence/writer*.cpp and anchor/witnessing.cpp.
#include <random>
#include <set>

#include "anchor/judgement.h"
#include "evidence/signing_queue.h"
#include "notary_host.h"

namespace sallyport::simulation {

constexpr std::int64_t kMillisecond = 1'000'000, kTickMost = 300 * kMillisecond;

struct Answer {
  long status = 0;   // 0: none came
  std::string body;
};

class Gateway {
 public:
  struct Setup {
    std::string folder, signer_key;
    anchor::WitnessPolicy policy;
    std::int64_t epoch_ns = 0;
    Defect defect = Defect::None;
  };
  Gateway(Setup setup, std::mt19937_64& random, Truth& truth);

  /// What a running one has in memory.
  struct Process {
    Process(const evidence::CompactRange& unsigned_range, anchor::Judgement of_witnesses) : queue(unsigned_range), judgement(std::move(of_witnesses)) {}
    Id16 incarnation{};
    std::vector<Bytes> batch;                // not yet durable
    evidence::SigningQueue queue;
    anchor::Judgement judgement;
    bool again = false, broken = false, asking = false, closing = false;
    std::string refusal;
    std::int64_t unsigned_since = 0, sign_at = 0, round_at = 0, epoch_at = 0;
    std::int64_t exposed_since = INT64_MIN / 2;
  };
  struct State {
    Disk disk;
    NotaryState notary;
    std::optional<Process> process;
    bool malicious = false, edited = false;
  };
  State state() const { return {disk_, notary_.state(), process_, malicious_, edited_}; }
  /// A machine is put back to what it was; `live`: its memory as well.
  void put_back(const State& state, bool live, std::int64_t now);
  void put_back_disk(const State& state);

  bool runs() const { return process_.has_value(); }
  /// It was said, and recorded, that this witness contradicts the log.
  bool warned_of(std::size_t witness) const { return warned_.contains(witness); }
  bool takes_nothing() const { return refused_ || !disk_.alarm.empty() || (process_ && process_->broken); }
  void start(std::int64_t now, std::int64_t wall);
  /// A client's; false when it is refused.
  bool command(std::int64_t now, std::int64_t wall, const std::string& name);
  void sync(std::int64_t now);
  void sign(std::int64_t now);
  /// The signer's next epoch key, when it is time.
  void announce(std::int64_t now, std::int64_t wall);
  /// The next step of a round with the witnesses, if one is due.
  void round(std::int64_t now, std::int64_t wall, const std::function<Answer(std::size_t witness, const std::string& body)>& post);
  /// Its memory is lost; with the power, also names that no sync made durable.
  void crash(bool power);
  void stop(std::int64_t now, std::int64_t wall);
  /// Compares what it may do with what is true.
  void look(std::int64_t now);

  /// Below the signed size: from now on its software is an attacker's.
  void edit_alive();
  /// The same by whoever has the disk.
  void edit_asleep();
  /// By whoever has the key as well.
  void forge();

  bool announces() const { return process_ && process_->queue.announces(); }
  bool settled() const;
  /// Settled, or not to be any more.
  bool ended() const { return settled() || takes_nothing() || malicious_; }
  bool is_malicious() const { return malicious_; }
  const Disk& disk() const { return disk_; }
  NotaryHost& notary() { return notary_; }

 private:
  void append(const evidence::Entry& entry, std::int64_t now, std::int64_t wall);
  void alarm(const std::string& words, std::int64_t now, std::int64_t wall);
  void warn(std::int64_t now, std::int64_t wall);
  void judge_lag(std::int64_t now, std::int64_t wall);
  void keep(const evidence::SignedHead& head);
  void refuse_start(const std::string& why);
  bool edit_below(std::uint64_t size);

  const Setup setup_;
  std::mt19937_64& random_;
  Truth& truth_;
  Disk disk_;
  NotaryHost notary_;
  std::optional<Process> process_;
  std::set<std::size_t> warned_;        // people do not forget it when the machine is put back
  bool refused_ = false, malicious_ = false, edited_ = false;
};

}  // namespace sallyport::simulation
