#pragma once
// What the sections of the configuration are read with: secrets by reference, paths beside the file, addresses, names.
// Each reports what is wrong at its place and leaves the default. Lives while one file is loaded; any thread.
#include <set>
#include <string>

#include "base/yaml.h"
#include "cli/config.h"

namespace sallyport::cli {

class ConfigReader {
 public:
  ConfigReader(yaml::Diagnostics& diagnostics, std::string folder) : diagnostics_(diagnostics), folder_(std::move(folder)) {}

  void gateway(const yaml::Node& node, GatewayConfig& out);
  void identity(const yaml::Node& node, identity::IdentityConfig& out);
  void evidence(const yaml::Node& node, EvidenceConfig& out);
  void roles(const yaml::Node& node, admin::RoleGroups& out);
  void targets(const yaml::Node& node, target::Catalog& out);
  void notify(const yaml::Node& node, std::vector<notify::Channel>& out);
  std::string beside(const std::string& path) const;  // absolute

 private:
  void webhook(const yaml::Node& node, notify::Channel& out);
  void mail(const yaml::Node& node, notify::Channel& out);
  void listen(const yaml::Node& node, GatewayConfig& out);
  void tls(const yaml::Node& node, GatewayConfig& out);
  void public_url(const yaml::Node& node, GatewayConfig& out);
  void admin_url(const yaml::Node& node, GatewayConfig& out);
  void oidc_client(const yaml::Node& node, yaml::Mapping& fields, identity::OidcConfig& out);
  void sign_in(const yaml::Node& node, identity::IdentityConfig& out);
  void scim(const yaml::Node& node, identity::IdentityConfig& out);
  void federation(const yaml::Node& node, identity::IdentityConfig& out);
  void agents(const yaml::Node& node, identity::IdentityConfig& out);
  void groups(yaml::Mapping& fields, std::string_view key, std::vector<std::string>& out);
  void browsers(yaml::Mapping& fields, GatewayConfig& out);
  void issuer(yaml::Mapping& fields, identity::OidcConfig& out);
  void oidc(const yaml::Node& node, identity::IdentityConfig& out);
  void saml(const yaml::Node& node, identity::IdentityConfig& out);
  void saml_idp(const yaml::Node& node, identity::SamlConfig& out);
  void saml_keys(const yaml::Node& node, identity::SamlConfig& out);
  void local(const yaml::Node& node, identity::IdentityConfig& out);
  void same_person(const yaml::Node& node, identity::IdentityConfig& out);
  void user(const yaml::Node& node, identity::LocalUser& out);
  void mcp(const yaml::Node& node, target::McpTarget& out);
  /// Of `mcp: { servers: … }`; what depends on other targets is checked in members() when all are read.
  void virtual_server(const yaml::Node& target, const yaml::Node& node, target::VirtualServer& out);
  void search(const yaml::Node& node, target::ToolSearch& out);
  void members(const yaml::Node& targets, const target::Catalog& catalog);
  void trust(const yaml::Node& node, target::ToolTrust& out);
  void database_tools(const yaml::Node& node, yaml::Mapping& fields, const yaml::Node& mcp, target::McpTarget& out);
  void databases(const yaml::Node& targets, const target::Catalog& catalog);
  void postgres(const yaml::Node& node, target::PostgresTarget& out);
  void mcp_credential(const yaml::Node& node, target::McpTarget& out);
  void mcp_scopes(const yaml::Node& node, target::ScopeNeeds& out);
  void upstream_client(const yaml::Node& node, target::McpTarget& target);
  void aws(const yaml::Node& node, target::McpTarget& target);
  void endpoint(yaml::Mapping& fields, const char* key, std::string& out);
  void headers(const yaml::Node& node, target::McpTarget& out);
  void oauth(const yaml::Node& node, identity::IdentityConfig& out);
  void command(yaml::Mapping& fields, const yaml::Node& node, target::McpTarget& out);
  void environment(const yaml::Node& node, target::McpCommand& out);
  void limits(const yaml::Node& node, target::McpCommand& out);
  void retention(const yaml::Node& node, EvidenceConfig& out);
  void notary(const yaml::Node& node, EvidenceConfig& out);
  void witnesses(const yaml::Node& node, EvidenceConfig& out);
  void timestamps(const yaml::Node& node, EvidenceConfig& out);

  /// { env: NAME } or { file: PATH }; a literal is refused and never shown.
  void secret(yaml::Mapping& fields, std::string_view key, SecretRef& out);
  void secret(const yaml::Node& node, std::string_view key, SecretRef& out);
  /// No scalar below that may be a secret written out is ever shown in an error.
  void conceal(const yaml::Node& node);
  void path(yaml::Mapping& fields, std::string_view key, std::string& out);
  /// True for a usable http or https URL; `out` is set then.
  bool url(const yaml::Node& node, std::string_view key, std::string& out, bool& https, bool& loopback);
  void size(yaml::Mapping& fields, std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max);
  bool name(std::string_view what, std::string_view text, yaml::Place at, std::string_view further, std::size_t most);
  void error(yaml::Place at, std::string message) { diagnostics_.error(at, std::move(message)); }

  yaml::Diagnostics& diagnostics_;
  std::string folder_;
};

/// Commands that share the gateway's user.
std::vector<std::string> command_warnings(const Config& config);

bool is_loopback_host(const std::string& host);

/// "127.0.0.1:8443" or "[::1]:8443". False when it is neither.
bool parse_listen(const std::string& text, bool& loopback);

}  // namespace sallyport::cli
