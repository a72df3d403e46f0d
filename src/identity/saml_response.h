#pragma once
// A Response of the Web Browser SSO profile (saml-profiles-2.0 §4.1) becomes a SamlIdentity or a refusal. Signature first;
// every claim is then read from the bytes that were signed, parsed anew, never from the document that came. Time and
// outstanding requests are arguments. Pure, any thread. That an assertion comes once only is its caller's part.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "identity/config.h"
#include "identity/saml.h"
#include "identity/saml_metadata.h"

namespace sallyport::identity::saml {

struct ResponseRules {
  const SamlConfig& config;
  const Provider& provider;
  const std::vector<Key>& own_keys;
  const Self& self;
  std::span<const std::string> outstanding;  // IDs of the requests that this very browser session has made
  std::int64_t wall_ns = 0;
};
SamlJudged<SamlIdentity> judge_response(std::string_view xml, const ResponseRules& rules);

// Shared with logout messages.
std::int64_t leeway_of(const SamlConfig& config);
/// Exactly one Issuer, of the entity format, and it is the provider.
SamlJudged<void> check_issuer(const xmlNode* element, const Provider& provider, bool required);
SamlJudged<SamlNameId> read_name_id(const xmlNode* parent);
/// Status says Success; else the codes and the message, for the record.
SamlJudged<void> check_status(const xmlNode* response);

}  // namespace sallyport::identity::saml
