#pragma once
// SCIM resources as rows of the embedded database, each belonging to one provisioning client. The store's thread only. Errors: Unavailable.
#include "signin/scim_resource.h"
#include "state/store.h"

namespace sallyport::signin {

Result<std::optional<ScimUser>> load_user(state::Database& database, const std::string& client, const std::string& id);
/// By userName, without regard to case; another than `but`.
Result<bool> user_name_taken(state::Database& database, const std::string& client, const std::string& user_name, const std::string& but);
/// Whether another user than `but` has this externalId; two of them would be one person, and one's leaving would be undone by the other.
Result<bool> external_id_taken(state::Database& database, const std::string& client, const std::string& external_id, const std::string& but);
Result<void> put_user(state::Database& database, const std::string& client, const ScimUser& user);
Result<void> delete_user(state::Database& database, const std::string& client, const std::string& id);

Result<std::optional<ScimGroup>> load_group(state::Database& database, const std::string& client, const std::string& id);
Result<void> put_group(state::Database& database, const std::string& client, const ScimGroup& group);
Result<void> delete_group(state::Database& database, const std::string& client, const std::string& id);
/// The names of the groups that the user is in.
Result<std::vector<std::string>> groups_of_user(state::Database& database, const std::string& client, const std::string& id);

struct ScimPage {
  std::int64_t total = 0;
  std::vector<ScimUser> users;
  std::vector<ScimGroup> groups;
};
/// `from` counts from 1. Errors: Malformed (an attribute that is not searched).
Result<ScimPage> find_users(state::Database& database, const std::string& client, const std::optional<ScimFilter>& filter, std::int64_t from, std::int64_t count);
Result<ScimPage> find_groups(state::Database& database, const std::string& client, const std::optional<ScimFilter>& filter, std::int64_t from, std::int64_t count);

}  // namespace sallyport::signin
