#pragma once
// What can be reached: the `targets:` section of the configuration. Immutable after load and shared by all workers;
// a reload swaps the whole catalog.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/secret.h"
#include "identity/upstream_client.h"

namespace sallyport::target {

/// AWS Signature Version 4 (docs/mcp-authorization.md): a key of the configuration, or the role of where the gateway runs.
struct AwsCredential {
  enum class From : std::uint8_t { Keys, Instance, Container, WebIdentity } from = From::Keys;
  std::string service, region;
  SecretRef access_key, secret_key, session_token;  // Keys
  std::string role, token_file;                     // WebIdentity: its ARN, and a file with the platform's token
  std::string endpoint;                             // where to ask, when not at the usual place (Instance, WebIdentity)
};

/// OAuth scopes that a client's token must have (RFC 6750 §3.1); tokens that did not come by OAuth have all.
struct ScopeNeeds {
  std::vector<std::string> use;                                            // for anything here
  std::vector<std::pair<std::string, std::vector<std::string>>> tools;     // by name, or with a * at the end
};

/// An MCP server that the gateway starts itself and speaks to on its stdin and stdout.
struct McpCommand {
  std::vector<std::string> argv;               // no shell; argv[0] with a '/' is a path, else it is looked for in PATH
  std::map<std::string, std::string> env;      // all that it gets, beside PATH
  std::map<std::string, SecretRef> secrets;    // further variables
  std::string user;                            // "" is the gateway's own, which may not be root then
  bool network = false;                        // the host's; else none but a loopback of its own
  std::string directory = "/";
  enum class Pool { Session, Principal, Shared } pool = Pool::Principal;
  std::int64_t idle_ns = 300LL * 1'000'000'000;  // a process without a conversation ends after this
  std::uint64_t memory = 2ull << 30;           // bytes it may write to (RLIMIT_DATA); 0 is no limit, as below
  std::uint64_t cpu_seconds = 0, files = 1024, processes = 0;
  std::size_t instances = 256;                 // at a time, on one worker
  bool operator==(const McpCommand&) const = default;
};

/// How far what a target says of its tools is trusted (docs/protocols/mcp.md, "Trust in tools").
struct ToolTrust {
  bool pinning = true;               // off: descriptions and changes of them pass unseen
  bool quarantine_new = false;       // tools that come after the first catalogue wait for a review
  bool quarantine_suspicious = true; // and those whose text no honest description has, at once
  enum class Arguments : std::uint8_t { Off, Check, Strict } arguments = Arguments::Check;  // strict: a schema that cannot be judged whole lets nothing pass
  bool operator==(const ToolTrust&) const = default;
};

/// A database target offered as MCP tools; what they do runs as the same person's session at that target, under its rules.
struct DatabaseTools {
  std::string target, name;                    // and which database of it; "" is the one it names first
  std::vector<std::string> tools = {"query", "explain", "describe"};
  bool write = false;                          // off: the server is told that the transaction is read-only
  std::size_t rows = 1000, bytes = 1u << 20;   // of one answer
  bool operator==(const DatabaseTools&) const = default;
};

struct McpTarget {
  std::string url;              // http(s)://host[:port]/path
  std::optional<McpCommand> command;  // or a process instead
  std::optional<DatabaseTools> database;  // or another target of the gateway
  enum class Transport { Auto, Http, Sse } transport = Transport::Auto;  // of the URL
  std::shared_ptr<const identity::UpstreamClient> oauth;  // a token of the target's authorization server; null = none
  std::optional<AwsCredential> aws;
  SecretRef certificate, key;   // client certificate for TLS, beside any of the others
  ScopeNeeds scopes;
  SecretRef bearer;             // sent upstream as Authorization: Bearer; the client's own token never is
  std::map<std::string, SecretRef> headers;  // further credential headers
  std::string ca_file;          // extra trust anchor for https; "" = the system's
  enum class Era { Auto, Legacy, Modern } era = Era::Auto;  // `initialize` and sessions, or the revision 2026-07-28; Auto asks it
  std::vector<std::string> server_requests;  // of "sampling", "elicitation", "roots": what it may ask of clients, where policy allows it too
  std::vector<std::string> extensions;     // extensions (modern era) that both sides may be told of
  std::vector<std::string> extra_methods;  // methods this version does not know, to be judged and forwarded all the same
  std::int64_t timeout_ns = 120LL * 1'000'000'000;  // silence on an answer
  std::size_t max_message = 16u << 20;              // bytes of one JSON-RPC message
  ToolTrust trust;
};

/// A PostgreSQL server: one database of it, or several by name.
struct PostgresTarget {
  std::string host;             // name, address, or a directory with its Unix socket
  std::uint16_t port = 5432;
  std::string database;         // what a client gets that names none
  std::vector<std::string> databases;  // others it may name
  std::string user;
  SecretRef password;           // for SCRAM-SHA-256(-PLUS), md5 or password
  SecretRef certificate, key;   // or a client certificate
  bool tls = true;              // verify-full; off on loopback and Unix sockets only
  std::string ca_file;          // trust anchors; "" = the system's
  std::int64_t connect_ns = 10LL * 1'000'000'000;
  std::size_t max_statement = 4u << 20;   // bytes of one text that is judged; at most 16 MiB
  std::size_t max_masked_row = 64u << 20; // bytes of one row that masking may have to hold
  bool overlapped = false;      // a read proven free of effects may run while its entry becomes durable; its answer waits
  std::vector<std::string> functions;     // own functions that change nothing and show nothing but their arguments
  bool is_unix() const { return !host.empty() && host.front() == '/'; }
};

/// What each person may use of a target; 0 is no limit.
struct Budget {
  std::uint64_t calls = 0, bytes = 0;             // commands, and bytes of their answers, in a stretch of `per_ns`
  std::uint64_t concurrent = 0;                   // commands that run at a time
  std::int64_t per_ns = 60LL * 1'000'000'000;
};

struct Target {
  std::string name;
  std::map<std::string, std::string> labels;
  std::variant<McpTarget, PostgresTarget> kind;
  Budget budget{};
};

/// One of the MCP targets behind a virtual server; what they name, its names begin with `prefix`.
struct VirtualMember {
  std::string name, target, prefix;
  bool operator==(const VirtualMember&) const = default;
};

/// When more tools than `over` are visible, they are found by asking for them; 0 lists them all.
struct ToolSearch {
  std::size_t over = 0;
  std::vector<std::string> always;  // listed all the same
  bool operator==(const ToolSearch&) const = default;
};

/// Several MCP targets behind one name, or one whose tools are found by search. No target by itself: policy, credentials and
/// evidence are its members'.
struct VirtualServer {
  std::vector<VirtualMember> members;  // in the order of the file, which is the order of lists
  ToolSearch search;
  std::int64_t timeout_ns = 10LL * 1'000'000'000;  // that a list waits for one member
  bool operator==(const VirtualServer&) const = default;
};

struct Catalog {
  std::map<std::string, Target> targets;
  std::map<std::string, VirtualServer> virtual_servers;  // a name is in both when it is a target with search
  const VirtualServer* find_virtual(const std::string& name) const {
    const auto at = virtual_servers.find(name);
    return at == virtual_servers.end() ? nullptr : &at->second;
  }
  const Target* find(const std::string& name) const {
    const auto at = targets.find(name);
    return at == targets.end() ? nullptr : &at->second;
  }
};
using CatalogPtr = std::shared_ptr<const Catalog>;

}  // namespace sallyport::target
