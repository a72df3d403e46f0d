#pragma once
// A person (or a service) as the gateway knows it now, whatever credential they come with, and the groups that follow from the
// configuration. Plain data and pure functions; any thread.
#include <cstdint>
#include <string>
#include <vector>

#include "identity/config.h"
#include "identity/reason.h"

namespace sallyport::identity {

struct Person {
  std::string issuer, subject;
  std::string email, display_name;       // may be empty; never a reason to let anybody in
  std::vector<std::string> groups;       // as the source says: neither nested nor cut to an agent's
  bool service = false;
  bool active = true;                    // false: no credential of theirs is taken
  bool provisioned = false;              // by SCIM: its groups count then, not those of a sign-in
  std::int64_t not_before_wall_ns = 0;   // credentials from before are taken back

  std::string key() const { return issuer + "\n" + subject; }
  bool operator==(const Person&) const = default;
};

/// Sorted, unique, with every group that contains one of them (`identity.nested_groups`; circles are harmless).
std::vector<std::string> with_nested(std::vector<std::string> groups, const IdentityConfig& config);

/// The groups that count for `agent` ("" is the person alone). Reasons: UnknownAgent.
Judged<std::vector<std::string>> effective_groups(std::vector<std::string> given, const std::string& agent, const IdentityConfig& config);

}  // namespace sallyport::identity
