#pragma once
// What a program says of itself as an OAuth client: a client id metadata document (draft-ietf-oauth-client-id-metadata-document), fetched from
// the https address that is its client_id, or a registration (RFC 7591). Both come from strangers: what is not understood, or asks for more
// than a public client with PKCE, is refused. Pure, any thread. Errors: Malformed with what is wrong, in words for a developer.
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace sallyport::signin {

struct ClientMetadata {
  std::string name;                        // for people; "" when it says none
  std::vector<std::string> redirect_uris;  // 1 to 20
};

constexpr std::size_t kMaxClientDocument = 16u << 10;

/// An https address that may be a client_id: with a path, without query, fragment, user, dot segments. "" or what is wrong.
std::string document_id_problem(const std::string& url);
/// `id`: where it was fetched, and what its client_id must be, letter by letter.
Result<ClientMetadata> read_client_document(std::string text, const std::string& id);
Result<ClientMetadata> read_registration(std::string text);
/// How a registration is kept, and answered (RFC 7591 §3.2.1).
std::string registration_text(const ClientMetadata& client, std::string_view id, std::int64_t created_wall_ns);

/// https, or http on a loopback address or localhost; no user, no fragment.
bool is_redirect_uri(const std::string& uri);
/// Exact; on loopback the port is the program's choice at the time (RFC 8252 §7.3).
bool redirect_fits(std::string_view registered, std::string_view given);

}  // namespace sallyport::signin
