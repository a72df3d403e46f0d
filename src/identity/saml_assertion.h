#pragma once
// What a verified Assertion says (saml-core-2.0 §2, saml-profiles-2.0 §4.1.4.3). `assertion` must be the root of a
// document that was parsed from signed bytes; nothing here looks at a signature again. Pure, any thread.
#include "identity/saml_response.h"

namespace sallyport::identity::saml {

/// `response_to`: InResponseTo of the Response, "" when it has none.
SamlJudged<SamlIdentity> read_assertion(const xmlNode* assertion, const ResponseRules& rules, const std::string& response_to);

}  // namespace sallyport::identity::saml
