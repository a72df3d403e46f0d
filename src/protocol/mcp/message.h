#pragma once
// JSON-RPC 2.0 messages as MCP uses them (schema 2025-11-25 and earlier). Codec: bytes to a message and back, no socket,
// no coroutine. A message owns its text; values point into it. Refused: anything but exactly one object, a missing or
// wrong "jsonrpc", ids that are neither string nor integer, duplicate keys, and in requests keys that differ only in
// case, for a server in another language may read `Name` where we read `name`.
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "enforce/action.h"

namespace sallyport::protocol::mcp {

struct Message {
  enum class Kind { Request, Notification, Response, Error } kind = Kind::Notification;
  json::Document document;
  json::Value id;        // of all but notifications
  json::Value params;    // invalid when absent
  json::Value result;    // of a Response
  json::Value error;     // of an Error
  std::string method;    // of a Request or Notification

  /// Header fields that repeat parameters (`Mcp-Param-*`), to be sent along where a transport has headers.
  std::vector<std::pair<std::string, std::string>> mirrored;

  std::string_view text() const { return document.text(); }
  std::string id_text() const { return std::string(id.raw()); }  // as written: the key of outstanding requests
};

enum class From { Client, Server };

/// Errors: Malformed with what is wrong, for JSON-RPC's -32700 or -32600.
Result<Message> parse_message(std::string text, From from, std::size_t max_bytes);

/// The elements of a batch (revision 2025-03-26 only), or one element when the text is no array.
Result<std::vector<std::string>> split_batch(std::string text, std::size_t max_bytes, std::size_t max_messages);

/// What the request is to policy. Methods that nobody here knows become Raw unless listed in `extra_methods`.
enforce::Action action_of(const Message& message, From from, const std::vector<std::string>& extra_methods);

/// Names policy and lists share: the array's key and the fact that its elements are judged by.
struct ListKind {
  std::string_view array;       // "tools"
  std::string_view name_key;    // "name"
  std::string_view method;      // judged as this: "tools/call"
  std::string_view fact;        // "mcp.tool"
};
/// nullptr when the method is no list.
const ListKind* list_kind(std::string_view method);

/// What one element of a list, or a called object, is judged by while its arguments are not known.
enforce::Facts object_facts(const ListKind& kind, std::string_view name);

namespace code {
inline constexpr int kParse = -32700, kInvalidRequest = -32600, kMethodNotFound = -32601, kInvalidParams = -32602,
                     kInternal = -32603, kDenied = -31001, kUnavailable = -31002;  // our own, outside what JSON-RPC and MCP reserve
}

/// {"jsonrpc":"2.0","id":…,"error":{…}}; `id` is raw JSON ("null" when unknown), `data` raw JSON or "".
std::string error_text(std::string_view id, int code, std::string_view message, std::string_view data = "");
std::string result_text(std::string_view id, std::string_view result);

}  // namespace sallyport::protocol::mcp
