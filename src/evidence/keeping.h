#pragma once
// Erasing payloads, holding sessions and times, pruning: each is an entry first, durable (a prune's also under a signed head), and then
// done. What a crash left in between, finish() ends at the next start. One thread of its own does the work, one thing after the
// other; owned by main beside the Log. docs/evidence.md, docs/formats/directory.md. Errors: Denied (held, open, unknown, nothing
// configured), Unavailable (the log, files), Malformed (a log that is none).
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <mutex>

#include "evidence/log.h"
#include "evidence/retention.h"

namespace sallyport::evidence {

/// Who asks, as the entry will say.
struct Keeper {
  std::string request_id, subject, issuer, agent, peer;
};
/// 32 hexadecimal digits; nullopt else.
std::optional<Id16> session_of(std::string_view text);

/// What is held: a session, or from a time up to another, each in UTC as text ("" for open).
struct HoldBounds {
  std::optional<Id16> session;
  std::string from, to;
};

class Keeping {
 public:
  /// Copies a held session out of the log, with its proofs, before its entries go. Done when it returns; made again when it is there.
  using Carry = std::function<Result<void>(const PrunePlan::Session&)>;
  Keeping(Log& log, std::string directory, std::string origin, bool witnessed, Carry carry);
  ~Keeping() { pool_.join(); }
  /// Erasures that were on record and not done, also those of a prune. Before anything else is asked.
  Result<void> finish();
  void terms(RetentionTerms terms);

  /// Runs `work` on the thread. The answers below are JSON objects, for whoever asked.
  using Work = std::function<Result<std::string>(Keeping&)>;
  boost::asio::awaitable<Result<std::string>> run(Work work);
  Result<std::string> erase(const Keeper& who, const Id16& session, const std::string& basis);
  /// Destroys what says whom a person's pseudonym means; the person gets another one from now on.
  Result<std::string> erase_person(const Keeper& who, const std::string& name, const std::string& basis);
  Result<std::string> hold(const Keeper& who, const HoldBounds& what, const std::string& basis, bool release);
  Result<std::string> holds();
  Result<std::string> prune(const Keeper& who, const std::string& basis, bool dry_run);

 private:
  struct Life {
    bool any = false, closed = false, held_time = false;
  };
  Result<Life> life_of(const Id16& session);
  Result<void> follow();
  Result<void> wait_signed(std::uint64_t index) const;
  Result<void> carry_out(const Keeper& who, const std::string& basis, const PrunePlan& plan);
  Result<void> finish_prune();
  Result<void> drop_released(const PrunePlan& plan);

  Log& log_;
  LogView view_;
  std::string origin_;
  bool witnessed_;
  Carry carry_;
  Holds holds_;
  std::mutex mutex_;  // terms_
  RetentionTerms terms_;
  boost::asio::thread_pool pool_{1};
};

}  // namespace sallyport::evidence
