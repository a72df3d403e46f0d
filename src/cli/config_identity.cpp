// identity: who may come: OpenID Connect, SAML (config_saml.cpp), local users, provisioning, platforms.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/config_reader.h"

#include "base/text.h"

namespace sallyport::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace

void ConfigReader::identity(const yaml::Node& node, identity::IdentityConfig& out) {
  yaml::Mapping fields(node, diagnostics_, "identity");
  if (!fields.valid()) return;
  if (const auto* found = fields.get("oidc")) {
    if (found->kind != yaml::Node::Kind::Sequence) error(found->place, "oidc is a list of issuers: [ { issuer: …, audience: … } ]");
    for (const auto& item : found->items) oidc(item, out);
  }
  if (const auto* found = fields.get("saml")) {
    if (found->kind != yaml::Node::Kind::Sequence) error(found->place, "saml is a list of providers: [ { name: …, metadata: … } ]");
    for (const auto& item : found->items) saml(item, out);
  }
  if (const auto* found = fields.get("local")) local(*found, out);
  if (const auto* found = fields.get("same_person")) same_person(*found, out);
  if (const auto* found = fields.get("sign_in")) sign_in(*found, out);
  if (const auto* found = fields.get("agents")) agents(*found, out);
  if (const auto* found = fields.get("oauth")) oauth(*found, out);
  if (const auto* found = fields.get("federation")) {
    if (found->kind != yaml::Node::Kind::Sequence) error(found->place, "federation is a list of platforms: [ { issuer: …, audience: …, services: […] } ]");
    for (const auto& item : found->items) federation(item, out);
  }
  if (const auto* found = fields.get("scim")) {
    if (found->kind != yaml::Node::Kind::Sequence) error(found->place, "scim is a list of provisioning clients: [ { name: …, token: …, provider: … } ]");
    for (const auto& item : found->items) scim(item, out);
  }
  if (const auto* found = fields.get("nested_groups")) {
    if (found->kind != yaml::Node::Kind::Mapping) error(found->place, "nested_groups is a mapping: { OUTER: [INNER, …] }: members of INNER are members of OUTER");
    yaml::Mapping nested(*found, diagnostics_, "nested_groups");
    for (const auto& member : found->members) {
      name("a group's name", member.key, member.key_place, ".-_/@", 128);
      groups(nested, member.key, out.nested_groups[member.key]);
    }
  }
  for (const auto& platform : out.federation)
    for (const auto& rule : platform.rules)
      if (const auto user = out.users.find(rule.service); user == out.users.end() || !user->second.service)
        error(node.place, fmt::format("federation names {}, which is no local user with service: true", rule.service));
  const auto* users = node.find("local") ? node.find("local")->find("users") : nullptr;
  const auto listed = [&](const char* key) { return node.find(key) && !node.find(key)->items.empty(); };
  const bool some = listed("oidc") || listed("saml") || (users && !users->members.empty());
  if (!some) error(node.place, "identity has nobody who could come: it needs an oidc issuer, a saml provider or local users");
}

/// Names of groups as rules write them.
void ConfigReader::groups(yaml::Mapping& fields, std::string_view key, std::vector<std::string>& out) {
  fields.strings(key, out);
  if (const auto* found = fields.get(key))
    for (const auto& item : found->items)
      if (item.kind == yaml::Node::Kind::Scalar) name("a group's name", item.scalar, item.place, ".-_/@", 128);
}

void ConfigReader::sign_in(const yaml::Node& node, identity::IdentityConfig& out) {
  yaml::Mapping fields(node, diagnostics_, "sign_in");
  if (!fields.valid()) return;
  fields.duration("lifetime", out.sign_in_ns, 60 * kSecond, 24 * 3600 * kSecond);
  fields.duration("recheck", out.recheck_ns, kSecond, 24 * 3600 * kSecond);
  fields.duration("unconfirmed", out.unconfirmed_ns, kSecond, 24 * 3600 * kSecond);
}

void ConfigReader::scim(const yaml::Node& node, identity::IdentityConfig& out) {
  conceal(node);
  identity::ScimConfig one;
  yaml::Mapping fields(node, diagnostics_, "scim");
  if (!fields.valid()) return;
  fields.string("name", one.name, true);
  name("a provisioning client's name", one.name, node.place, "-_", 32);
  if (fields.require("token")) secret(fields, "token", one.token);
  fields.one_of("subject", one.subject, {"externalId", "userName", "id"});
  std::string provider;
  fields.string("provider", provider);
  fields.string("issuer", one.issuer);   // of a SAML provider, whose entity ID may stand in its metadata alone
  if (provider.empty() == one.issuer.empty()) return error(node.place, "a provisioning client has provider (a name under identity.oidc) or issuer (a SAML entity ID)");
  for (const auto& oidc : out.oidc)
    if (!provider.empty() && oidc.name == provider) one.issuer = oidc.issuer;
  if (one.issuer.empty()) error(node.place, fmt::format("there is no provider with the name {} under identity.oidc", provider));
  for (const auto& other : out.scim)
    if (other.name == one.name) error(node.place, fmt::format("the name {} stands here a second time", one.name));
  out.scim.push_back(std::move(one));
}

void ConfigReader::agents(const yaml::Node& node, identity::IdentityConfig& out) {
  if (node.kind != yaml::Node::Kind::Mapping) return error(node.place, "agents is a mapping: { NAME: { groups: […], people: […] } }");
  for (const auto& member : node.members) {
    // An address is the name of a program with a client id metadata document.
    if (!member.key.starts_with("https://")) name("an agent's name", member.key, member.key_place, "._-", 64);
    yaml::Mapping fields(member.value, diagnostics_, "agent");
    if (!fields.valid()) continue;
    auto& one = out.agents[member.key];
    groups(fields, "groups", one.groups);
    groups(fields, "people", one.people);
  }
}

/// What sign-in with this provider needs.
void ConfigReader::oidc_client(const yaml::Node& node, yaml::Mapping& fields, identity::OidcConfig& out) {
  fields.string("name", out.name);
  if (const auto* found = fields.get("name"); found && found->kind == yaml::Node::Kind::Scalar) name("a provider's name", out.name, found->place, "-_", 32);
  fields.string("email_claim", out.email_claim);
  fields.string("name_claim", out.name_claim);
  const auto* client = fields.get("client");
  if (!client) return;
  if (out.name.empty()) error(node.place, "a provider with a client needs a name: it stands in its callback, ADMIN_URL/auth/callback/NAME");
  conceal(*client);
  yaml::Mapping inner(*client, diagnostics_, "client");
  if (!inner.valid()) return;
  inner.string("id", out.client_id, true);
  if (inner.get("secret")) secret(inner, "secret", out.client_secret);
  inner.strings("scopes", out.scopes);
  if (std::ranges::find(out.scopes, "openid") == out.scopes.end()) error(client->place, "scopes must hold openid: without it the provider says nothing about who signed in");
}

void ConfigReader::same_person(const yaml::Node& node, identity::IdentityConfig& out) {
  constexpr std::string_view kForm = "same_person is a list of people, each a list of accounts: [[\"local|alice\", \"https://id.example|alice@example\"]]";
  if (node.kind != yaml::Node::Kind::Sequence) return error(node.place, std::string(kForm));
  std::set<std::string> seen;
  for (const auto& item : node.items) {
    if (item.kind != yaml::Node::Kind::Sequence || item.items.size() < 2) {
      error(item.place, std::string(kForm));
      continue;
    }
    auto& accounts = out.same_person.emplace_back();
    for (const auto& account : item.items) {
      const auto& text = account.scalar;
      const auto bar = text.rfind('|');
      if (account.kind != yaml::Node::Kind::Scalar || bar == std::string::npos || bar == 0 || bar + 1 == text.size()) {
        error(account.place, "an account is \"ISSUER|SUBJECT\"; the issuer of local users is local");
        continue;
      }
      if (!seen.insert(text).second) error(account.place, fmt::format("{} stands here a second time; one list has all accounts of a person", text));
      accounts.push_back(text.substr(0, bar) + "\n" + text.substr(bar + 1));
    }
  }
}

/// What an issuer of tokens is believed by; the same for people's providers and for platforms.
void ConfigReader::issuer(yaml::Mapping& fields, identity::OidcConfig& out) {
  bool https = false, loopback = false;
  if (const auto* found = fields.require("issuer"); found && url(*found, "issuer", out.issuer, https, loopback)) {
    if (!https && !loopback) error(found->place, "issuer begins with https:// (http:// on loopback only): its keys decide who is let in");
  }
  fields.string("audience", out.audience, true);
  if (const auto* found = fields.get("audience"); found && found->kind == yaml::Node::Kind::Scalar && out.audience.empty())
    error(found->place, "audience is empty; it is what the issuer puts into aud for this gateway");
  fields.strings("algorithms", out.algorithms);
  static const std::vector<std::string> kAlgorithms = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"};
  if (const auto* found = fields.get("algorithms"); found && found->kind == yaml::Node::Kind::Sequence) {
    if (found->items.empty()) error(found->place, "algorithms is empty: no token could be accepted");
    for (const auto& item : found->items) {
      if (std::ranges::find(kAlgorithms, item.scalar) != kAlgorithms.end()) continue;
      const bool unsafe = item.scalar.starts_with("HS") || ascii_lower(item.scalar) == "none";
      error(item.place, fmt::format("{} {}; there are {}", item.scalar, unsafe ? "is never accepted: it proves nothing about the issuer" : "is no known algorithm",
                                    fmt::join(kAlgorithms, ", ")));
    }
  }
  fields.duration("leeway", out.leeway_ns, 0, 120 * kSecond);
  path(fields, "ca", out.ca_file);
}

void ConfigReader::oidc(const yaml::Node& node, identity::IdentityConfig& out) {
  identity::OidcConfig one;
  yaml::Mapping fields(node, diagnostics_, "oidc");
  if (!fields.valid()) return;
  issuer(fields, one);
  for (const auto& other : out.oidc)
    if (!one.issuer.empty() && other.issuer == one.issuer) error(node.place, fmt::format("the issuer {} stands here a second time", one.issuer));
  fields.string("subject_claim", one.subject_claim);
  fields.string("groups_claim", one.groups_claim);
  oidc_client(node, fields, one);
  for (const auto& other : out.oidc)
    if (!one.name.empty() && other.name == one.name) error(node.place, fmt::format("the provider name {} stands here a second time", one.name));
  out.oidc.push_back(std::move(one));
}

void ConfigReader::federation(const yaml::Node& node, identity::IdentityConfig& out) {
  identity::FederationConfig one;
  yaml::Mapping fields(node, diagnostics_, "federation");
  if (!fields.valid()) return;
  issuer(fields, one.oidc);
  for (const auto& other : out.oidc)
    if (other.issuer == one.oidc.issuer) error(node.place, fmt::format("{} is an issuer of people's tokens already; a platform needs an issuer of its own", one.oidc.issuer));
  const auto* services = fields.require("services");
  if (services != nullptr && services->kind != yaml::Node::Kind::Sequence) error(services->place, "services is a list: [ { subject: …, service: … } ]");
  if (services != nullptr) {
    for (const auto& item : services->items) {
      identity::FederationRule rule;
      yaml::Mapping inner(item, diagnostics_, "service");
      if (!inner.valid()) continue;
      inner.string("subject", rule.subject, true);
      if (rule.subject == "*" || rule.subject.find('*') < rule.subject.size() - 1) error(item.place, "a subject is exact, or has one * at its end behind something");
      inner.string_map("claims", rule.claims);
      inner.string("service", rule.service, true);
      one.rules.push_back(std::move(rule));
    }
  }
  out.federation.push_back(std::move(one));
}

void ConfigReader::local(const yaml::Node& node, identity::IdentityConfig& out) {
  yaml::Mapping fields(node, diagnostics_, "local");
  if (!fields.valid()) return;
  fields.duration("token_lifetime", out.token_lifetime_ns, 60 * kSecond, 24 * 3600 * kSecond);
  const auto* users = fields.get("users");
  if (!users) return;
  if (users->kind != yaml::Node::Kind::Mapping) return error(users->place, "users is a mapping: { NAME: { groups: […], password_hash: { file: … } } }");
  for (const auto& member : users->members) {
    name("a user's name", member.key, member.key_place, ".-_@", 128);
    auto& one = out.users[member.key];
    one.name = member.key;
    user(member.value, one);
  }
}

void ConfigReader::user(const yaml::Node& node, identity::LocalUser& out) {
  conceal(node);
  yaml::Mapping fields(node, diagnostics_, "user");
  if (!fields.valid()) return;
  fields.strings("groups", out.groups);
  if (const auto* found = fields.get("groups"))
    for (const auto& item : found->items)
      if (item.kind == yaml::Node::Kind::Scalar) name("a group's name", item.scalar, item.place, ".-_/@", 128);
  fields.boolean("service", out.service);
  path(fields, "keys", out.keys_file);
  if (!out.keys_file.empty() && !out.service) error(node.place, "keys are for a service: service: true");
  if (const auto* found = fields.get("totp")) secret(*found, "totp", out.totp);
  if (const auto* found = fields.get("break_glass_hash")) secret(*found, "break_glass_hash", out.break_glass_hash);
  // A user without a hash cannot sign in; tokens are issued to service users by an operator alone.
  if (const auto* found = fields.get("password_hash")) secret(*found, "password_hash", out.password_hash);
}

}  // namespace sallyport::cli
