#pragma once
// The words of the SAML 2.0 service provider (docs/identity.md): who came, and why somebody was refused. A refusal has
// a reason for the record and a detail for the operator's log; the client sees neither. Plain data, any thread.
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "identity/reason.h"

namespace sallyport::identity {

struct SamlRefusal {
  Reason reason = Reason::Malformed;
  std::string detail;  // printable ASCII, bounded; may quote what the provider said
};
template <class T>
using SamlJudged = std::expected<T, SamlRefusal>;

/// NameID as it came: a logout must repeat all of it.
struct SamlNameId {
  std::string value, format, name_qualifier, sp_name_qualifier;
  bool operator==(const SamlNameId&) const = default;
};

struct SamlIdentity {
  std::string issuer;                  // entity ID of the provider
  std::string subject;                 // NameID or the configured attribute
  std::string email, name;             // may be empty
  std::vector<std::string> groups;     // sorted, unique
  SamlNameId name_id;                  // for logout
  std::string session_index;           // "" = the provider named none
  std::int64_t expires_wall_ns = 0;    // SessionNotOnOrAfter, at most 24 h from now; never 0
  std::string in_response_to;          // the request that this answers; "" = the provider's own beginning
  // The assertion may come once only: claim this key until that time before anybody is let in.
  Digest assertion{};
  std::int64_t assertion_until_wall_ns = 0;
};

/// A logout message of the provider.
struct SamlLogout {
  bool response = false;
  std::string id;
  std::string relay_state;                   // to be sent back as it is
  // Of a request: whose sessions end; no index means all of that name.
  SamlNameId name_id;
  std::vector<std::string> session_indexes;
  // Of a response.
  std::string in_response_to;
  bool success = false;
};

namespace saml {

/// Printable ASCII of at most 200 bytes: hostile text for a log line.
std::string clean(std::string_view text);
std::unexpected<SamlRefusal> refuse(Reason reason, std::string detail);
/// xs:dateTime in UTC ("2026-11-20T10:00:00.123Z"), the only form that SAML allows (core §1.3.3).
SamlJudged<std::int64_t> time_of(std::string_view text);

}  // namespace saml
}  // namespace sallyport::identity
