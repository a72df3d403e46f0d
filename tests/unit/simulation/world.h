#pragma once
// One run: a gateway with its notary, at times a second copy of both, their witnesses, an auditor who keeps heads, a network that
// loses, repeats and delays, and a schedule of faults drawn from a seed. The same seed takes the same steps.
#include <deque>

#include "anchor/witness.h"
#include "gateway.h"
#include "verify/check.h"

namespace sallyport::simulation {

struct Tally {
  std::uint64_t runs = 0, steps = 0, heads = 0, entries = 0, taken = 0, refused = 0, alarms = 0, forks = 0, tampered = 0, starts_refused = 0, condemned = 0;
};

class World {
 public:
  World(std::uint64_t seed, const std::string& room, Defect defect, Tally& tally);
  ~World();
  /// Runs it to its end. "" when all held, else what did not and the last steps.
  std::string run();

 private:
  struct Host {
    evidence::NoteKey key;
    std::string directory, verifier;
    std::optional<anchor::Witness> witness;
    bool up = true, cut = false;
  };
  struct Late {
    std::int64_t at = 0;
    std::size_t witness = 0;
    std::string body;
  };
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(unsigned percent) { return below(100) < percent; }
  void did(const std::string& what);
  std::int64_t wall() const { return 1'700'000'000'000'000'000 + now_ + step_; }

  void step();
  void a_fault();
  void an_attack();
  void advance(std::int64_t by);
  void work(Gateway& gateway, bool with_faults);
  void fork();
  Answer post(std::size_t witness, const std::string& body, bool with_faults);
  Answer deliver(std::size_t witness, const std::string& body);
  void open_witness(std::size_t witness);
  void crash_witness(std::size_t witness);
  void auditor_takes_a_head();
  void settle();
  void judge(Gateway& gateway);
  verify::Report verified(const Gateway& gateway, bool honest) const;
  std::unique_ptr<Gateway> new_gateway();

  std::mt19937_64 random_;
  const std::string room_;
  const Defect defect_;
  Tally& tally_;
  Truth truth_;
  std::string signer_key_, verifier_key_;
  anchor::WitnessPolicy policy_;
  std::vector<Host> witnesses_;
  std::vector<std::unique_ptr<Gateway>> gateways_;
  std::optional<Gateway::State> snapshot_;
  std::deque<Late> late_;
  std::vector<std::string> kept_;        // the auditor's
  unsigned faults_ = 0;                  // how many steps of a hundred have one
  bool attacks_ = false, disk_was_put_back_ = false, notary_was_put_back_ = false;
  std::int64_t epoch_ns_ = 0;
  std::int64_t now_ = 1'000'000'000, step_ = 0;
  std::uint64_t commands_ = 0;
  std::deque<std::string> last_steps_;
};

}  // namespace sallyport::simulation
