#pragma once
// Single logout (saml-profiles-2.0 §4.4): LogoutRequest and LogoutResponse, ours by redirect, the provider's by redirect
// or POST, signed or refused. Like a Response, a posted message is read from the bytes that were signed. Pure, any thread.
#include <string>
#include <string_view>
#include <vector>

#include "identity/saml_response.h"

namespace sallyport::identity {

namespace saml {

struct LogoutRules {
  const SamlConfig& config;
  const Provider& provider;
  const Self& self;
  std::int64_t wall_ns = 0;
};
/// By redirect, the signature is over the query and has been verified.
SamlJudged<SamlLogout> judge_redirected_logout(std::string_view query, const LogoutRules& rules);
/// By POST: `xml` must be signed inside.
SamlJudged<SamlLogout> judge_posted_logout(std::string_view xml, const LogoutRules& rules);

std::string write_logout_request(std::string_view id, const Self& self, const Provider& provider, const SamlNameId& name,
                                 std::string_view session_index, std::int64_t wall_ns);
std::string write_logout_response(std::string_view id, const Self& self, const Provider& provider, std::string_view in_response_to,
                                  bool success, std::int64_t wall_ns);

}  // namespace saml
}  // namespace sallyport::identity
