// The sections of the configuration, in file order: gateway, identity, targets; evidence is in config_evidence.cpp.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/config_reader.h"

namespace sallyport::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::string lower(std::string text) {
  for (auto& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return text;
}

}  // namespace

void ConfigReader::gateway(const yaml::Node& node, GatewayConfig& out) {
  if (const auto* tls = node.find("tls"); tls && tls->kind == yaml::Node::Kind::Mapping) conceal(*tls);
  yaml::Mapping fields(node, diagnostics_, "gateway");
  if (!fields.valid()) return;
  fields.string("name", out.name, true);
  if (const auto* name_node = fields.get("name"); name_node && name_node->kind == yaml::Node::Kind::Scalar)
    name("gateway.name", out.name, name_node->place, ".-_", 64);
  // The rules for the URL and the addresses depend on tls, which may stand after them.
  if (const auto* found = fields.get("tls")) tls(*found, out);
  if (const auto* found = fields.require("public_url")) public_url(*found, out);
  if (const auto* found = fields.get("listen")) listen(*found, out);
  if (const auto* found = fields.get("postgres")) {
    yaml::Mapping login(*found, diagnostics_, "postgres");
    login.one_of("login", out.postgres_login, {"auto", "scram", "password", "oauth"});
    path(login, "client_ca", out.postgres_client_ca);
  }
  path(fields, "state", out.state_directory);
  fields.integer("workers", out.workers, 0, 256);
  fields.duration("drain", out.drain_ns, 0, 3600 * kSecond);
  browsers(fields, out);
}

void ConfigReader::tls(const yaml::Node& node, GatewayConfig& out) {
  if (node.kind == yaml::Node::Kind::Scalar && (node.scalar == "off" || (node.scalar == "false" && !node.quoted))) {
    out.tls = false;
    return;
  }
  if (node.kind != yaml::Node::Kind::Mapping) {
    return error(node.place, "tls is off, or a mapping { certificate: { file: cert.pem }, key: { file: key.pem } }; without it a "
                             "self-made certificate is used");
  }
  yaml::Mapping fields(node, diagnostics_, "tls");
  secret(fields, "certificate", out.certificate);
  secret(fields, "key", out.key);
  if (fields.has("certificate") != fields.has("key")) error(node.place, "tls has certificate and key, or neither");
}

void ConfigReader::public_url(const yaml::Node& node, GatewayConfig& out) {
  bool https = false, loopback = false;
  if (!url(node, "public_url", out.public_url, https, loopback)) return;
  if (out.tls && !https) error(node.place, "public_url begins with https:// (http:// only with tls: off, on loopback addresses)");
  if (!out.tls && !https && !loopback) error(node.place, "public_url without https is for loopback addresses only");
  const auto after = out.public_url.find_first_of("/?#", out.public_url.find("://") + 3);
  if (after != std::string::npos && out.public_url.substr(after) != "/")
    error(node.place, "public_url has no path: clients append /mcp/TARGET to it");
  if (out.public_url.ends_with('/')) out.public_url.pop_back();
}

void ConfigReader::listen(const yaml::Node& node, GatewayConfig& out) {
  yaml::Mapping fields(node, diagnostics_, "listen");
  if (!fields.valid()) return;
  const auto read = [&](const char* key, std::string& address) {
    fields.string(key, address);
    const auto* found = fields.get(key);
    if (!found || found->kind != yaml::Node::Kind::Scalar) return;
    bool loopback = false;
    if (!parse_listen(address, loopback)) {
      error(found->place, fmt::format("listen.{} is an IP address and a port: 127.0.0.1:8443 or [::1]:8443", key));
    } else if (!out.tls && !loopback) {
      error(found->place, fmt::format("tls is off, and {} is not a loopback address: tokens and data would cross the network in clear", address));
    }
  };
  read("mcp", out.listen_mcp);
  read("admin", out.listen_admin);
  read("postgres", out.listen_postgres);
  const auto same = [&](const char* a, const std::string& at, const char* b, const std::string& other) {
    if (at == other && !at.empty() && !at.ends_with(":0")) error(node.place, fmt::format("listen.{} and listen.{} are both {}; they are two listeners", a, b, at));
  };
  same("mcp", out.listen_mcp, "admin", out.listen_admin);
  same("mcp", out.listen_mcp, "postgres", out.listen_postgres);
  same("admin", out.listen_admin, "postgres", out.listen_postgres);
}

void ConfigReader::browsers(yaml::Mapping& fields, GatewayConfig& out) {
  fields.strings("hosts", out.hosts);
  fields.strings("origins", out.origins);
  const auto each = [&](const char* key, auto&& check) {
    const auto* found = fields.get(key);
    if (!found) return;
    for (const auto& item : found->items)
      if (item.kind == yaml::Node::Kind::Scalar) check(item);
  };
  each("hosts", [&](const yaml::Node& item) {
    const bool plain = !item.scalar.empty() && std::ranges::all_of(item.scalar, [](char c) { return c > 0x20 && c < 0x7f && c != '/' && c != '@' && c != '*'; });
    if (!plain) error(item.place, "a host is a name and, if need be, a port: gw.example:8443");
  });
  each("origins", [&](const yaml::Node& item) {
    std::string text;
    bool https = false, loopback = false;
    if (!url(item, "origins", text, https, loopback)) return;
    if (text.find('/', text.find("://") + 3) != std::string::npos) error(item.place, "an origin has no path: https://app.example");
  });
}

void ConfigReader::identity(const yaml::Node& node, identity::IdentityConfig& out) {
  yaml::Mapping fields(node, diagnostics_, "identity");
  if (!fields.valid()) return;
  if (const auto* found = fields.get("oidc")) {
    if (found->kind != yaml::Node::Kind::Sequence) error(found->place, "oidc is a list of issuers: [ { issuer: …, audience: … } ]");
    for (const auto& item : found->items) oidc(item, out);
  }
  if (const auto* found = fields.get("local")) local(*found, out);
  if (const auto* found = fields.get("same_person")) same_person(*found, out);
  const auto* users = node.find("local") ? node.find("local")->find("users") : nullptr;
  const bool some = (node.find("oidc") && !node.find("oidc")->items.empty()) || (users && !users->members.empty());
  if (!some) error(node.place, "identity has nobody who could come: it needs an oidc issuer or local users");
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

void ConfigReader::oidc(const yaml::Node& node, identity::IdentityConfig& out) {
  identity::OidcConfig one;
  yaml::Mapping fields(node, diagnostics_, "oidc");
  if (!fields.valid()) return;
  bool https = false, loopback = false;
  if (const auto* found = fields.require("issuer"); found && url(*found, "issuer", one.issuer, https, loopback)) {
    if (!https && !loopback) error(found->place, "issuer begins with https:// (http:// on loopback only): its keys decide who is let in");
    for (const auto& other : out.oidc)
      if (other.issuer == one.issuer) error(found->place, fmt::format("the issuer {} stands here a second time", one.issuer));
  }
  fields.string("audience", one.audience, true);
  if (const auto* found = fields.get("audience"); found && found->kind == yaml::Node::Kind::Scalar && one.audience.empty())
    error(found->place, "audience is empty; it is what the issuer puts into aud for this gateway");
  fields.string("subject_claim", one.subject_claim);
  fields.string("groups_claim", one.groups_claim);
  fields.strings("algorithms", one.algorithms);
  static const std::vector<std::string> kAlgorithms = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"};
  if (const auto* found = fields.get("algorithms"); found && found->kind == yaml::Node::Kind::Sequence) {
    if (found->items.empty()) error(found->place, "algorithms is empty: no token could be accepted");
    for (const auto& item : found->items) {
      if (std::ranges::find(kAlgorithms, item.scalar) != kAlgorithms.end()) continue;
      const bool unsafe = item.scalar.starts_with("HS") || lower(item.scalar) == "none";
      error(item.place, fmt::format("{} {}; there are {}", item.scalar, unsafe ? "is never accepted: it proves nothing about the issuer" : "is no known algorithm",
                                    fmt::join(kAlgorithms, ", ")));
    }
  }
  fields.duration("leeway", one.leeway_ns, 0, 120 * kSecond);
  path(fields, "ca", one.ca_file);
  out.oidc.push_back(std::move(one));
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
  // A user without a hash cannot sign in; tokens are issued to service users by an operator alone.
  if (const auto* found = fields.get("password_hash")) secret(*found, "password_hash", out.password_hash);
}

void ConfigReader::targets(const yaml::Node& node, target::Catalog& out) {
  if (node.kind != yaml::Node::Kind::Mapping) return error(node.place, "targets is a mapping: { NAME: { mcp: { url: … }, labels: { … } } }");
  if (node.members.empty()) error(node.place, "targets is empty: there is nothing to reach");
  for (const auto& member : node.members) {
    name("a target's name", member.key, member.key_place, ".-_", 64);
    auto& one = out.targets[member.key];
    one.name = member.key;
    yaml::Mapping fields(member.value, diagnostics_, "target");
    if (!fields.valid()) continue;
    const auto* found_mcp = fields.get("mcp");
    const auto* found_postgres = fields.get("postgres");
    if ((found_mcp == nullptr) == (found_postgres == nullptr)) error(member.key_place, "a target is one of mcp and postgres");
    if (found_postgres != nullptr) {
      target::PostgresTarget kind;
      postgres(*found_postgres, kind);
      one.kind = std::move(kind);
    } else if (found_mcp != nullptr) {
      target::McpTarget kind;
      mcp(*found_mcp, kind);
      one.kind = std::move(kind);
    }
    fields.string_map("labels", one.labels);
    if (const auto* found = fields.get("labels"))
      for (const auto& label : found->members) name("a label's name", label.key, label.key_place, ".-_/", 64);
  }
}

void ConfigReader::mcp(const yaml::Node& node, target::McpTarget& out) {
  conceal(node);
  yaml::Mapping fields(node, diagnostics_, "mcp");
  if (!fields.valid()) return;
  bool https = false, loopback = false;
  if (const auto* found = fields.require("url")) url(*found, "url", out.url, https, loopback);
  if (const auto* found = fields.get("credential")) {
    yaml::Mapping credential(*found, diagnostics_, "credential");
    secret(credential, "bearer", out.bearer);
    if (const auto* more = credential.get("headers")) headers(*more, out);
  }
  path(fields, "ca", out.ca_file);
  fields.strings("methods", out.extra_methods);
  fields.duration("timeout", out.timeout_ns, kSecond, 3600 * kSecond);
  std::uint64_t most = out.max_message;
  size(fields, "max_message", most, 1u << 10, 64u << 20);
  out.max_message = most;
}

void ConfigReader::postgres(const yaml::Node& node, target::PostgresTarget& out) {
  conceal(node);
  yaml::Mapping fields(node, diagnostics_, "postgres");
  if (!fields.valid()) return;
  fields.string("host", out.host, true);
  std::int64_t port = out.port;
  fields.integer("port", port, 1, 65535);
  out.port = static_cast<std::uint16_t>(port);
  fields.string("database", out.database, true);
  fields.strings("databases", out.databases);
  fields.string("user", out.user, true);
  if (const auto* found = fields.get("credential")) {
    yaml::Mapping credential(*found, diagnostics_, "credential");
    secret(credential, "password", out.password);
    secret(credential, "certificate", out.certificate);
    secret(credential, "key", out.key);
    if (out.certificate.set() != out.key.set()) error(found->place, "certificate and key stand together");
  }
  std::string tls = "verify-full";
  fields.one_of("tls", tls, {"verify-full", "off"});
  out.tls = tls != "off";
  const bool local = out.is_unix() || is_loopback_host(out.host);
  if (!out.tls && !local) error(node.place, fmt::format("tls is off, and {} is neither a loopback address nor a Unix socket: passwords and data would cross the network in clear", out.host));
  path(fields, "ca", out.ca_file);
  fields.duration("connect", out.connect_ns, kSecond / 10, 300 * kSecond);
  std::uint64_t statement = out.max_statement, row = out.max_masked_row;
  size(fields, "max_statement", statement, 1u << 10, 16u << 20);
  size(fields, "max_masked_row", row, 64u << 10, 1u << 30);
  out.max_statement = statement;
  out.max_masked_row = row;
  std::string commit = "strict";
  fields.one_of("commit", commit, {"strict", "overlapped"});
  out.overlapped = commit == "overlapped";
  fields.strings("functions", out.functions);
}

void ConfigReader::headers(const yaml::Node& node, target::McpTarget& out) {
  if (node.kind != yaml::Node::Kind::Mapping) return error(node.place, "headers is a mapping: { X-Api-Key: { env: NAME } }");
  static const std::set<std::string, std::less<>> kOurs = {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept",
                                                           "te", "upgrade", "trailer", "mcp-session-id", "mcp-protocol-version", "last-event-id"};
  std::set<std::string> seen;
  for (const auto& [header, place, value] : node.members) {
    const auto small = lower(header);
    name("a header's name", header, place, "-_", 64);
    if (kOurs.contains(small)) error(place, fmt::format("the header {} belongs to the protocol and is set by the gateway", header));
    if (small == "authorization" && out.bearer.set()) error(place, "Authorization stands here beside bearer; one of them");
    if (!seen.insert(small).second) error(place, fmt::format("the header {} stands here a second time; case does not count", header));
    secret(value, header, out.headers[header]);
  }
}

}  // namespace sallyport::cli
