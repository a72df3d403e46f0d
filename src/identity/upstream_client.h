#pragma once
// What the gateway is to a target's authorization server: an OAuth client (RFC 6749, 8414, 8707, 9728) that gets a token for itself (client
// credentials) or for each person (authorization code with PKCE). Here: its configuration, what it sends, and how answers are read. Pure but
// for secrets that are read when they are needed; any thread. Errors: Unavailable (a secret, a key), Malformed (an answer).
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/secret.h"

namespace sallyport::identity {

struct UpstreamClient {
  enum class Grant : std::uint8_t { ClientCredentials, AuthorizationCode } grant = Grant::ClientCredentials;
  enum class Proof : std::uint8_t { None, Basic, Post, PrivateKey } proof = Proof::Basic;
  std::string issuer;              // asked for its endpoints; "" = the configured ones, or whom the target itself names
  std::string token_endpoint, authorization_endpoint, revocation_endpoint;
  std::string id;                  // client_id
  SecretRef secret, key;           // key: PEM, of private_key_jwt
  std::string key_id;
  std::vector<std::string> scopes;
  std::string resource;            // the target's URL unless said otherwise; "-" is not sent
  std::string target_url;          // whose metadata is asked when there is no issuer
  bool finds_issuer() const { return issuer.empty() && token_endpoint.empty(); }
  std::string ca_file;
  std::vector<std::string> private_hosts;  // that discovery may lead to though their addresses are not public
};

using FormFields = std::vector<std::pair<std::string, std::string>>;

/// Where the authorization server is asked.
struct UpstreamEndpoints {
  std::string issuer, token, authorization, revocation;
  bool says_issuer = false;        // RFC 9207: every answer names it
};

/// RFC 8414, or OpenID Connect's document. Errors: Malformed (another issuer, no token endpoint, endpoints that are not https).
Result<UpstreamEndpoints> read_server_metadata(const json::Value& document, const std::string& issuer);
/// RFC 9728: who gives tokens for this resource. Errors: Malformed (the metadata of another resource, nobody named).
Result<std::string> read_resource_metadata(const json::Value& document, const std::string& resource);
/// Where that metadata is looked for, in order (RFC 8414 §3.1 and OpenID Connect Discovery §4; RFC 9728 §3.1).
std::vector<std::string> server_metadata_urls(const std::string& issuer);
std::vector<std::string> resource_metadata_urls(const std::string& resource);

/// A token request with the client's proof of itself. `user` and `password` are for HTTP Basic, already encoded.
struct TokenRequest {
  std::string form, user, password;
};
Result<TokenRequest> token_request(const UpstreamClient& client, const UpstreamEndpoints& at, FormFields fields, std::int64_t wall_ns);
std::string upstream_authorization_url(const UpstreamClient& client, const UpstreamEndpoints& at, const std::string& redirect_uri, const std::string& state, const std::string& challenge);

struct UpstreamToken {
  std::string access, refresh, scope;
  std::int64_t expires_wall_ns = 0;   // 0 = it does not say
  std::string issuer;                 // who gave it, where discovery said so
};
/// RFC 6749 §5.1: a bearer token. Errors: Malformed; Denied with the server's `error` (§5.2).
Result<UpstreamToken> read_token_answer(long status, std::string body, std::int64_t wall_ns);

}  // namespace sallyport::identity
