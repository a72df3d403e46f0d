#pragma once
// The MCP door as an OAuth 2.0 protected resource: its metadata (RFC 9728), what a refusal says of where tokens come from (RFC 6750 §3), and
// which scopes an operation needs. Addresses come from the configuration alone, never from Host or a forwarding header. Every name of a target
// gets the same answers, whether there is such a target or not. Immutable but for reconfigure(); the worker's thread.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "identity/principal.h"
#include "protocol/mcp/message.h"
#include "target/catalog.h"

namespace sallyport::protocol::mcp {

struct ResourceServerOptions {
  std::string public_url;                          // "https://gw.example:8443"
  std::vector<std::string> authorization_servers;  // whose tokens are taken; empty = tokens come without OAuth
  std::vector<std::string> scopes;                 // all that any target knows, sorted: the same for every name
};

class ResourceServer {
 public:
  explicit ResourceServer(ResourceServerOptions options) : options_(std::move(options)) {}
  void reconfigure(ResourceServerOptions options) { options_ = std::move(options); }

  static bool is_metadata(std::string_view request_target);
  /// The document at this path; nullopt when there is none.
  std::optional<std::string> metadata(std::string_view request_target) const;
  /// Whether the query holds a token: never taken from there (RFC 6750 §2.3, MCP).
  static bool has_token_in_query(std::string_view request_target);

  /// What tokens for this target are bound to (RFC 8707).
  std::string resource_of(std::string_view target) const;
  /// WWW-Authenticate of 401. `presented`: a token came and is not good; without one no error is named (RFC 6750 §3.1).
  std::string challenge(std::string_view target, bool presented) const;
  /// WWW-Authenticate of 403: every scope that the operation needs.
  std::string step_up(std::string_view target, const std::vector<std::string>& scopes) const;

 private:
  std::string metadata_url(std::string_view target) const;
  ResourceServerOptions options_;
};

/// What every OAuth token for this door has.
constexpr std::string_view kDoorScope = "mcp";

/// All scopes that the message needs, when `who` lacks one of them; else none.
std::vector<std::string> missing_scopes(const identity::Principal& who, const target::ScopeNeeds& needs, const Message& message);

/// All that a catalog names, with the door's own, sorted.
std::vector<std::string> known_scopes(const target::Catalog& catalog);

}  // namespace sallyport::protocol::mcp
