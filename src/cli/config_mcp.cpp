// targets.*.mcp: where an MCP server is, whom the gateway is to it, and which scopes a client's token needs.
#include <fmt/format.h>

#include "cli/config_reader.h"

#include "base/text.h"
#include "identity/scope.h"

namespace sallyport::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace

void ConfigReader::mcp(const yaml::Node& node, target::McpTarget& out) {
  conceal(node);
  yaml::Mapping fields(node, diagnostics_, "mcp");
  if (!fields.valid()) return;
  const auto* at = fields.get("url");
  bool https = false, loopback = false;
  if (const auto* tools = fields.get("database")) return database_tools(*tools, fields, node, out);
  if (fields.get("command") != nullptr) command(fields, node, out);
  else if (at == nullptr) error(node.place, "an mcp target has a url, a command that the gateway starts, or a database that is another target");
  else url(*at, "url", out.url, https, loopback);
  if (!out.command)
    for (const auto* key : {"env", "user", "network", "directory", "pool", "idle", "limits"})
      if (fields.get(key) != nullptr) error(fields.get(key)->place, fmt::format("{} is for a command; this server has a url", key));
  std::string transport = "auto";
  fields.one_of("transport", transport, {"auto", "http", "sse"});
  using Transport = target::McpTarget::Transport;
  out.transport = transport == "sse" ? Transport::Sse : transport == "http" ? Transport::Http : Transport::Auto;
  if (const auto* found = fields.get("credential")) mcp_credential(*found, out);
  if (out.certificate.set() && !https) error(node.place, "a client certificate needs an https url");
  if (const auto* found = fields.get("scopes")) mcp_scopes(*found, out.scopes);
  path(fields, "ca", out.ca_file);
  std::string era = "auto";
  fields.one_of("era", era, {"auto", "legacy", "modern"});
  out.era = era == "legacy" ? target::McpTarget::Era::Legacy : era == "modern" ? target::McpTarget::Era::Modern : target::McpTarget::Era::Auto;
  fields.strings("server_requests", out.server_requests);
  for (const auto& one : out.server_requests)
    if (one != "sampling" && one != "elicitation" && one != "roots")
      error(fields.get("server_requests")->place, fmt::format("server_requests are of sampling, elicitation and roots, not \"{}\"", one));
  fields.strings("extensions", out.extensions);
  fields.strings("methods", out.extra_methods);
  fields.get("search");  // read by targets()
  fields.duration("timeout", out.timeout_ns, kSecond, 3600 * kSecond);
  if (const auto* found = fields.get("trust")) trust(*found, out.trust);
  std::uint64_t most = out.max_message;
  size(fields, "max_message", most, 1u << 10, 64u << 20);
  out.max_message = most;
}

/// Its definitions are the gateway's own, and it asks nobody anything: nothing of a server's settings is left but how long it may take.
void ConfigReader::database_tools(const yaml::Node& node, yaml::Mapping& fields, const yaml::Node& mcp, target::McpTarget& out) {
  target::DatabaseTools tools;
  yaml::Mapping own(node, diagnostics_, "database");
  if (!own.valid()) return;
  own.string("target", tools.target, true);
  own.string("name", tools.name);
  own.strings("tools", tools.tools);
  if (const auto* found = own.get("tools")) {
    std::set<std::string> seen;
    if (tools.tools.empty()) error(found->place, "tools is empty: there are query, explain and describe");
    for (const auto& item : found->items) {
      if (item.scalar != "query" && item.scalar != "explain" && item.scalar != "describe") error(item.place, fmt::format("there is no tool {}; there are query, explain and describe", item.scalar));
      if (!seen.insert(item.scalar).second) error(item.place, fmt::format("{} stands here twice", item.scalar));
    }
  }
  own.boolean("write", tools.write);
  std::int64_t rows = static_cast<std::int64_t>(tools.rows);
  own.integer("rows", rows, 1, 100'000);
  tools.rows = static_cast<std::size_t>(rows);
  std::uint64_t bytes = tools.bytes;
  size(own, "bytes", bytes, 1u << 10, 4u << 20);  // of control characters, twice in the answer, JSON makes thirteen times as many
  tools.bytes = bytes;
  for (const auto& member : mcp.members)
    if (member.key != "database" && member.key != "timeout" && member.key != "search" && member.key != "scopes") error(member.key_place, fmt::format("{} is for an MCP server; this target is a database of the gateway", member.key));
  for (const auto& member : mcp.members) fields.get(member.key);
  fields.duration("timeout", out.timeout_ns, kSecond, 3600 * kSecond);
  if (const auto* found = fields.get("scopes")) mcp_scopes(*found, out.scopes);
  out.era = target::McpTarget::Era::Modern;
  out.trust.pinning = false;
  out.max_message = 64u << 20;
  out.database = std::move(tools);
}

void ConfigReader::trust(const yaml::Node& node, target::ToolTrust& out) {
  yaml::Mapping fields(node, diagnostics_, "trust");
  if (!fields.valid()) return;
  using Arguments = target::ToolTrust::Arguments;
  std::string new_tools = "flag", suspicious = "quarantine", arguments = "check";
  fields.boolean("pinning", out.pinning);
  fields.one_of("new_tools", new_tools, {"flag", "quarantine"});
  fields.one_of("suspicious", suspicious, {"flag", "quarantine"});
  fields.one_of("arguments", arguments, {"check", "strict", "ignore"});
  out.quarantine_new = new_tools == "quarantine";
  out.quarantine_suspicious = suspicious == "quarantine";
  out.arguments = arguments == "check" ? Arguments::Check : arguments == "strict" ? Arguments::Strict : Arguments::Off;
  for (const auto* key : {"new_tools", "suspicious", "arguments"})
    if (const auto* found = fields.get(key); found != nullptr && !out.pinning) error(found->place, fmt::format("{} means nothing with pinning: false", key));
}

void ConfigReader::mcp_credential(const yaml::Node& node, target::McpTarget& out) {
  yaml::Mapping fields(node, diagnostics_, "credential");
  if (!fields.valid()) return;
  secret(fields, "bearer", out.bearer);
  if (const auto* found = fields.get("headers")) headers(*found, out);
  if (const auto* found = fields.get("oauth")) upstream_client(*found, out);
  if (const auto* found = fields.get("aws")) aws(*found, out);
  secret(fields, "certificate", out.certificate);
  secret(fields, "key", out.key);
  if (out.certificate.set() != out.key.set()) error(node.place, "certificate and key stand together");
  const auto has_authorization = std::ranges::any_of(out.headers, [](const auto& one) { return ascii_lower(one.first) == "authorization"; });
  const int ways = (out.bearer.set() || has_authorization ? 1 : 0) + (out.oauth ? 1 : 0) + (out.aws ? 1 : 0);
  if (ways > 1) error(node.place, "bearer, an Authorization header, oauth and aws are four ways to say who calls; one of them");
}

void ConfigReader::headers(const yaml::Node& node, target::McpTarget& out) {
  if (node.kind != yaml::Node::Kind::Mapping) return error(node.place, "headers is a mapping: { X-Api-Key: { env: NAME } }");
  static const std::set<std::string, std::less<>> kOurs = {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept",
                                                           "te", "upgrade", "trailer", "mcp-session-id", "mcp-protocol-version", "last-event-id"};
  std::set<std::string> seen;
  for (const auto& [header, place, value] : node.members) {
    const auto small = ascii_lower(header);
    name("a header's name", header, place, "-_", 64);
    if (kOurs.contains(small)) error(place, fmt::format("the header {} belongs to the protocol and is set by the gateway", header));
    if (small == "authorization" && out.bearer.set()) error(place, "Authorization stands here beside bearer; one of them");
    if (!seen.insert(small).second) error(place, fmt::format("the header {} stands here a second time; case does not count", header));
    secret(value, header, out.headers[header]);
  }
}

/// An address that secrets are sent to, or people.
void ConfigReader::endpoint(yaml::Mapping& fields, const char* key, std::string& out) {
  const auto* found = fields.get(key);
  bool https = false, loopback = false;
  if (found && url(*found, key, out, https, loopback) && !https && !loopback) error(found->place, fmt::format("{} begins with https:// (http:// on loopback only)", key));
}

void ConfigReader::upstream_client(const yaml::Node& node, target::McpTarget& target) {
  using Client = identity::UpstreamClient;
  Client out;
  yaml::Mapping fields(node, diagnostics_, "oauth");
  if (!fields.valid()) return;
  std::string grant = "client_credentials", auth;
  fields.one_of("grant", grant, {"client_credentials", "authorization_code"});
  out.grant = grant == "client_credentials" ? Client::Grant::ClientCredentials : Client::Grant::AuthorizationCode;
  endpoint(fields, "issuer", out.issuer);
  endpoint(fields, "token_endpoint", out.token_endpoint);
  endpoint(fields, "authorization_endpoint", out.authorization_endpoint);
  endpoint(fields, "revocation_endpoint", out.revocation_endpoint);
  if (!out.issuer.empty() && !out.token_endpoint.empty()) error(node.place, "issuer is asked for its endpoints, or they stand here; one of them");
  if (out.token_endpoint.empty() && !(out.authorization_endpoint.empty() && out.revocation_endpoint.empty())) error(node.place, "endpoints begin with token_endpoint");
  if (!out.token_endpoint.empty() && out.grant == Client::Grant::AuthorizationCode && out.authorization_endpoint.empty()) error(node.place, "authorization_code needs an authorization_endpoint as well");
  if (const auto* found = fields.require("client")) {
    yaml::Mapping client(*found, diagnostics_, "client");
    client.string("id", out.id, true);
    secret(client, "secret", out.secret);
    secret(client, "key", out.key);
    client.string("key_id", out.key_id);
    auth = out.key.set() ? "private_key_jwt" : out.secret.set() ? "client_secret_basic" : "none";
    client.one_of("auth", auth, {"client_secret_basic", "client_secret_post", "private_key_jwt", "none"});
    out.proof = auth == "private_key_jwt" ? Client::Proof::PrivateKey : auth == "none" ? Client::Proof::None : auth == "client_secret_post" ? Client::Proof::Post : Client::Proof::Basic;
    if (out.key.set() != (out.proof == Client::Proof::PrivateKey) || out.secret.set() != (out.proof == Client::Proof::Basic || out.proof == Client::Proof::Post))
      error(found->place, "auth, secret and key do not fit: a secret for client_secret_basic and client_secret_post, a key for private_key_jwt");
    if (out.proof == Client::Proof::None && out.grant == Client::Grant::ClientCredentials) error(found->place, "client_credentials needs a secret or a key: without one anybody is this client");
  }
  fields.strings("scopes", out.scopes);
  if (const auto* found = fields.get("scopes"))
    for (const auto& item : found->items)
      if (!identity::is_scope(item.scalar)) error(item.place, "a scope has no spaces, quotes and backslashes");
  out.resource = out.target_url = target.url;
  fields.string("resource", out.resource);
  path(fields, "ca", out.ca_file);
  fields.strings("private_hosts", out.private_hosts);
  target.oauth = std::make_shared<const Client>(std::move(out));
}

void ConfigReader::aws(const yaml::Node& node, target::McpTarget& target) {
  using From = target::AwsCredential::From;
  target::AwsCredential out;
  yaml::Mapping fields(node, diagnostics_, "aws");
  if (!fields.valid()) return;
  fields.string("service", out.service, true);
  fields.string("region", out.region, true);
  secret(fields, "access_key", out.access_key);
  secret(fields, "secret_key", out.secret_key);
  secret(fields, "session_token", out.session_token);
  std::string from = out.access_key.set() || out.secret_key.set() ? "keys" : "instance";
  fields.one_of("from", from, {"keys", "instance", "container", "web_identity"});
  out.from = from == "keys" ? From::Keys : from == "instance" ? From::Instance : from == "container" ? From::Container : From::WebIdentity;
  if ((out.from == From::Keys) != out.access_key.set() || out.access_key.set() != out.secret_key.set() || (out.session_token.set() && !out.access_key.set()))
    error(node.place, "access_key and secret_key stand together, and only with from: keys");
  fields.string("role", out.role);
  path(fields, "token_file", out.token_file);
  if ((out.from == From::WebIdentity) != !out.role.empty() || out.role.empty() != out.token_file.empty()) error(node.place, "role and token_file stand together, with from: web_identity");
  if (const auto* found = fields.get("endpoint")) {
    bool https = false, loopback = false;
    url(*found, "endpoint", out.endpoint, https, loopback);
    if (out.from == From::Keys || out.from == From::Container) error(found->place, "endpoint is for instance and web_identity");
    if (out.from == From::WebIdentity && !https && !loopback) error(found->place, "endpoint begins with https:// (http:// on loopback only): keys come from there");
  }
  target.aws = std::move(out);
}

void ConfigReader::mcp_scopes(const yaml::Node& node, target::ScopeNeeds& out) {
  yaml::Mapping fields(node, diagnostics_, "scopes");
  if (!fields.valid()) return;
  const auto check = [&](const yaml::Node& list) {
    for (const auto& item : list.items)
      if (!identity::is_scope(item.scalar)) error(item.place, "a scope has no spaces, quotes and backslashes");
  };
  fields.strings("use", out.use);
  if (const auto* found = fields.get("use")) check(*found);
  const auto* tools = fields.get("tools");
  if (!tools) return;
  if (tools->kind != yaml::Node::Kind::Mapping) return error(tools->place, "tools is a mapping: { \"write_*\": [tickets.write] }");
  yaml::Mapping each(*tools, diagnostics_, "tools");
  for (const auto& member : tools->members) {
    if (member.key.find('*') < member.key.size() - 1) error(member.key_place, "a tool's name is exact, or has one * at its end");
    each.strings(member.key, out.tools.emplace_back(member.key, std::vector<std::string>()).second);
    check(member.value);
  }
}

}  // namespace sallyport::cli
