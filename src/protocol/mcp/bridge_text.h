#pragma once
// Messages of one era in the words of the other. Pure functions on parsed messages; what has no counterpart is dropped or refused as
// docs/protocols/mcp.md lists it.
#include <optional>
#include <string>
#include <string_view>

#include "protocol/mcp/era.h"

namespace sallyport::protocol::mcp {

/// A modern request as a legacy one: without what only the modern era has in params, under `wire_id`, which is its progress token too.
std::string legacy_request(const Message& request, std::string_view wire_id);
/// A legacy answer as a modern one, under the client's id: errors get their new codes, results what they must say. Results that need a
/// URL to be opened first (error -32042) become input_required.
std::string modern_response(const Message& answer, std::string_view id, std::string_view method);
/// A result that asks the client for one thing: `asked` is {"method":…,"params":…}.
std::string input_required(std::string_view id, std::string_view key, std::string_view asked, std::string_view state);
/// A notification with its progress token replaced, or with its subscription named.
std::string with_token(const Message& progress, std::string_view token);
std::string with_subscription(const Message& notification, std::string_view id);
/// Whether a log message of this level is wanted by who asked for `wanted` ("" wants none).
bool is_wanted(std::string_view level, std::string_view wanted);

/// A legacy request as a modern one, with the _meta that every request needs (raw object members without braces).
std::string modern_request(const Message& request, std::string_view id, std::string_view meta_members);
/// server/discover's result as the result of `initialize`; `version` is what the client gets.
std::string initialize_result(const Message& discovered, std::string_view id, std::string_view version);

}  // namespace sallyport::protocol::mcp
