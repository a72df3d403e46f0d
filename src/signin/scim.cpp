#include "signin/scim.h"

#include "identity/claims.h"

#include <charconv>
#include <set>

namespace sallyport::signin {

using admin::Answer;
using admin::Call;
using boost::asio::awaitable;
using identity::Reason;
using identity::ScimConfig;

namespace {

constexpr std::int64_t kPage = 200;
constexpr std::size_t kBody = 4u << 20;

Answer scim_answer(std::string body, unsigned status = 200) {
  Answer out;
  out.status = status;
  out.type = "application/scim+json";
  out.body = std::move(body);
  return out;
}

Answer scim_error(unsigned status, std::string_view detail, std::string_view type = "") {
  const auto scim_type = type.empty() ? "" : fmt::format(R"("scimType":"{}",)", type);
  return scim_answer(fmt::format(R"({{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"{}",{}"detail":{}}})", status, scim_type, json::quote(detail)), status);
}

Answer scim_error_of(const Error& error) {
  if (error.kind == ErrorKind::Malformed) return scim_error(400, error.what, "invalidValue");
  if (error.kind == ErrorKind::Denied) return scim_error(409, error.what, "uniqueness");
  return scim_error(503, "it cannot be written now; try again later");
}

std::int64_t number_or(const std::string& text, std::int64_t otherwise) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : otherwise;
}

}  // namespace

struct Scim::State {
  identity::Authenticator& authenticator;
  identity::Directory& directory;
  state::Store& store;
  std::string own_origin;
  std::shared_ptr<const identity::IdentityConfig> config;
  const Clock& clock;
  bool changing = false;     // one change at a time: between the directory and the rows nothing else happens

  /// The client whose token came; nullopt is answered by refused().
  std::optional<ScimConfig> client_of(const Call& call) const {
    const auto header = call.request.headers.get("Authorization");
    if (call.request.headers.count("Authorization") != 1 || header.size() < 8 || !(header.starts_with("Bearer ") || header.starts_with("bearer "))) return std::nullopt;
    for (const auto& one : config->scim) {
      const auto token = one.token.read();
      if (token && token->size() >= 32 && equal_constant_time(as_bytes(*token), as_bytes(header.substr(7)))) return one;
    }
    return std::nullopt;
  }
  awaitable<Answer> refused(const Call& call) {
    const auto error = co_await authenticator.failed(Reason::UnknownToken, "scim", call.peer);
    co_return error.kind == ErrorKind::Denied ? scim_error(401, "the bearer token is not known here") : scim_error(503, error.what);
  }

  identity::Person person_of(const ScimConfig& client, const ScimUser& user, std::vector<std::string> groups) const {
    identity::Person out;
    out.issuer = client.issuer;
    out.subject = client.subject == "userName" ? user.user_name : client.subject == "id" ? user.id : user.external_id;
    out.email = user.email;
    out.display_name = user.display_name;
    out.groups = std::move(groups);
    std::erase_if(out.groups, [](const std::string& group) { return !identity::is_plain_name(group); });
    std::ranges::sort(out.groups);
    out.groups.erase(std::unique(out.groups.begin(), out.groups.end()), out.groups.end());
    out.active = user.active;
    out.provisioned = true;
    return out;
  }

  /// What becomes of the person, first; a leaver is out even when the row behind fails and the provider has to say it again.
  awaitable<Result<void>> apply(const ScimConfig& client, const ScimUser& user, std::vector<std::string> groups) {
    auto person = person_of(client, user, std::move(groups));
    if (person.subject.empty()) co_return fail(ErrorKind::Malformed, client.subject + " is required here: it is the person's subject at the provider");
    co_return co_await directory.learn(std::move(person), "scim " + client.name);
  }
  awaitable<Result<std::vector<std::string>>> groups_of(const ScimConfig& client, std::string id) {
    co_return co_await store.run([name = client.name, id = std::move(id)](state::Database& db) { return groups_of_user(db, name, id); });
  }

  awaitable<Result<void>> save(const ScimConfig& client, ScimUser user, std::optional<ScimUser> before) {
    CO_TRY(const bool taken, co_await store.run([name = client.name, user](state::Database& db) { return user_name_taken(db, name, user.user_name, user.id); }));
    if (taken) co_return fail(ErrorKind::Denied, "another user has this userName");
    CO_TRY(const bool twice, co_await store.run([name = client.name, user](state::Database& db) { return external_id_taken(db, name, user.external_id, user.id); }));
    if (twice) co_return fail(ErrorKind::Denied, "another user has this externalId");
    CO_TRY(auto groups, co_await groups_of(client, user.id));
    if (before && person_of(client, *before, {}).key() != person_of(client, user, {}).key()) {
      // Another subject is another person: the one before has left.
      before->active = false;
      CO_TRY_VOID(co_await apply(client, *before, {}));
    }
    CO_TRY_VOID(co_await apply(client, user, std::move(groups)));
    co_return co_await store.run([name = client.name, user = std::move(user)](state::Database& db) { return put_user(db, name, user); });
  }

  /// The groups' members as they will be: each of `before` and `after` has the name in their groups, or not.
  awaitable<Result<void>> save(const ScimConfig& client, ScimGroup group, std::optional<ScimGroup> before) {
    std::set<std::string> touched(group.members.begin(), group.members.end());
    if (before) touched.insert(before->members.begin(), before->members.end());
    const bool renamed = before && before->display_name != group.display_name;
    for (const auto& id : touched) {
      const bool was = before && std::ranges::binary_search(before->members, id), is = std::ranges::binary_search(group.members, id);
      if (was == is && !renamed) continue;
      CO_TRY(const auto user, co_await store.run([name = client.name, id](state::Database& db) { return load_user(db, name, id); }));
      if (!user) {
        if (is) co_return fail(ErrorKind::Malformed, "there is no user " + id.substr(0, 64));
        continue;
      }
      CO_TRY(auto groups, co_await groups_of(client, id));
      // Once: another group may have the same name.
      if (was)
        if (const auto at = std::ranges::find(groups, before->display_name); at != groups.end()) groups.erase(at);
      if (is) groups.push_back(group.display_name);
      CO_TRY_VOID(co_await apply(client, *user, std::move(groups)));
    }
    co_return co_await store.run([name = client.name, group = std::move(group)](state::Database& db) { return put_group(db, name, group); });
  }

  awaitable<Answer> list(Call call, bool users) {
    const auto client = client_of(call);
    if (!client) co_return co_await refused(call);
    const auto filter = read_filter(call.query_value("filter"));
    if (!filter) co_return scim_error(400, filter.error().what, "invalidFilter");
    const auto from = std::max<std::int64_t>(number_or(call.query_value("startIndex"), 1), 1);
    const auto count = std::clamp<std::int64_t>(number_or(call.query_value("count"), kPage), 0, kPage);
    auto page = co_await store.run([users, name = client->name, filter = *filter, from, count](state::Database& db) {
      return users ? find_users(db, name, filter, from, count) : find_groups(db, name, filter, from, count);
    });
    if (!page) co_return page.error().kind == ErrorKind::Malformed ? scim_error(400, page.error().what, "invalidFilter") : scim_error_of(page.error());
    std::string items;
    for (const auto& one : page->users) items += (items.empty() ? "" : ",") + user_json(one, own_origin);
    for (const auto& one : page->groups) items += (items.empty() ? "" : ",") + group_json(one, own_origin);
    co_return scim_answer(fmt::format(R"({{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":{},"startIndex":{},"itemsPerPage":{},"Resources":[{}]}})",
                                      page->total, from, page->users.size() + page->groups.size(), items));
  }

  /// Runs one change after the other; a second one that comes meanwhile is told to come again.
  template <class Work>
  awaitable<Answer> change(Call call, Work work) {
    const auto client = client_of(call);
    if (!client) co_return co_await refused(call);
    if (changing) {
      auto busy_answer = scim_error(429, "another change is being made; try again");
      busy_answer.headers.add("Retry-After", "1");
      co_return busy_answer;
    }
    changing = true;
    struct Done {
      bool& flag;
      ~Done() { flag = false; }
    } done{changing};
    auto body = json::Document::parse(call.request.body.empty() ? "null" : call.request.body);
    if (!body) co_return scim_error(400, body.error().what, "invalidSyntax");
    co_return co_await work(*client, body->root());
  }

  template <class Resource>
  awaitable<Answer> finish(const ScimConfig& client, Resource now, std::optional<Resource> before, unsigned status) {
    now.changed_wall_ns = clock.wall_ns();
    if (!before) now.created_wall_ns = now.changed_wall_ns;
    auto saved = co_await save(client, now, std::move(before));
    if (!saved) co_return scim_error_of(saved.error());
    if constexpr (std::is_same_v<Resource, ScimUser>) co_return scim_answer(user_json(now, own_origin), status);
    else co_return scim_answer(group_json(now, own_origin), status);
  }

  awaitable<Answer> create_user(Call call) {
    co_return co_await change(std::move(call), [this](const ScimConfig& client, json::Value body) -> awaitable<Answer> {
      ScimUser user;
      user.id = hex(random_id());
      if (auto read = read_user(body, user); !read) co_return scim_error_of(read.error());
      co_return co_await finish<ScimUser>(client, std::move(user), std::nullopt, 201);
    });
  }
  awaitable<Answer> create_group(Call call) {
    co_return co_await change(std::move(call), [this](const ScimConfig& client, json::Value body) -> awaitable<Answer> {
      ScimGroup group;
      group.id = hex(random_id());
      if (auto read = read_group(body, group); !read) co_return scim_error_of(read.error());
      co_return co_await finish<ScimGroup>(client, std::move(group), std::nullopt, 201);
    });
  }

  /// GET, PUT, PATCH and DELETE of one resource.
  awaitable<Answer> one_user(Call call) {
    const auto id = call.param("id"), method = call.request.method;
    const auto work = [this, id, method](const ScimConfig& client, json::Value body) -> awaitable<Answer> {
      auto found = co_await store.run([name = client.name, id](state::Database& db) { return load_user(db, name, id); });
      if (!found) co_return scim_error_of(found.error());
      if (!*found) co_return scim_error(404, "there is no user " + id.substr(0, 64));
      const auto before = **found;
      if (method == "GET" || method == "HEAD") co_return scim_answer(user_json(before, own_origin));
      auto now = before;
      if (method == "DELETE") {
        now.active = false;
        if (auto left = co_await apply(client, now, {}); !left) co_return scim_error_of(left.error());
        auto gone = co_await store.run([name = client.name, id](state::Database& db) { return delete_user(db, name, id); });
        co_return gone ? scim_answer("", 204) : scim_error_of(gone.error());
      }
      if (auto read = method == "PUT" ? read_user(body, now) : patch_user(body, now); !read) co_return scim_error_of(read.error());
      co_return co_await finish<ScimUser>(client, std::move(now), before, 200);
    };
    co_return co_await change(std::move(call), work);
  }
  awaitable<Answer> one_group(Call call) {
    const auto id = call.param("id"), method = call.request.method;
    const auto work = [this, id, method](const ScimConfig& client, json::Value body) -> awaitable<Answer> {
      auto found = co_await store.run([name = client.name, id](state::Database& db) { return load_group(db, name, id); });
      if (!found) co_return scim_error_of(found.error());
      if (!*found) co_return scim_error(404, "there is no group " + id.substr(0, 64));
      const auto before = **found;
      if (method == "GET" || method == "HEAD") co_return scim_answer(group_json(before, own_origin));
      auto now = before;
      if (method == "DELETE") {
        now.members.clear();
        if (auto saved = co_await save(client, now, before); !saved) co_return scim_error_of(saved.error());
        auto gone = co_await store.run([name = client.name, id](state::Database& db) { return delete_group(db, name, id); });
        co_return gone ? scim_answer("", 204) : scim_error_of(gone.error());
      }
      if (auto read = method == "PUT" ? read_group(body, now) : patch_group(body, now); !read) co_return scim_error_of(read.error());
      co_return co_await finish<ScimGroup>(client, std::move(now), before, 200);
    };
    co_return co_await change(std::move(call), work);
  }

  awaitable<Answer> about(Call call) {
    if (!client_of(call)) co_return co_await refused(call);
    co_return scim_answer(R"({"schemas":["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],"patch":{"supported":true},"bulk":{"supported":false,"maxOperations":0,"maxPayloadSize":0},)"
                          R"("filter":{"supported":true,"maxResults":200},"changePassword":{"supported":false},"sort":{"supported":false},"etag":{"supported":false},)"
                          R"("authenticationSchemes":[{"type":"oauthbearertoken","name":"Bearer token","description":"The token of identity.scim","primary":true}]})");
  }
  awaitable<Answer> types(Call call) {
    if (!client_of(call)) co_return co_await refused(call);
    const auto type = [](const char* name, const char* folder) {
      return fmt::format(R"({{"schemas":["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],"id":"{0}","name":"{0}","endpoint":"/{1}","schema":"urn:ietf:params:scim:schemas:core:2.0:{0}"}})", name, folder);
    };
    co_return scim_answer(fmt::format(R"({{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":2,"startIndex":1,"itemsPerPage":2,"Resources":[{},{}]}})",
                                      type("User", "Users"), type("Group", "Groups")));
  }
};

Scim::Scim(identity::Authenticator& authenticator, identity::Directory& directory, state::Store& store, std::string own_origin,
           std::shared_ptr<const identity::IdentityConfig> config, const Clock& clock)
    : state_(new State{authenticator, directory, store, std::move(own_origin), std::move(config), clock}) {}
Scim::~Scim() = default;

void Scim::reconfigure(std::shared_ptr<const identity::IdentityConfig> config) { state_->config = std::move(config); }

admin::Routes Scim::routes() {
  auto* s = state_.get();
  admin::Routes out;
  const auto add = [&](const char* method, const char* pattern, const char* summary, unsigned status, std::function<awaitable<Answer>(Call)> does) {
    const bool takes = std::string_view(method).starts_with("P");
    out.push_back({.method = method, .pattern = std::string("/scim/v2/") + pattern, .summary = summary, .takes = takes ? "application/scim+json" : "", .gives = "application/scim+json",
                   .status = status, .any_query = true, .body_bytes = kBody, .handler = admin::Handler(std::move(does))});
  };
  add("GET", "ServiceProviderConfig", "What of SCIM is spoken here (RFC 7643 §5).", 200, [s](Call call) { return s->about(std::move(call)); });
  add("GET", "ResourceTypes", "Users and groups.", 200, [s](Call call) { return s->types(std::move(call)); });
  add("GET", "Users", "Provisioned users, by filter.", 200, [s](Call call) { return s->list(std::move(call), true); });
  add("POST", "Users", "A user is provisioned.", 201, [s](Call call) { return s->create_user(std::move(call)); });
  add("GET", "Groups", "Provisioned groups, by filter.", 200, [s](Call call) { return s->list(std::move(call), false); });
  add("POST", "Groups", "A group is provisioned.", 201, [s](Call call) { return s->create_group(std::move(call)); });
  for (const auto* method : {"GET", "PUT", "PATCH", "DELETE"}) {
    const unsigned status = std::string_view(method) == "DELETE" ? 204 : 200;
    add(method, "Users/{id}", "A provisioned user; who is deleted or not active is out within seconds.", status, [s](Call call) { return s->one_user(std::move(call)); });
    add(method, "Groups/{id}", "A provisioned group and its members.", status, [s](Call call) { return s->one_group(std::move(call)); });
  }
  return out;
}

}  // namespace sallyport::signin
