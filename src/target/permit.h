#pragma once
// Proof that one message may go to one target: policy allowed it (or humans did) and its intent entry is durable.
// Only the Gate constructs a Permit; a link's send() takes nothing else and consumes it. It carries the very bytes that
// were judged, so what was approved is what is sent. Owned by the session until it is moved into send(); worker thread.
#include <memory>
#include <string>
#include <utility>

#include "target/catalog.h"

namespace sallyport::enforce {
class Gate;
}

namespace sallyport::target {

class Permit {
 public:
  Permit(Permit&&) noexcept = default;
  Permit& operator=(Permit&&) noexcept = default;
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;

  const Target& target() const { return *target_; }
  const std::string& bytes() const { return bytes_; }
  /// For whom it is (Principal::person()): a target that knows people is asked with this one's credential.
  const std::string& person() const { return person_; }
  /// Sent along as a header or comment so that the target's own log can be joined with the evidence.
  const std::string& request_id() const { return request_id_; }

 private:
  friend class enforce::Gate;
  Permit(CatalogPtr catalog, const Target* target, std::string bytes, std::string request_id, std::string person)
      : catalog_(std::move(catalog)), target_(target), bytes_(std::move(bytes)), request_id_(std::move(request_id)), person_(std::move(person)) {}

  CatalogPtr catalog_;  // keeps target_ alive over a reload
  const Target* target_;
  std::string bytes_;
  std::string request_id_, person_;
};

/// Proof that a session on a target is open and recorded: what lets a protocol's own control messages pass, and the data
/// of a command that has its Permit. Carries no command. Only the Gate constructs it.
class SessionPermit {
 public:
  const std::string& target() const { return target_; }

 private:
  friend class enforce::Gate;
  explicit SessionPermit(std::string target) : target_(std::move(target)) {}
  std::string target_;
};

}  // namespace sallyport::target
