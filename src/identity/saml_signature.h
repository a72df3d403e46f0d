#pragma once
// XML signatures (xmldsig-core1) of SAML messages, by xmlsec1. A signature is looked for in one place: as a child of the
// element that it must cover, by that element's ID, with enveloped-signature and exclusive canonicalisation only, SHA-256
// or better. Keys come from the configuration; KeyInfo is not read. What is returned are the very bytes that were
// digested: whoever goes on parses those, so nothing else of the document can be taken for signed. Pure, any thread.
#include <openssl/evp.h>

#include <memory>
#include <string>
#include <vector>

#include "identity/saml_xml.h"

namespace sallyport::identity::saml {

using Key = std::shared_ptr<EVP_PKEY>;
inline constexpr std::size_t kMaxSigned = 1u << 20;  // canonical form can be larger than what came

/// Starts xmlsec once in a process. False when it does not work: nothing is accepted then.
bool xmlsec_ready();

/// RSA of 2048 to 8192 bits, or P-256, P-384, P-521.
bool is_strong(EVP_PKEY* key);

bool is_signed(const xmlNode* element);
/// Every ds:Signature below `root` is a child of one of these.
SamlJudged<void> signatures_only_in(xmlNode* root, const std::vector<Element>& places);
/// The canonical bytes of `element`, when one of the keys signed them.
SamlJudged<std::string> verified_bytes(Element element, const std::vector<Key>& keys);
/// verified_bytes(), parsed again; the root has the name and ID of `element`.
SamlJudged<Document> verified(Element element, const std::vector<Key>& keys);

}  // namespace sallyport::identity::saml
