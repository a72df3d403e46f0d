// The sections of the configuration: gateway and targets; identity, evidence and notify have files of their own.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/config_reader.h"

#include "base/text.h"

namespace sallyport::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

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
  if (const auto* found = fields.get("admin_url")) admin_url(*found, out);
  if (const auto* found = fields.get("listen")) listen(*found, out);
  if (const auto* found = fields.get("postgres")) {
    yaml::Mapping login(*found, diagnostics_, "postgres");
    login.one_of("login", out.postgres_login, {"auto", "scram", "password", "oauth"});
    path(login, "client_ca", out.postgres_client_ca);
  }
  if (const auto* found = fields.get("mcp")) {
    yaml::Mapping door(*found, diagnostics_, "mcp");
    path(door, "client_ca", out.mcp_client_ca);
    if (!out.mcp_client_ca.empty() && !out.tls) error(found->place, "client_ca needs tls");
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

void ConfigReader::admin_url(const yaml::Node& node, GatewayConfig& out) {
  bool https = false, loopback = false;
  if (!url(node, "admin_url", out.admin_url, https, loopback)) return;
  if (!https && !loopback) error(node.place, "admin_url begins with https:// (http:// on loopback only): people sign in there");
  if (out.admin_url.find_first_of("/?#", out.admin_url.find("://") + 3) != std::string::npos) error(node.place, "admin_url has no path: https://gw.example:9443");
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

void ConfigReader::targets(const yaml::Node& node, target::Catalog& out) {
  if (node.kind != yaml::Node::Kind::Mapping) return error(node.place, "targets is a mapping: { NAME: { mcp: { url: … }, labels: { … } } }");
  if (node.members.empty()) error(node.place, "targets is empty: there is nothing to reach");
  for (const auto& member : node.members) {
    name("a target's name", member.key, member.key_place, ".-_", 64);
    if (const auto* mcp = member.value.find("mcp"); mcp != nullptr && mcp->find("servers") != nullptr) {
      virtual_server(member.value, *mcp, out.virtual_servers[member.key]);
      continue;
    }
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
      if (const auto* found = found_mcp->find("search")) {
        auto& alone = out.virtual_servers[member.key];
        alone.members.push_back({member.key, member.key, ""});
        search(*found, alone.search);
      }
    }
    if (const auto* found = fields.get("budget")) {
      yaml::Mapping budget(*found, diagnostics_, "budget");
      std::int64_t calls = 0, concurrent = 0;
      if (budget.get("calls") != nullptr) budget.integer("calls", calls, 1, 1'000'000'000);
      if (budget.get("concurrent") != nullptr) budget.integer("concurrent", concurrent, 1, 100'000);
      if (budget.get("bytes") != nullptr) size(budget, "bytes", one.budget.bytes, 1u << 10, 1ull << 50);
      budget.duration("per", one.budget.per_ns, kSecond, 30 * 86400 * kSecond);
      one.budget.calls = static_cast<std::uint64_t>(calls);
      one.budget.concurrent = static_cast<std::uint64_t>(concurrent);
    }
    fields.string_map("labels", one.labels);
    if (const auto* found = fields.get("labels"))
      for (const auto& label : found->members) name("a label's name", label.key, label.key_place, ".-_/", 64);
  }
  members(node, out);
  databases(node, out);
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

}  // namespace sallyport::cli
