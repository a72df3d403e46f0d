#pragma once
// What a modern client carries between the rounds of one call (`requestState`, specification 2026-07-28): the target's own state and what
// the gateway has to know, sealed for whoever and whatever it was made for. Pure but for the vault's key, any thread. Errors: Malformed
// for a state that is not ours, of something else, or too old; all in one wording, for it says nothing of which.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "identity/vault.h"

namespace sallyport::protocol::mcp {

inline constexpr std::int64_t kStateLives = 900LL * 1'000'000'000;  // how long a client may take to bring back what it was asked for

struct CarriedState {
  std::string state;       // the target's
  bool of_target = true;   // false: the target gave none, so it gets none
  std::string approved;    // what HeldCalls keeps of the approval that the call runs under; "" for none
};

/// The worker's number stands in front, in clear, for what a bridge keeps is kept on one worker; sealed in, so that it cannot be changed.
/// `bound_to` is whose state it is, and of which call.
std::string seal_state(const identity::Vault& vault, std::size_t worker, const std::string& bound_to, const CarriedState& carried, std::int64_t now_wall_ns);
Result<CarriedState> open_state(const identity::Vault& vault, const std::string& bound_to, std::string_view sealed, std::int64_t now_wall_ns);

}  // namespace sallyport::protocol::mcp
