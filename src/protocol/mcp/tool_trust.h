#pragma once
// The two questions a session asks about trust in tools (docs/protocols/mcp.md): what of a list may be shown, and why a call may not be
// made. Between the codecs that read definitions (tool_text, tool_findings) and enforce::ToolPins, which remembers them. The worker's
// thread. Errors: Unavailable; the list is then withheld.
#include <boost/asio/awaitable.hpp>
#include <set>
#include <string>
#include <vector>

#include "enforce/tool_pins.h"
#include "protocol/mcp/message.h"
#include "protocol/mcp/sights.h"

namespace sallyport::protocol::mcp {

/// Whose list it is and for whom it is looked at.
struct ListScene {
  enforce::ToolPins& pins;
  std::string target;
  target::ToolTrust terms;
  identity::PrincipalPtr who;
  std::string request_id;
};

/// What of a list is not to be shown.
struct Untrusted {
  std::set<std::size_t> elements;      // their offsets in the answer
  bool whole = true;                   // all that is new on the page was looked at; false: the rest waits for the next list
  std::string record;                  // their definitions, for the record: JSON, "" when there are none

  bool holds(const json::Value& element) const { return elements.contains(element.offset()); }
};

/// A page of a list as the target sent it, before anything is cut out of it.
boost::asio::awaitable<Result<Untrusted>> look_at_list(ListScene scene, const Message& answer, const ListKind& kind);

/// Of what a list tells, or what a notification says is another now: nullopt when it is not pinned.
std::optional<enforce::PinKind> pin_kind(const ListKind& kind);

/// Gives a tools/call or prompts/get what keeps it from being made. The pins, the sights and the message outlive the action.
void bind_to_pins(enforce::Action& action, const enforce::ToolPins& pins, Sights& sights, const std::string& target, const target::ToolTrust& terms);

}  // namespace sallyport::protocol::mcp
