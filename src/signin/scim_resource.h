#pragma once
// SCIM 2.0 resources as the gateway keeps them (RFC 7643): of a user what decides who may come, of a group its name and members; other
// attributes are taken and forgotten, as RFC 7644 §3.3 allows. Reading, patching (RFC 7644 §3.5.2) and filters are strict about what is kept.
// Pure, any thread. Errors: Malformed with words for the identity provider's log.
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace sallyport::signin {

struct ScimUser {
  std::string id, user_name, external_id, display_name, email;
  bool active = true;
  std::int64_t created_wall_ns = 0, changed_wall_ns = 0;
};

struct ScimGroup {
  std::string id, display_name, external_id;
  std::vector<std::string> members;   // ids of users, sorted, unique
  std::int64_t created_wall_ns = 0, changed_wall_ns = 0;
};

/// Of a POST or PUT: what the body does not name is empty (and active).
Result<void> read_user(const json::Value& body, ScimUser& out);
Result<void> read_group(const json::Value& body, ScimGroup& out);
/// Applies a PATCH; on an error `out` may be half changed and is not to be kept.
Result<void> patch_user(const json::Value& body, ScimUser& out);
Result<void> patch_group(const json::Value& body, ScimGroup& out);

/// `attribute eq "value"`: all that provisioning clients ask. "" = no filter.
struct ScimFilter {
  std::string attribute, value;   // attribute in lower case
};
Result<std::optional<ScimFilter>> read_filter(std::string_view text);

std::string user_json(const ScimUser& user, const std::string& base_url);
std::string group_json(const ScimGroup& group, const std::string& base_url);

}  // namespace sallyport::signin
