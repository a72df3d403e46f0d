#pragma once
// How several servers become one: whose name it is, what a list, a cursor and a capability look like when they are of all. Pure
// functions on parsed messages, any thread. Cursors are opaque to clients: base64url of a JSON object, member to its own cursor.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/mcp/message.h"
#include "target/catalog.h"

namespace sallyport::protocol::mcp {

/// A member, by its place, and what the thing is called there.
struct Owned {
  std::size_t member = 0;
  std::string name;
};
/// nullopt when the name begins with nobody's prefix. A member without prefix has what is left.
std::optional<Owned> owner_of(const target::VirtualServer& server, std::string_view name);

/// One element of a list (raw JSON) with its name in our words; "" when that name would be another member's.
std::string element_of(const target::VirtualServer& server, std::size_t member, const json::Value& element, std::string_view name_key);

using Cursors = std::map<std::string, std::string, std::less<>>;
std::string cursor_of(const Cursors& next);
/// Errors: Malformed for what is no cursor of ours.
Result<Cursors> parse_cursor(std::string_view cursor);

/// Capabilities of all as those of one. `complete`: everybody has said what it can; else it is offered what one that is away may have.
std::string merged_capabilities(const std::vector<json::Value>& capabilities, bool complete);

/// A member's text for the client: requests of its own get an id that is nobody else's, and log messages say who speaks.
std::string from_member(const Message& message, std::string_view member);
/// The member and the raw id (or token) of an id that from_member() made; nullopt for any other.
struct MemberId {
  std::string member, raw;
};
std::optional<MemberId> member_id(const json::Value& id);

/// The message with one of its values replaced (raw JSON). Errors: Malformed.
Result<Message> with_value(const Message& message, const json::Value& value, std::string raw, From from);

/// Members that could not be asked, and why: for `_meta`.
struct Missing {
  std::string member, reason;
};
std::string missing_text(const std::vector<Missing>& missing);

}  // namespace sallyport::protocol::mcp
