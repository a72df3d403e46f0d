#pragma once
// The two eras of MCP: legacy (2024-11-05 to 2025-11-25: `initialize`, sessions) and modern (2026-07-28: every request says its
// revision and capabilities in _meta, and HTTP headers repeat what the body says). Codec: what a modern request must have, and
// whether its headers say the same as its body (specification 2026-07-28, "Streamable HTTP", Request Metadata). Pure, any thread.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/mcp/message.h"

namespace sallyport::protocol::mcp {

inline constexpr std::string_view kModern = "2026-07-28";
inline constexpr std::string_view kMetaVersion = "io.modelcontextprotocol/protocolVersion";
inline constexpr std::string_view kMetaCapabilities = "io.modelcontextprotocol/clientCapabilities";
inline constexpr std::string_view kMetaClient = "io.modelcontextprotocol/clientInfo";
inline constexpr std::string_view kMetaServer = "io.modelcontextprotocol/serverInfo";
inline constexpr std::string_view kMetaLogLevel = "io.modelcontextprotocol/logLevel";
inline constexpr std::string_view kMetaSubscription = "io.modelcontextprotocol/subscriptionId";

namespace code {
inline constexpr int kHeaderMismatch = -32020, kMissingCapability = -32021, kUnsupportedVersion = -32022;
}

/// A refusal in the protocol's own words: an HTTP status and a JSON-RPC error.
struct Refusal {
  unsigned status = 400;
  int code = code::kInvalidRequest;
  std::string what;
  std::string data;  // raw JSON or ""
};

/// The header fields that repeat a body, as they came: lower-case names. Several of one name are joined by ", " and so match nothing.
using MirrorHeaders = std::map<std::string, std::string, std::less<>>;

/// What a modern request of a client lacks, or says in two ways; nullopt when it is in order. Of `Mcp-Param-*` only that they can be read:
/// check_params() compares them.
std::optional<Refusal> check_modern(const Message& request, const MirrorHeaders& headers);

/// Where a tool's annotated parameters stand: header name without "Mcp-Param-" (as written) and the path of keys.
struct ParamHeader {
  std::string name;
  std::vector<std::string> path;
};
/// The `x-mcp-header` annotations of an inputSchema. Errors: Malformed when one breaks the rules: the tool must not be listed.
Result<std::vector<ParamHeader>> param_headers(const json::Value& input_schema);
/// Compares `Mcp-Param-*` with the arguments of a tools/call.
std::optional<Refusal> check_params(const Message& call, const MirrorHeaders& headers, const std::vector<ParamHeader>& annotated);
/// What a client sends for these arguments.
std::vector<std::pair<std::string, std::string>> mirror_params(const json::Value& arguments, const std::vector<ParamHeader>& annotated);

/// What `Mcp-Name` says of this message: nullopt when the method has none.
std::optional<std::string> mirrored_name(const Message& message);

/// A header value for any text: as it is, or as "=?base64?…?=".
std::string header_encoded(std::string_view text);
/// Errors: Malformed (characters that no header may have, or no base64).
Result<std::string> header_decoded(std::string_view value);

/// A result that was cut short for more input, and the methods that may have one.
bool is_input_required(const json::Value& result);
bool may_need_input(std::string_view method);
/// What is said on the stream of a subscriptions/listen and nowhere else, and whether its `notifications` ask for it.
bool is_of_subscription(std::string_view method);
bool asks_for(const json::Value& notifications, std::string_view method);
/// Methods of earlier revisions that this one does not have.
bool is_removed(std::string_view method);
/// Results with ttlMs and cacheScope.
bool is_cacheable(std::string_view method);
/// An error by which a target shows that it is of the modern era.
bool is_modern_error(const json::Value& error);

}  // namespace sallyport::protocol::mcp
