#include "signin/scim_rows.h"

#include "base/text.h"

namespace sallyport::signin {

namespace {

constexpr const char* kUser = "id, user_name, external_id, display_name, email, active, created, changed";
constexpr const char* kGroup = "id, display_name, external_id, created, changed";

ScimUser user_of(const state::Statement& row) {
  return {row.text(0), row.text(1), row.text(2), row.text(3), row.text(4), row.integer(5) != 0, row.integer(6), row.integer(7)};
}

Result<ScimGroup> group_of(state::Database& database, const state::Statement& row) {
  ScimGroup out{row.text(0), row.text(1), row.text(2), {}, row.integer(3), row.integer(4)};
  auto members = database.prepare("SELECT user_id FROM scim_members WHERE group_id = ? ORDER BY user_id");
  members.bind(1, out.id);
  for (;;) {
    TRY(const bool more, members.step());
    if (!more) return out;
    out.members.push_back(members.text(0));
  }
}

/// The column that a filter is about; nullptr when it is not searched.
const char* column(const std::string& attribute, bool users) {
  if (attribute == "id") return "id = ";
  if (attribute == "externalid") return "external_id = ";
  if (attribute == "displayname") return "display_name = ";
  if (users && attribute == "username") return "user_name_key = ";
  if (users && (attribute == "emails" || attribute == "emails.value")) return "email = ";
  return nullptr;
}

struct Search {
  std::string where;
  std::string value;
};
Result<Search> search(const std::optional<ScimFilter>& filter, bool users) {
  if (!filter) return Search{"client = ?1 AND ?2 = ''", ""};
  const auto* name = column(filter->attribute, users);
  if (name == nullptr) return fail(ErrorKind::Malformed, "the attribute " + filter->attribute.substr(0, 40) + " is not searched");
  return Search{std::string("client = ?1 AND ") + name + "?2", filter->attribute == "username" ? ascii_lower(filter->value) : filter->value};
}

Result<std::int64_t> count_of(state::Database& database, const char* table, const Search& what, const std::string& client) {
  auto count = database.prepare(std::string("SELECT count(*) FROM ") + table + " WHERE " + what.where);
  count.bind(1, client).bind(2, what.value);
  TRY_VOID(count.step());
  return count.integer(0);
}

}  // namespace

Result<std::optional<ScimUser>> load_user(state::Database& database, const std::string& client, const std::string& id) {
  auto select = database.prepare(std::string("SELECT ") + kUser + " FROM scim_users WHERE client = ? AND id = ?");
  select.bind(1, client).bind(2, id);
  TRY(const bool row, select.step());
  return row ? std::optional(user_of(select)) : std::nullopt;
}

namespace {
Result<bool> another(state::Database& database, const char* column, const std::string& client, const std::string& value, const std::string& but) {
  auto select = database.prepare(std::string("SELECT 1 FROM scim_users WHERE client = ? AND ") + column + " = ? AND id <> ?");
  select.bind(1, client).bind(2, value).bind(3, but);
  return select.step();
}
}  // namespace

Result<bool> user_name_taken(state::Database& database, const std::string& client, const std::string& user_name, const std::string& but) {
  return another(database, "user_name_key", client, ascii_lower(user_name), but);
}

Result<bool> external_id_taken(state::Database& database, const std::string& client, const std::string& external_id, const std::string& but) {
  return external_id.empty() ? Result<bool>(false) : another(database, "external_id", client, external_id, but);
}

Result<void> put_user(state::Database& database, const std::string& client, const ScimUser& user) {
  auto put = database.prepare("INSERT OR REPLACE INTO scim_users (client, id, user_name, user_name_key, external_id, display_name, email, active, created, changed) "
                              "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  put.bind(1, client).bind(2, user.id).bind(3, user.user_name).bind(4, ascii_lower(user.user_name)).bind(5, user.external_id).bind(6, user.display_name).bind(7, user.email);
  return put.bind(8, user.active ? 1 : 0).bind(9, user.created_wall_ns).bind(10, user.changed_wall_ns).run();
}

Result<void> delete_user(state::Database& database, const std::string& client, const std::string& id) {
  state::Transaction transaction(database);
  TRY_VOID(database.prepare("DELETE FROM scim_members WHERE client = ? AND user_id = ?").bind(1, client).bind(2, id).run());
  TRY_VOID(database.prepare("DELETE FROM scim_users WHERE client = ? AND id = ?").bind(1, client).bind(2, id).run());
  return transaction.commit();
}

Result<std::optional<ScimGroup>> load_group(state::Database& database, const std::string& client, const std::string& id) {
  auto select = database.prepare(std::string("SELECT ") + kGroup + " FROM scim_groups WHERE client = ? AND id = ?");
  select.bind(1, client).bind(2, id);
  TRY(const bool row, select.step());
  if (!row) return std::optional<ScimGroup>();
  TRY(auto group, group_of(database, select));
  return std::optional(std::move(group));
}

Result<void> put_group(state::Database& database, const std::string& client, const ScimGroup& group) {
  state::Transaction transaction(database);
  auto put = database.prepare("INSERT OR REPLACE INTO scim_groups (client, id, display_name, external_id, created, changed) VALUES (?, ?, ?, ?, ?, ?)");
  put.bind(1, client).bind(2, group.id).bind(3, group.display_name).bind(4, group.external_id).bind(5, group.created_wall_ns).bind(6, group.changed_wall_ns);
  TRY_VOID(put.run());
  TRY_VOID(database.prepare("DELETE FROM scim_members WHERE client = ? AND group_id = ?").bind(1, client).bind(2, group.id).run());
  auto add = database.prepare("INSERT INTO scim_members (client, group_id, user_id) VALUES (?, ?, ?)");
  for (const auto& id : group.members) {
    TRY_VOID(add.bind(1, client).bind(2, group.id).bind(3, id).run());
    add.reset();
  }
  return transaction.commit();
}

Result<void> delete_group(state::Database& database, const std::string& client, const std::string& id) {
  state::Transaction transaction(database);
  TRY_VOID(database.prepare("DELETE FROM scim_members WHERE client = ? AND group_id = ?").bind(1, client).bind(2, id).run());
  TRY_VOID(database.prepare("DELETE FROM scim_groups WHERE client = ? AND id = ?").bind(1, client).bind(2, id).run());
  return transaction.commit();
}

Result<std::vector<std::string>> groups_of_user(state::Database& database, const std::string& client, const std::string& id) {
  auto select = database.prepare("SELECT g.display_name FROM scim_members m JOIN scim_groups g ON g.id = m.group_id WHERE m.client = ? AND m.user_id = ?");
  select.bind(1, client).bind(2, id);
  std::vector<std::string> out;
  for (;;) {
    TRY(const bool row, select.step());
    if (!row) return out;
    out.push_back(select.text(0));
  }
}

namespace {
/// One page of a table's rows, each read by `take`.
template <class Take>
Result<ScimPage> find(state::Database& database, const char* table, const char* columns, const Search& what, const std::string& client, std::int64_t from, std::int64_t count, Take take) {
  ScimPage out;
  TRY(out.total, count_of(database, table, what, client));
  auto select = database.prepare(std::string("SELECT ") + columns + " FROM " + table + " WHERE " + what.where + " ORDER BY id LIMIT ?3 OFFSET ?4");
  select.bind(1, client).bind(2, what.value).bind(3, count).bind(4, from - 1);
  for (;;) {
    TRY(const bool row, select.step());
    if (!row) return out;
    TRY_VOID(take(select, out));
  }
}
}  // namespace

Result<ScimPage> find_users(state::Database& database, const std::string& client, const std::optional<ScimFilter>& filter, std::int64_t from, std::int64_t count) {
  TRY(const auto what, search(filter, true));
  return find(database, "scim_users", kUser, what, client, from, count, [](const state::Statement& row, ScimPage& page) -> Result<void> {
    page.users.push_back(user_of(row));
    return {};
  });
}

Result<ScimPage> find_groups(state::Database& database, const std::string& client, const std::optional<ScimFilter>& filter, std::int64_t from, std::int64_t count) {
  TRY(const auto what, search(filter, false));
  return find(database, "scim_groups", kGroup, what, client, from, count, [&](const state::Statement& row, ScimPage& page) -> Result<void> {
    TRY(auto group, group_of(database, row));
    page.groups.push_back(std::move(group));
    return {};
  });
}

}  // namespace sallyport::signin
