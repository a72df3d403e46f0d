#include "cli/config_show.h"

#include <fmt/format.h>

#include "base/json.h"

namespace sallyport::cli {
namespace {

/// JSON members as they come; what is empty is left out.
class Object {
 public:
  Object& raw(std::string_view key, const std::string& value) {
    text_ += fmt::format("{}{}:{}", text_.empty() ? "" : ",", json::quote(key), value);
    return *this;
  }
  Object& text(std::string_view key, std::string_view value) { return value.empty() ? *this : raw(key, json::quote(value)); }
  Object& number(std::string_view key, std::int64_t value) { return raw(key, std::to_string(value)); }
  Object& duration(std::string_view key, std::int64_t ns) {
    return text(key, ns % 1'000'000'000 == 0 ? fmt::format("{}s", ns / 1'000'000'000) : fmt::format("{}ms", ns / 1'000'000));
  }
  Object& size(std::string_view key, std::uint64_t bytes) { return text(key, fmt::format("{}KiB", bytes >> 10)); }
  Object& list(std::string_view key, const std::vector<std::string>& values) {
    std::string out;
    for (const auto& value : values) out += (out.empty() ? "" : ",") + json::quote(value);
    return raw(key, "[" + out + "]");
  }
  Object& secret(std::string_view key, const SecretRef& ref) {
    return ref.set() ? raw(key, Object().text(ref.from == SecretRef::From::Env ? "env" : "file", ref.name).str()) : *this;
  }
  std::string str() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

std::string gateway(const GatewayConfig& config) {
  Object out;
  out.text("name", config.name).text("public_url", config.public_url).text("admin_url", config.admin_url);
  out.raw("listen", Object().text("mcp", config.listen_mcp).text("admin", config.listen_admin).text("postgres", config.listen_postgres).str());
  if (!config.listen_postgres.empty()) out.raw("postgres", Object().text("login", config.postgres_login).text("client_ca", config.postgres_client_ca).str());
  if (!config.mcp_client_ca.empty()) out.raw("mcp", Object().text("client_ca", config.mcp_client_ca).str());
  if (!config.tls) out.text("tls", "off");
  else if (config.certificate.set()) out.raw("tls", Object().secret("certificate", config.certificate).secret("key", config.key).str());
  out.text("state", config.state_directory).number("workers", config.workers).duration("drain", config.drain_ns);
  return out.list("hosts", config.hosts).list("origins", config.origins).str();
}

std::string saml(const identity::SamlConfig& one) {
  Object out, idp;
  out.text("name", one.name).text("metadata", one.metadata);
  idp.text("entity_id", one.idp_entity_id).text("sso_url", one.sso_url).text("slo_url", one.slo_url).list("certificates", one.certificates);
  if (one.metadata.empty()) out.raw("idp", idp.str());
  std::string keys;
  for (const auto& pair : one.keys) keys += (keys.empty() ? "" : ",") + Object().secret("certificate", pair.certificate).secret("key", pair.key).str();
  if (!keys.empty()) out.raw("keys", "[" + keys + "]");
  out.text("entity_id", one.entity_id).raw("sign_requests", one.sign_requests ? "true" : "false").text("signed", one.signed_response ? "response" : "assertion");
  out.raw("idp_initiated", one.idp_initiated ? "true" : "false").raw("allow_cbc", one.cbc ? "true" : "false");
  out.text("subject_attribute", one.subject_attribute).text("email_attribute", one.email_attribute).text("name_attribute", one.name_attribute);
  return out.text("groups_attribute", one.groups_attribute).duration("leeway", one.leeway_ns).str();
}

std::string identity(const identity::IdentityConfig& config) {
  std::string issuers;
  for (const auto& one : config.oidc) {
    Object out;
    out.text("issuer", one.issuer).text("audience", one.audience).text("subject_claim", one.subject_claim).text("groups_claim", one.groups_claim);
    if (!one.client_id.empty()) out.text("name", one.name).raw("client", Object().text("id", one.client_id).secret("secret", one.client_secret).list("scopes", one.scopes).str());
    issuers += (issuers.empty() ? "" : ",") + out.list("algorithms", one.algorithms).duration("leeway", one.leeway_ns).text("ca", one.ca_file).str();
  }
  Object users;
  for (const auto& [name, user] : config.users) {
    users.raw(name, Object().list("groups", user.groups).secret("password_hash", user.password_hash).secret("totp", user.totp).secret("break_glass_hash", user.break_glass_hash).text("keys", user.keys_file).raw("service", user.service ? "true" : "false").str());
  }
  Object out;
  if (!issuers.empty()) out.raw("oidc", "[" + issuers + "]");
  std::string scim;
  for (const auto& one : config.scim)
    scim += (scim.empty() ? "" : ",") + Object().text("name", one.name).secret("token", one.token).text("issuer", one.issuer).text("subject", one.subject).str();
  if (!scim.empty()) out.raw("scim", "[" + scim + "]");
  std::string platforms;
  for (const auto& one : config.federation) {
    std::string rules;
    for (const auto& rule : one.rules) {
      Object claims;
      for (const auto& [name, value] : rule.claims) claims.text(name, value);
      rules += (rules.empty() ? "" : ",") + Object().text("subject", rule.subject).raw("claims", claims.str()).text("service", rule.service).str();
    }
    platforms += (platforms.empty() ? "" : ",") + Object().text("issuer", one.oidc.issuer).text("audience", one.oidc.audience).list("algorithms", one.oidc.algorithms).raw("services", "[" + rules + "]").str();
  }
  if (!platforms.empty()) out.raw("federation", "[" + platforms + "]");
  Object sign_in, nested, agents;
  sign_in.duration("lifetime", config.sign_in_ns).duration("recheck", config.recheck_ns);
  if (config.unconfirmed_ns != 0) sign_in.duration("unconfirmed", config.unconfirmed_ns);
  out.raw("sign_in", sign_in.str());
  for (const auto& [outer, inner] : config.nested_groups) nested.list(outer, inner);
  if (!config.nested_groups.empty()) out.raw("nested_groups", nested.str());
  for (const auto& [name, agent] : config.agents) agents.raw(name, Object().list("groups", agent.groups).list("people", agent.people).str());
  if (!config.agents.empty()) out.raw("agents", agents.str());
  if (config.oauth.on) {
    Object oauth, clients;
    for (const auto& one : config.oauth.clients) clients.raw(one.name, Object().text("id", one.id).list("redirect_uris", one.redirect_uris).secret("secret", one.secret).str());
    oauth.raw("clients", clients.str()).list("document_hosts", config.oauth.document_hosts).list("private_hosts", config.oauth.private_hosts).text("ca", config.oauth.ca_file);
    oauth.raw("registration", config.oauth.registration ? "true" : "false").number("registrations", config.oauth.registrations);
    out.raw("oauth", oauth.duration("lifetime", config.oauth.lifetime_ns == 0 ? config.sign_in_ns : config.oauth.lifetime_ns).str());
  }
  std::string providers;
  for (const auto& one : config.saml) providers += (providers.empty() ? "" : ",") + saml(one);
  if (!providers.empty()) out.raw("saml", "[" + providers + "]");
  std::string people;
  for (const auto& accounts : config.same_person) {
    std::string list;
    for (const auto& person : accounts) {
      const auto end = person.find('\n');
      list += (list.empty() ? "" : ",") + json::quote(person.substr(0, end) + "|" + person.substr(end + 1));
    }
    people += fmt::format("{}[{}]", people.empty() ? "" : ",", list);
  }
  if (!people.empty()) out.raw("same_person", "[" + people + "]");
  return out.raw("local", Object().duration("token_lifetime", config.token_lifetime_ns).raw("users", users.str()).str()).str();
}

std::string roles(const admin::RoleGroups& config) {
  Object out;
  if (config.engineer) out.list("engineer", *config.engineer);
  if (config.approver) out.list("approver", *config.approver);
  return out.list("policy_admin", config.policy_admin).list("auditor", config.auditor).list("payload_reader", config.payload_reader).str();
}

std::string postgres(const target::PostgresTarget& kind) {
  Object out, credential;
  out.text("host", kind.host).number("port", kind.port).text("database", kind.database).list("databases", kind.databases).text("user", kind.user);
  credential.secret("password", kind.password).secret("certificate", kind.certificate).secret("key", kind.key);
  if (kind.password.set() || kind.certificate.set()) out.raw("credential", credential.str());
  out.text("tls", kind.tls ? "verify-full" : "off").text("ca", kind.ca_file).duration("connect", kind.connect_ns);
  out.size("max_statement", kind.max_statement).size("max_masked_row", kind.max_masked_row);
  return out.text("commit", kind.overlapped ? "overlapped" : "strict").list("functions", kind.functions).str();
}

std::string upstream_client(const identity::UpstreamClient& one) {
  using Client = identity::UpstreamClient;
  constexpr std::string_view kProofs[] = {"none", "client_secret_basic", "client_secret_post", "private_key_jwt"};
  Object out, client;
  client.text("id", one.id).secret("secret", one.secret).secret("key", one.key).text("key_id", one.key_id).text("auth", kProofs[static_cast<int>(one.proof)]);
  out.text("grant", one.grant == Client::Grant::ClientCredentials ? "client_credentials" : "authorization_code").text("issuer", one.issuer).text("token_endpoint", one.token_endpoint);
  out.text("authorization_endpoint", one.authorization_endpoint).text("revocation_endpoint", one.revocation_endpoint).raw("client", client.str()).list("scopes", one.scopes);
  return out.text("resource", one.resource).text("ca", one.ca_file).list("private_hosts", one.private_hosts).str();
}

std::string aws(const target::AwsCredential& one) {
  constexpr std::string_view kFrom[] = {"keys", "instance", "container", "web_identity"};
  Object out;
  out.text("service", one.service).text("region", one.region).text("from", kFrom[static_cast<int>(one.from)]).secret("access_key", one.access_key).secret("secret_key", one.secret_key);
  return out.secret("session_token", one.session_token).text("role", one.role).text("token_file", one.token_file).text("endpoint", one.endpoint).str();
}

void command(const target::McpCommand& one, Object& out) {
  using Pool = target::McpCommand::Pool;
  Object env, limits;
  for (const auto& [name, value] : one.env) env.raw(name, json::quote(value));
  for (const auto& [name, ref] : one.secrets) env.secret(name, ref);
  if (one.memory > 0) limits.size("memory", one.memory);
  if (one.cpu_seconds > 0) limits.text("cpu", fmt::format("{}s", one.cpu_seconds));
  if (one.processes > 0) limits.number("processes", static_cast<std::int64_t>(one.processes));
  limits.number("files", static_cast<std::int64_t>(one.files)).number("instances", static_cast<std::int64_t>(one.instances));
  out.list("command", one.argv).raw("env", env.str()).text("user", one.user).text("network", one.network ? "host" : "none").text("directory", one.directory);
  out.text("pool", one.pool == Pool::Session ? "session" : one.pool == Pool::Shared ? "shared" : "principal").duration("idle", one.idle_ns).raw("limits", limits.str());
}

std::string budget(const target::Budget& terms) {
  Object out;
  if (terms.calls != 0) out.raw("calls", std::to_string(terms.calls));
  if (terms.bytes != 0) out.size("bytes", terms.bytes);
  if (terms.concurrent != 0) out.raw("concurrent", std::to_string(terms.concurrent));
  return out.duration("per", terms.per_ns).str();
}

std::string shown_search(const target::ToolSearch& search) {
  return Object().number("over", static_cast<std::int64_t>(search.over)).list("always", search.always).str();
}

std::string scopes(const target::ScopeNeeds& needs) {
  Object tools;
  for (const auto& [pattern, scopes] : needs.tools) tools.list(pattern, scopes);
  return Object().list("use", needs.use).raw("tools", tools.str()).str();
}

std::string database_target(const target::Target& one, const target::DatabaseTools& tools, const target::McpTarget& kind, const target::VirtualServer* search) {
  Object mcp, labels, database;
  database.text("target", tools.target).text("name", tools.name).list("tools", tools.tools).raw("write", tools.write ? "true" : "false");
  database.number("rows", static_cast<std::int64_t>(tools.rows)).size("bytes", tools.bytes);
  mcp.raw("database", database.str()).duration("timeout", kind.timeout_ns);
  if (!kind.scopes.use.empty() || !kind.scopes.tools.empty()) mcp.raw("scopes", scopes(kind.scopes));
  if (search != nullptr) mcp.raw("search", shown_search(search->search));
  for (const auto& [name, value] : one.labels) labels.raw(name, json::quote(value));
  return Object().raw("mcp", mcp.str()).raw("budget", budget(one.budget)).raw("labels", labels.str()).str();
}

std::string target(const target::Target& one, const target::VirtualServer* search) {
  if (const auto* server = std::get_if<target::PostgresTarget>(&one.kind)) {
    Object labels;
    for (const auto& [name, value] : one.labels) labels.raw(name, json::quote(value));
    return Object().raw("postgres", postgres(*server)).raw("budget", budget(one.budget)).raw("labels", labels.str()).str();
  }
  const auto& kind = std::get<target::McpTarget>(one.kind);
  Object mcp, credential, headers, labels;
  using Transport = target::McpTarget::Transport;
  if (kind.database) return database_target(one, *kind.database, kind, search);
  if (kind.command) command(*kind.command, mcp);
  else mcp.text("url", kind.url).text("transport", kind.transport == Transport::Sse ? "sse" : kind.transport == Transport::Http ? "http" : "auto");
  for (const auto& [name, ref] : kind.headers) headers.secret(name, ref);
  credential.secret("bearer", kind.bearer);
  if (!kind.headers.empty()) credential.raw("headers", headers.str());
  if (kind.oauth) credential.raw("oauth", upstream_client(*kind.oauth));
  if (kind.aws) credential.raw("aws", aws(*kind.aws));
  credential.secret("certificate", kind.certificate).secret("key", kind.key);
  if (kind.bearer.set() || !kind.headers.empty() || kind.oauth || kind.aws || kind.certificate.set()) mcp.raw("credential", credential.str());
  if (!kind.scopes.use.empty() || !kind.scopes.tools.empty()) mcp.raw("scopes", scopes(kind.scopes));
  mcp.text("era", kind.era == target::McpTarget::Era::Legacy ? "legacy" : kind.era == target::McpTarget::Era::Modern ? "modern" : "auto");
  mcp.list("server_requests", kind.server_requests).list("extensions", kind.extensions);
  mcp.text("ca", kind.ca_file).list("methods", kind.extra_methods).duration("timeout", kind.timeout_ns).size("max_message", kind.max_message);
  if (search != nullptr) mcp.raw("search", shown_search(search->search));
  using Arguments = target::ToolTrust::Arguments;
  const auto& trust = kind.trust;
  Object shown;
  shown.raw("pinning", trust.pinning ? "true" : "false");
  if (trust.pinning) {
    shown.text("new_tools", trust.quarantine_new ? "quarantine" : "flag").text("suspicious", trust.quarantine_suspicious ? "quarantine" : "flag");
    shown.text("arguments", trust.arguments == Arguments::Check ? "check" : trust.arguments == Arguments::Strict ? "strict" : "ignore");
  }
  mcp.raw("trust", shown.str());
  for (const auto& [name, value] : one.labels) labels.raw(name, json::quote(value));
  return Object().raw("mcp", mcp.str()).raw("budget", budget(one.budget)).raw("labels", labels.str()).str();
}

std::string virtual_server(const target::VirtualServer& one) {
  Object servers, mcp;
  for (const auto& member : one.members) servers.raw(member.name, Object().text("target", member.target).raw("prefix", json::quote(member.prefix)).str());
  mcp.raw("servers", servers.str());
  if (one.search.over != 0) mcp.raw("search", shown_search(one.search));
  return Object().raw("mcp", mcp.duration("timeout", one.timeout_ns).str()).str();
}

void more(const EvidenceConfig& config, Object& out) {
  out.duration("epoch", config.epoch_ns).list("log_readers", config.log_readers).list("keepers", config.keepers).list("veil", config.veil);
  if (config.retention_ns != 0) {
    std::string classes;
    for (const auto& one : config.retention) {
      Object labels;
      for (const auto& [name, value] : one.labels) labels.raw(name, json::quote(value));
      classes += (classes.empty() ? "" : ",") + Object().raw("labels", labels.str()).duration("keep", one.keep_ns).str();
    }
    out.raw("retention", Object().duration("default", config.retention_ns).raw("classes", "[" + classes + "]").str());
  }
  if (!config.notary_socket.empty()) out.raw("notary", Object().text("socket", config.notary_socket).text("key", config.notary_key).str());
  if (!config.witnesses.empty()) {
    std::string use;
    for (const auto& one : config.witnesses) use += (use.empty() ? "" : ",") + Object().text("url", one.url).text("key", one.key).str();
    Object witnesses;
    witnesses.raw("use", "[" + use + "]").number("quorum", config.witness_quorum).duration("every", config.witness_every_ns).duration("timeout", config.witness_timeout_ns);
    if (config.unwitnessed_ns != 0) witnesses.duration("refuse_after", config.unwitnessed_ns);
    out.raw("witnesses", witnesses.str());
  }
  if (!config.timestamp_url.empty())
    out.raw("timestamps", Object().text("url", config.timestamp_url).text("ca", config.timestamp_ca).duration("every", config.timestamp_every_ns).str());
}

std::string access(const enforce::AccessRules& rules) {
  std::string out;
  for (const auto& [id, rule] : rules) {
    std::vector<std::string> who;
    for (const auto& selector : rule.who) who.push_back(enforce::text_of(selector));
    Object one, labels;
    one.text("id", id).list("who", who);
    for (const auto& [label, values] : rule.targets.labels) labels.list(label, values);
    if (rule.targets.labels.empty()) one.list("target", rule.targets.names);
    else one.raw("target", labels.str());
    std::string steps;
    for (const auto& step : rule.steps) {
      std::string needs;
      for (const auto& need : step) needs += (needs.empty() ? "" : ",") + Object().text("by", "group:" + need.group).number("n", need.count).str();
      steps += fmt::format("{}[{}]", steps.empty() ? "" : ",", needs);
    }
    if (!rule.break_glass) one.raw("steps", "[" + steps + "]");
    one.duration("longest", rule.longest_ns).duration("ahead", rule.ahead_ns).duration("valid", rule.valid_ns).raw("reason", rule.reason ? "true" : "false");
    if (const auto& glass = rule.break_glass)
      one.raw("break_glass", Object().text("review_by", "group:" + glass->review.group).number("n", glass->review.count).duration("review_within", glass->review_within_ns).str());
    out += (out.empty() ? "" : ",") + one.str();
  }
  return "[" + out + "]";
}

/// Block style with every string in double quotes: JSON's strings are YAML's.
void to_yaml(const json::Value& value, std::size_t depth, std::string& out) {
  const std::string indent(depth * 2, ' ');
  if ((!value.is_object() && !value.is_array()) || value.size() == 0) {
    out += fmt::format(" {}\n", value.raw());
    return;
  }
  out += '\n';
  for (const auto child : value) {
    out += value.is_object() ? fmt::format("{}{}:", indent, json::quote(child.key())) : indent + "-";
    to_yaml(child, depth + 1, out);
  }
}

}  // namespace

std::string show_json(const Config& config) {
  Object targets, evidence, out;
  for (const auto& [name, one] : config.targets->targets) targets.raw(name, target(one, config.targets->find_virtual(name)));
  for (const auto& [name, one] : config.targets->virtual_servers)
    if (config.targets->find(name) == nullptr) targets.raw(name, virtual_server(one));
  evidence.text("directory", config.evidence.directory).secret("signing_key", config.evidence.signing_key);
  evidence.text("high_water", fmt::format("{:.0f}%", config.evidence.high_water * 100)).size("segment", config.evidence.segment_bytes);
  more(config.evidence, evidence);
  std::string channels;
  for (const auto& one : config.notify) {
    Object channel, to;
    if (one.is_mail()) to.text("server", one.smtp_url).text("from", one.from).list("to", one.to).text("user", one.user).secret("password", one.password).text("tls", one.tls ? "on" : "off").text("ca", one.ca_file);
    else to.text("url", one.url).secret("url", one.url_secret).text("form", one.form == notify::Form::Slack ? "slack" : one.form == notify::Form::Teams ? "teams" : "generic").secret("secret", one.secret).text("ca", one.ca_file);
    channel.text("name", one.name).list("events", one.events).list("groups", one.groups).raw(one.is_mail() ? "mail" : "webhook", to.str());
    channels += (channels.empty() ? "" : ",") + channel.str();
  }
  if (!channels.empty()) out.raw("notify", "[" + channels + "]");
  out.number("version", 1).raw("gateway", gateway(config.gateway)).raw("identity", identity(config.identity));
  out.raw("evidence", evidence.str()).raw("roles", roles(config.roles)).raw("targets", targets.str());
  if (!config.access.empty()) out.raw("access", access(config.access));
  return out.str();
}

std::string show_yaml(const Config& config) {
  auto document = json::Document::parse(show_json(config));
  std::string out = fmt::format("# {}\n# policy {}", config.file, hex(config.digest));
  if (document) to_yaml(document->root(), 0, out);
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

std::vector<std::pair<std::string, const SecretRef*>> secrets_of(const Config& config) {
  std::vector<std::pair<std::string, const SecretRef*>> out;
  const auto add = [&](std::string where, const SecretRef& ref) {
    if (ref.set()) out.emplace_back(std::move(where), &ref);
  };
  add("gateway.tls.certificate", config.gateway.certificate);
  add("gateway.tls.key", config.gateway.key);
  for (const auto& [name, user] : config.identity.users) {
    add("identity.local.users." + name + ".password_hash", user.password_hash);
    add("identity.local.users." + name + ".totp", user.totp);
    add("identity.local.users." + name + ".break_glass_hash", user.break_glass_hash);
  }
  for (const auto& one : config.identity.scim) add("identity.scim." + one.name + ".token", one.token);
  for (const auto& one : config.identity.oauth.clients) add("identity.oauth.clients." + one.name + ".secret", one.secret);
  for (const auto& one : config.identity.oidc) add("identity.oidc." + one.name + ".client.secret", one.client_secret);
  for (const auto& one : config.identity.saml) {
    for (std::size_t i = 0; i < one.keys.size(); ++i) {
      add(fmt::format("identity.saml.{}.keys.{}.certificate", one.name, i), one.keys[i].certificate);
      add(fmt::format("identity.saml.{}.keys.{}.key", one.name, i), one.keys[i].key);
    }
  }
  add("evidence.signing_key", config.evidence.signing_key);
  for (const auto& one : config.notify) {
    add("notify." + one.name + ".webhook.url", one.url_secret);
    add("notify." + one.name + ".webhook.secret", one.secret);
    add("notify." + one.name + ".mail.password", one.password);
  }
  for (const auto& [name, one] : config.targets->targets) {
    if (const auto* server = std::get_if<target::PostgresTarget>(&one.kind)) {
      add("targets." + name + ".postgres.credential.password", server->password);
      add("targets." + name + ".postgres.credential.certificate", server->certificate);
      add("targets." + name + ".postgres.credential.key", server->key);
      continue;
    }
    const auto& kind = std::get<target::McpTarget>(one.kind);
    add("targets." + name + ".mcp.credential.bearer", kind.bearer);
    if (kind.oauth) {
      add("targets." + name + ".mcp.credential.oauth.client.secret", kind.oauth->secret);
      add("targets." + name + ".mcp.credential.oauth.client.key", kind.oauth->key);
    }
    if (kind.aws) {
      add("targets." + name + ".mcp.credential.aws.access_key", kind.aws->access_key);
      add("targets." + name + ".mcp.credential.aws.secret_key", kind.aws->secret_key);
      add("targets." + name + ".mcp.credential.aws.session_token", kind.aws->session_token);
    }
    add("targets." + name + ".mcp.credential.certificate", kind.certificate);
    add("targets." + name + ".mcp.credential.key", kind.key);
    for (const auto& [header, ref] : kind.headers) add("targets." + name + ".mcp.credential.headers." + header, ref);
    if (kind.command)
      for (const auto& [variable, ref] : kind.command->secrets) add("targets." + name + ".mcp.env." + variable, ref);
  }
  return out;
}

}  // namespace sallyport::cli
