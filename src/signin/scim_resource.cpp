#include "signin/scim_resource.h"

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "identity/claims.h"

namespace sallyport::signin {

namespace {

constexpr std::size_t kMaxMembers = 50'000, kMaxOperations = 1000;

/// Attribute names compare without case (RFC 7643 §2.1).
json::Value member(const json::Value& object, std::string_view name) {
  for (const auto one : object)
    if (object.is_object() && ascii_lower(one.key()) == ascii_lower(name)) return one;
  return {};
}

Result<void> text_into(const json::Value& value, const char* name, std::string& out) {
  if (value.kind() == json::Kind::Null) {
    out.clear();
    return {};
  }
  if (!value.is_string() || (!value.as_string().empty() && !identity::is_plain_name(value.as_string())))
    return fail(ErrorKind::Malformed, std::string(name) + " is text of at most 256 bytes without control characters");
  out = value.as_string();
  return {};
}

Result<void> active_into(const json::Value& value, bool& out) {
  if (value.kind() == json::Kind::Bool) out = value.as_bool();
  else if (ascii_lower(value.as_string()) == "true") out = true;   // as Microsoft Entra ID sends it
  else if (ascii_lower(value.as_string()) == "false") out = false;
  else return fail(ErrorKind::Malformed, "active is true or false");
  return {};
}

/// The primary address, else the first.
Result<void> emails_into(const json::Value& value, std::string& out) {
  if (value.is_string()) return text_into(value, "emails", out);
  out.clear();
  bool primary = false;
  for (const auto one : value) {
    const auto address = member(one, "value");
    const bool is_primary = member(one, "primary").as_bool();
    if (!address.is_string() || primary || (!out.empty() && !is_primary)) continue;
    if (auto kept = text_into(address, "emails.value", out); !kept) return kept;
    primary = is_primary;
  }
  return {};
}

Result<void> name_into(const json::Value& value, std::string& display) {
  const auto formatted = member(value, "formatted");
  if (formatted.is_string()) return text_into(formatted, "name.formatted", display);
  const auto given = member(value, "givenName"), family = member(value, "familyName");
  std::string both;
  if (given.is_string()) both = given.as_string();
  if (family.is_string()) both += (both.empty() ? "" : " ") + std::string(family.as_string());
  if (!both.empty() && identity::is_plain_name(both)) display = both;
  return {};
}

Result<void> user_attribute(std::string_view name, const json::Value& value, ScimUser& out) {
  const auto key = ascii_lower(name);
  if (key == "username") return text_into(value, "userName", out.user_name);
  if (key == "externalid") return text_into(value, "externalId", out.external_id);
  if (key == "displayname") return text_into(value, "displayName", out.display_name);
  if (key == "active") return active_into(value, out.active);
  if (key == "emails" || key.starts_with("emails[")) return emails_into(value, out.email);
  if (key == "name" && out.display_name.empty()) return name_into(value, out.display_name);
  return {};  // taken and forgotten
}

Result<void> check(const ScimUser& user) {
  if (user.user_name.empty()) return fail(ErrorKind::Malformed, "userName is required");
  return {};
}
Result<void> check(const ScimGroup& group) {
  if (group.display_name.empty()) return fail(ErrorKind::Malformed, "displayName is required");
  if (group.members.size() > kMaxMembers) return fail(ErrorKind::Malformed, "a group has at most 50000 members");
  return {};
}

Result<std::vector<std::string>> member_ids(const json::Value& value) {
  std::vector<std::string> out;
  const auto take = [&](const json::Value& one) {
    const auto id = one.is_string() ? one : member(one, "value");
    if (!id.is_string() || id.as_string().empty() || id.as_string().size() > 64) return false;
    out.emplace_back(id.as_string());
    return true;
  };
  if (value.is_array()) {
    for (const auto one : value)
      if (!take(one)) return fail(ErrorKind::Malformed, "members is a list of { value: USER-ID }");
  } else if (value.valid() && value.kind() != json::Kind::Null && !take(value)) {
    return fail(ErrorKind::Malformed, "members is a list of { value: USER-ID }");
  }
  return out;
}

void settle(std::vector<std::string>& members) {
  std::ranges::sort(members);
  members.erase(std::unique(members.begin(), members.end()), members.end());
}

/// Calls apply(op, path, value) for each operation.
template <class Apply>
Result<void> each_operation(const json::Value& body, const Apply& apply) {
  const auto operations = member(body, "Operations");
  if (!operations.is_array() || operations.size() == 0 || operations.size() > kMaxOperations) return fail(ErrorKind::Malformed, "Operations is a list of 1 to 1000 operations");
  for (const auto one : operations) {
    const auto op = ascii_lower(member(one, "op").as_string());
    if (op != "add" && op != "replace" && op != "remove") return fail(ErrorKind::Malformed, "op is add, replace or remove");
    if (auto applied = apply(op, std::string(member(one, "path").as_string()), member(one, "value")); !applied) return applied;
  }
  return {};
}

/// members[value eq "ID"]
std::optional<std::string> one_member(std::string_view path) {
  const auto key = ascii_lower(path);
  if (!key.starts_with("members[") || !path.ends_with(']')) return std::nullopt;
  const auto filter = read_filter(path.substr(8, path.size() - 9));
  return filter && *filter && (*filter)->attribute == "value" ? std::optional((*filter)->value) : std::nullopt;
}

std::string meta(const char* type, const std::string& base_url, const char* folder, const std::string& id, std::int64_t created, std::int64_t changed) {
  return fmt::format(R"("meta":{{"resourceType":"{}","created":{},"lastModified":{},"location":{}}})", type, json::quote(utc_text(created)), json::quote(utc_text(changed)),
                     json::quote(base_url + "/scim/v2/" + folder + "/" + id));
}

std::string optional_member(const char* name, const std::string& value) { return value.empty() ? "" : fmt::format(R"("{}":{},)", name, json::quote(value)); }

}  // namespace

Result<void> read_user(const json::Value& body, ScimUser& out) {
  out.user_name.clear();
  out.external_id.clear();
  out.display_name.clear();
  out.email.clear();
  out.active = true;
  if (!body.is_object()) return fail(ErrorKind::Malformed, "the body is a user resource");
  for (const auto one : body) TRY_VOID(user_attribute(one.key(), one, out));
  return check(out);
}

Result<void> read_group(const json::Value& body, ScimGroup& out) {
  out.external_id.clear();
  out.display_name.clear();
  if (!body.is_object()) return fail(ErrorKind::Malformed, "the body is a group resource");
  if (const auto name = member(body, "displayName"); name.valid()) TRY_VOID(text_into(name, "displayName", out.display_name));
  if (const auto id = member(body, "externalId"); id.valid()) TRY_VOID(text_into(id, "externalId", out.external_id));
  TRY(out.members, member_ids(member(body, "members")));
  settle(out.members);
  return check(out);
}

Result<void> patch_user(const json::Value& body, ScimUser& out) {
  TRY_VOID(each_operation(body, [&](const std::string& op, const std::string& path, const json::Value& value) -> Result<void> {
    const auto key = ascii_lower(path);
    if (op == "remove") {
      if (key == "externalid") out.external_id.clear();
      else if (key == "displayname") out.display_name.clear();
      else if (key.starts_with("emails")) out.email.clear();
      else if (key == "active" || key == "username" || key.empty()) return fail(ErrorKind::Malformed, "userName and active cannot be removed, and remove needs a path");
      return {};
    }
    if (!key.empty()) return user_attribute(path, value, out);
    if (!value.is_object()) return fail(ErrorKind::Malformed, "without a path the value is an object of attributes");
    for (const auto one : value) TRY_VOID(user_attribute(one.key(), one, out));
    return {};
  }));
  return check(out);
}

Result<void> patch_group(const json::Value& body, ScimGroup& out) {
  TRY_VOID(each_operation(body, [&](const std::string& op, const std::string& path, const json::Value& value) -> Result<void> {
    const auto key = ascii_lower(path);
    if (key == "members" || key.starts_with("members[")) {
      TRY(auto ids, member_ids(value));
      if (const auto one = one_member(path)) ids = {*one};
      else if (key != "members") return fail(ErrorKind::Malformed, "the path is members, or members[value eq \"ID\"]");
      if (op == "remove" && ids.empty()) out.members.clear();
      else if (op == "remove") std::erase_if(out.members, [&](const auto& id) { return std::ranges::find(ids, id) != ids.end(); });
      else if (op == "replace") out.members = std::move(ids);
      else out.members.insert(out.members.end(), ids.begin(), ids.end());
      settle(out.members);
      return {};
    }
    if (op == "remove") return key == "externalid" ? (out.external_id.clear(), Result<void>()) : fail(ErrorKind::Malformed, "remove is for members and externalId");
    if (key == "displayname") return text_into(value, "displayName", out.display_name);
    if (key == "externalid") return text_into(value, "externalId", out.external_id);
    if (!key.empty() || !value.is_object()) return key.empty() ? fail(ErrorKind::Malformed, "without a path the value is an object of attributes") : Result<void>();
    for (const auto one : value) {
      const auto name = ascii_lower(one.key());
      if (name == "displayname") TRY_VOID(text_into(one, "displayName", out.display_name));
      if (name == "externalid") TRY_VOID(text_into(one, "externalId", out.external_id));
      if (name != "members") continue;
      TRY(auto ids, member_ids(one));
      if (op == "replace") out.members.clear();
      out.members.insert(out.members.end(), ids.begin(), ids.end());
      settle(out.members);
    }
    return {};
  }));
  return check(out);
}

Result<std::optional<ScimFilter>> read_filter(std::string_view text) {
  if (text.empty()) return std::optional<ScimFilter>();
  const auto wrong = fail(ErrorKind::Malformed, "a filter is: ATTRIBUTE eq \"VALUE\"");
  const auto space = text.find(' ');
  if (space == text.npos || space == 0) return wrong;
  auto rest = text.substr(space + 1);
  if (rest.size() < 5 || ascii_lower(rest.substr(0, 3)) != "eq ") return wrong;
  auto value = json::Document::parse(std::string(rest.substr(3)));
  if (!value || !value->root().is_string()) return wrong;
  return std::optional<ScimFilter>(ScimFilter{ascii_lower(text.substr(0, space)), std::string(value->root().as_string())});
}

std::string user_json(const ScimUser& user, const std::string& base_url) {
  const auto emails = user.email.empty() ? "" : fmt::format(R"("emails":[{{"value":{},"primary":true}}],)", json::quote(user.email));
  return fmt::format(R"({{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":{},"userName":{},{}{}{}"active":{},{}}})", json::quote(user.id), json::quote(user.user_name),
                     optional_member("externalId", user.external_id), optional_member("displayName", user.display_name), emails, user.active,
                     meta("User", base_url, "Users", user.id, user.created_wall_ns, user.changed_wall_ns));
}

std::string group_json(const ScimGroup& group, const std::string& base_url) {
  std::string members;
  for (const auto& id : group.members) members += fmt::format(R"({}{{"value":{},"$ref":{}}})", members.empty() ? "" : ",", json::quote(id), json::quote(base_url + "/scim/v2/Users/" + id));
  return fmt::format(R"({{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"id":{},"displayName":{},{}"members":[{}],{}}})", json::quote(group.id), json::quote(group.display_name),
                     optional_member("externalId", group.external_id), members, meta("Group", base_url, "Groups", group.id, group.created_wall_ns, group.changed_wall_ns));
}

}  // namespace sallyport::signin
