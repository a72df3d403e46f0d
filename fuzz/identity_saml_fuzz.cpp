// Any bytes as a SAML response, a logout and metadata: no crash, and whatever is accepted says what the provider signed.
// The corpus holds true messages, so a change that the signature does not see and the reader does is found.
#include <openssl/pem.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>

#include "identity/saml_logout.h"
#include "identity/saml_redirect.h"
#include "identity/saml_response.h"

namespace {

using namespace sallyport::identity;
using namespace sallyport::identity::saml;

std::string fixture(const std::string& name) {
  std::ifstream in(std::string(SALLYPORT_SOURCE_DIR) + "/tests/fixtures/saml/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Setting {
  Setting() {
    config.idp_initiated = config.cbc = true;
    const auto pem = fixture("sp.key");
    auto* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    own.emplace_back(PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr), EVP_PKEY_free);
    BIO_free(bio);
  }
  SamlConfig config;
  Provider provider = *read_metadata(fixture("idp.xml"));
  std::vector<Key> own;
  Self self{.entity_id = "https://gw.example:9443/saml/corp/metadata", .acs_url = "https://gw.example:9443/saml/corp/acs", .slo_url = "https://gw.example:9443/saml/corp/slo"};
  std::vector<std::string> outstanding = {"_request-1"};
  std::int64_t now = *time_of("2026-11-20T10:00:30Z");
};

void check(const SamlIdentity& identity) {
  const bool true_one = identity.issuer == "https://idp.example/metadata" && identity.subject == "u-1001" && identity.email == "alice@example.com" &&
                        identity.name == "Alice Example" && identity.groups == std::vector<std::string>{"admins", "engineers"} && identity.session_index == "_session-1";
  if (!true_one) std::abort();
}

void check(const SamlLogout& logout) {
  if (logout.response || logout.name_id.value != "u-1001" || logout.session_indexes != std::vector<std::string>{"_session-1"}) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Setting setting;
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const bool by_response : {false, true}) {
    setting.config.signed_response = by_response;
    if (const auto identity = judge_response(text, {setting.config, setting.provider, setting.own, setting.self, setting.outstanding, setting.now})) check(*identity);
  }
  const LogoutRules rules{setting.config, setting.provider, setting.self, setting.now};
  if (const auto logout = judge_posted_logout(text, rules)) check(*logout);
  if (const auto logout = judge_redirected_logout(text, rules)) check(*logout);
  (void)read_metadata(text);
  (void)from_form(text);
  (void)time_of(text);
  return 0;
}
