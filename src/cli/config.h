#pragma once
// The configuration file (docs/configuration.md), read whole or not at all: strict YAML, every error at its place, the
// policy type-checked and its tests run. Secrets stay references. Plain data once loaded; any thread.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "admin/roles.h"
#include "base/secret.h"
#include "enforce/access.h"
#include "enforce/policy.h"
#include "identity/config.h"
#include "notify/outbox.h"
#include "target/catalog.h"

namespace sallyport::cli {

struct GatewayConfig {
  std::string name;                          // letters, digits, '.', '-', '_': part of the evidence's origin line
  std::string admin_url;                     // what browsers use for the admin listener; "" = https://127.0.0.1:PORT when it listens on loopback
  std::string public_url;                    // what clients use; its host is an accepted Host value
  std::string listen_mcp, listen_admin;      // "host:port"; port 0 takes a free one
  std::string listen_postgres;               // "" = not listened for
  std::string postgres_login = "auto";       // auto, scram, password, oauth
  std::string mcp_client_ca;                 // the same for MCP clients
  std::string postgres_client_ca;            // certificates of clients that it signed are a login
  bool tls = true;                           // `tls: off` is accepted on loopback addresses only
  SecretRef certificate, key;                // PEM; both absent = a self-made certificate, kept in state_directory
  std::string state_directory;               // SQLite, self-made certificate; default: "state" beside the file
  std::int64_t workers = 0;                  // 0 = one a core
  std::int64_t drain_ns = 30'000'000'000;    // how long running commands may take at SIGTERM
  std::vector<std::string> hosts;            // further accepted Host values
  std::vector<std::string> origins;          // accepted Origin values of browsers
};

struct WitnessConfig {
  std::string url;                           // C2SP tlog-witness: its add-checkpoint is posted to
  std::string key;                           // verifier key, type cosignature/v1
  bool operator==(const WitnessConfig&) const = default;
};

/// A retention class: targets with all of these labels.
struct RetentionClass {
  std::map<std::string, std::string> labels;
  std::int64_t keep_ns = 0;
  bool operator==(const RetentionClass&) const = default;
};

struct EvidenceConfig {
  std::string directory;
  SecretRef signing_key;                     // absent = a key made at first start, <state_directory>/evidence.key
  double high_water = 0.90;
  std::uint64_t segment_bytes = 64u << 20;
  std::int64_t epoch_ns = 3'600'000'000'000; // life of an epoch key
  std::string notary_socket, notary_key;     // "" = a notary is started as a child
  std::vector<WitnessConfig> witnesses;
  std::int64_t witness_quorum = 0;           // cosignatures a head needs
  std::int64_t witness_every_ns = 1'000'000'000, witness_timeout_ns = 5'000'000'000;
  std::int64_t unwitnessed_ns = 0;           // new commands are refused while the last witnessed head is older; 0 = never
  std::string timestamp_url, timestamp_ca;   // RFC 3161; "" = none
  std::int64_t timestamp_every_ns = 3'600'000'000'000;
  std::vector<std::string> log_readers;      // groups that may read /log; empty = nobody
  std::vector<std::string> keepers;          // groups that may erase, hold and prune; empty = nobody
  std::vector<std::string> veil;             // fields that stand veiled in entries
  std::int64_t retention_ns = 0;             // 0 = nothing is ever pruned
  std::vector<RetentionClass> retention;     // the first that fits a target counts
  bool operator==(const EvidenceConfig&) const = default;
};

struct Config {
  std::string file;                          // absolute path
  std::string text;                          // as it was read
  Digest digest{};                           // SHA-256 of it; equals policy->digest()
  GatewayConfig gateway;
  identity::IdentityConfig identity;
  EvidenceConfig evidence;
  std::vector<notify::Channel> notify;
  admin::RoleGroups roles;                   // log_readers and keepers of `evidence` included
  target::CatalogPtr targets;
  enforce::AccessRules access;
  enforce::PolicyPtr policy;
  std::size_t rule_count = 0;
};

/// Relative paths in the file are resolved against its folder. On failure `problems` holds every error as
/// "file:line:col: message" with the line and a caret, ready to be printed.
struct LoadedConfig {
  std::optional<Config> config;
  std::string problems;
  std::vector<std::string> warnings;         // what is allowed and hardly meant
};
LoadedConfig load_config(const std::string& path);

}  // namespace sallyport::cli
