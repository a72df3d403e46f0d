#pragma once
// What the two sides know of each other before anybody comes (saml-metadata-2.0): the provider, from its EntityDescriptor
// file or from single settings, and ourselves, as the document that the provider is given. Read at start and at every
// reload; the file is the operator's word, so its own signature is not judged. Errors: Unavailable, Malformed.
#include <string>
#include <vector>

#include "base/result.h"
#include "identity/config.h"
#include "identity/saml_signature.h"

namespace sallyport::identity::saml {

struct Provider {
  std::string entity_id;
  std::string sso_url;                 // HTTP-Redirect
  std::string slo_url, slo_answer_url; // HTTP-Redirect; "" = it offers none
  std::vector<Key> keys;               // any of them may sign
  std::int64_t valid_until_wall_ns = 0;  // 0 = no end; after it nothing is accepted
};

/// Our own keys: the first signs, each decrypts.
struct OwnKey {
  Key key;
  std::string certificate;             // base64 of its DER
};

Result<Provider> read_provider(const SamlConfig& config);
/// The metadata text alone, for read_provider and its fuzzer.
Result<Provider> read_metadata(std::string_view xml);
Result<std::vector<OwnKey>> read_own_keys(const SamlConfig& config);

struct Self {
  std::string entity_id, acs_url, slo_url;
  bool sign_requests = false, want_signed_assertions = true;
};
/// The document for the provider: its keys are all of ours, so that a new one is known before it is used.
std::string write_metadata(const Self& self, const std::vector<OwnKey>& keys);

}  // namespace sallyport::identity::saml
