#pragma once
// The real notary on a machine that fails: its answers get lost, it crashes before, in the middle of and after its durable writes,
// its files are put back. It sees to it that the truth learns of everything it signs.
#include "evidence/notary.h"
#include "truth.h"

namespace sallyport::simulation {

/// What a broken build would do. Each must be found out; simulation_test.cpp says by what.
enum class Defect {
  None,
  CredulousNotary,     // does not compare where a range begins
  ForgetfulWitness,    // does not keep what it cosigned
  DeafToSize,          // a gateway that does not hear that a witness has seen more than it has
  TakesBeforeAsked,    // one that takes commands before a witness has answered
  JoinsWhatWasAsked,   // one that puts a longer range to the notary when an answer got lost
  TrustsOldName,       // one that takes the name `checkpoint` for the newest head after a power loss
  AnnouncesOnce,       // one that does not announce again an epoch that may not have begun
};

/// The notary's files and what they stand for.
struct NotaryState {
  Bytes tree, epochs;
  History history;
};

class NotaryHost : public evidence::Signer {
 public:
  enum class Fault { None, Away, LostAnswer, CrashBefore, CrashHalfway, CrashAfter };

  /// `gateway`: the history of the gateway that asks, whose leaves are those of the ranges it puts.
  NotaryHost(std::string path, const std::string& signer_key, Truth& truth, const History& gateway, Defect defect);
  ~NotaryHost() override;
  /// Of the next request.
  void fails(Fault fault, bool torn) { fault_ = fault, torn_ = torn; }

  NotaryState state() const;
  void put_back(const NotaryState& state);
  /// Signs the gateway's history anew from its first entry, as who has the key and the disk can.
  std::string forge();

  Result<evidence::CompactRange> last() override;
  Result<std::string> sign(const evidence::CompactRange& grown) override;
  Result<evidence::EpochKey> next_epoch() override;
  Result<std::string> begin_epoch(ByteView announcement) override;
  std::string verifier_key() const override { return notary_->verifier_key(); }

 private:
  template <class Request>
  Result<std::string> ask(std::uint64_t size, Request request);
  void open();
  void forget();
  bool is_away();
  std::string path_, key_;
  Truth& truth_;
  const History& gateway_;
  Defect defect_;
  std::unique_ptr<evidence::Notary> notary_;
  History history_;
  Fault fault_ = Fault::None;
  bool torn_ = false;
};

}  // namespace sallyport::simulation
