#pragma once
// EncryptedAssertion (xmlenc-core1) by xmlsec1: RSA-OAEP for the key, AES-GCM for the content, AES-CBC only where the
// configuration allows it, for CBC tells an attacker who may ask often what it hides. Nothing is fetched: a
// CipherReference is refused. What comes out is as hostile as what came in until a signature says otherwise. Pure, any thread.
#include <string>
#include <vector>

#include "identity/saml_signature.h"

namespace sallyport::identity::saml {

/// The plain text of the one EncryptedData inside `encrypted`. Every failure of a key or a padding reads the same.
SamlJudged<std::string> decrypt(const xmlNode* encrypted, const std::vector<Key>& keys, bool cbc);

}  // namespace sallyport::identity::saml
