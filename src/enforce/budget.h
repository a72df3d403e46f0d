#pragma once
// What one person (with one agent) may use of one target: calls and bytes in a stretch of time, and commands at a time. Counted over all
// workers; asked by the Gate after policy has said yes, so that a budget is a refusal like any other, with an entry and a native
// error. Any thread. Forgotten at a restart: a budget keeps a loop in bounds, it is no account.
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "identity/principal.h"
#include "target/catalog.h"

namespace sallyport::enforce {

class Budgets {
 public:
  explicit Budgets(const Clock& clock = system_clock()) : clock_(clock) {}

  struct Use;
  /// A command's place among those that run; given back when it is destroyed.
  class Place {
   public:
    Place(std::shared_ptr<Use> use, bool running, const Clock& clock);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    /// The client got this much.
    void spend(std::uint64_t bytes);

   private:
    std::shared_ptr<Use> use_;
    bool running_;
    const Clock& clock_;
  };
  using PlacePtr = std::shared_ptr<Place>;

  /// `counted`: it is one of the calls that count, and runs now. What is only a list or a greeting is kept from nothing but the limit of bytes, nor is
  /// what is held: humans count that. Null where the target has no budget. Errors: Denied with what is used up, and until when.
  Result<PlacePtr> take(const identity::Principal& who, const target::Target& target, bool counted);

 private:
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Use>> uses_;  // by person, agent and target
};

}  // namespace sallyport::enforce
