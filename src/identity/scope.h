#pragma once
// OAuth scopes (RFC 6749 §3.3) and what a token is bound to (RFC 8707). Pure functions, any thread.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::identity {

using Scopes = std::vector<std::string>;   // sorted, unique

/// Letters, digits and signs but space, quote and backslash; at most 128.
bool is_scope(std::string_view text);
/// Names between spaces, at most 64 of them. nullopt when one is none.
std::optional<Scopes> parse_scopes(std::string_view text);
std::string scopes_text(const Scopes& scopes);
Scopes sorted_scopes(std::vector<std::string> scopes);

/// The address itself, or one below it: "https://gw/mcp" covers "https://gw/mcp/tickets" and not "https://gw/mcp2". "" covers all.
bool covers(std::string_view resource, std::string_view address);

}  // namespace sallyport::identity
