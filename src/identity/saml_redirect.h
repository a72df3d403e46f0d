#pragma once
// The HTTP-Redirect binding (saml-bindings-2.0 §3.4): a message, deflated, in a URL, signed over the query as it stands.
// What comes in must be signed with RSA and SHA-256 or better, over the octets as they were received. Pure, any thread.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "identity/saml_signature.h"

namespace sallyport::identity::saml {

inline constexpr std::size_t kMaxMessage = 256u << 10;
inline constexpr std::size_t kMaxRelayState = 80;  // §3.4.3

/// `parameter`: SAMLRequest or SAMLResponse. `signer` may be null. Errors: Internal.
Result<std::string> redirect_url(const std::string& location, std::string_view parameter, std::string_view xml,
                                 std::string_view relay_state, EVP_PKEY* signer);

struct RedirectMessage {
  bool response = false;
  std::string xml, relay_state;
};
/// `query` without its '?'. Without a good signature it is refused.
SamlJudged<RedirectMessage> read_redirect(std::string_view query, const std::vector<Key>& keys);

/// Base64 of a form field; line breaks in it are allowed.
SamlJudged<std::string> from_form(std::string_view value);

}  // namespace sallyport::identity::saml
