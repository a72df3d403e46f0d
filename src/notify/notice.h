#pragma once
// What approvers are told of a request, in the forms that their tools take: Slack's and Teams' incoming webhooks, a generic JSON object, an
// e-mail. Each leads to the request and none can answer it. Pure; what came from clients is escaped for the form it stands in. Any thread.
// Formats: docs/formats/notice.md.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::notify {

struct Notice {
  std::string event;         // "requested", "granted", "break-glass", …
  std::string request;       // "apr_…"
  std::string kind;          // "command", "access", "review"
  std::string who;           // "alice", "agent bot on behalf of alice"
  std::string target;
  std::string summary;       // the command with masked literals, or what access is asked
  std::string effect;        // JSON of what it would do, "" when nothing is known
  std::string reason;        // the requester's words
  std::vector<std::string> rules, groups;  // that demand it; whose members decide
  std::int64_t expires_wall_ns = 0, at_wall_ns = 0;
  std::string link;          // the request at the gateway
};

enum class Form : std::uint8_t { Generic, Slack, Teams };

/// One line for people: "alice asks: DELETE … on prod-db".
std::string headline(const Notice& notice);
/// A webhook's body.
std::string webhook_body(const Notice& notice, Form form);
/// A whole message (RFC 5322, UTF-8, quoted-printable), CRLF lines. `id`: the left side of its Message-ID.
std::string mail_message(const Notice& notice, const std::string& id, const std::string& from, const std::vector<std::string>& to);

/// The value of the webhook-signature header (standardwebhooks.com, v1): HMAC-SHA256 over "id.timestamp.body".
std::string webhook_signature(std::string_view secret, std::string_view id, std::int64_t unix_seconds, std::string_view body);

}  // namespace sallyport::notify
